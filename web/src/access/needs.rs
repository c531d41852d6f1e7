//! What each endpoint asks of whoever uses it. What is not named here is for reading if it is a GET,
//! and for admins if it changes something: nobody can forget to protect what is new.

use airglow_model::permission::Verb;

/// What somebody has to be allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// Nothing: it has to work before anybody can say who they are.
    Nothing,
    /// To read, unless whoever runs the cluster leaves it open.
    Metrics,
    Read,
    /// To do this to the job that the path names.
    Job(Verb),
    /// To do this to every job in the body.
    JobsInBody(Verb),
    /// To do this to the role that the path names.
    Role(Verb),
    Cluster(Verb),
    /// To be the user whom the path names, with a password and not by a program's token; or an admin.
    Oneself,
}

const ADMIN: &str = "/api/v1/admin/";

/// By the endpoint's method and path, as they are documented.
pub(crate) fn need(method: crate::Verb, path: &str) -> Need {
    use crate::Verb::{Delete, Get, Post, Put};
    match (method, path) {
        (Get, "/health" | "/leader-health" | "/login" | "/assets/{path:.*}")
        | (Post, "/api/v1/login" | "/login" | "/logout") => Need::Nothing,
        (Get, "/metrics") => Need::Metrics,
        // Whoever has the schedulers' token can have the key of the cluster's authority.
        (Get, "/api/v1/users" | "/api/v1/tokens") => Need::Cluster(Verb::Admin),
        (_, "/api/v1/users/{user}/tokens" | "/api/v1/users/{user}/tokens/{id}")
        | (Put, "/api/v1/users/{user}/password") => Need::Oneself,
        // Whoever shows a pass may give it up.
        (Post, "/api/v1/logout") => Need::Read,
        (_, path) if path.starts_with(ADMIN) => Need::Cluster(Verb::Admin),
        (Get, _) => Need::Read,
        (Post, "/api/v1/jobs") => Need::JobsInBody(Verb::Create),
        (Post, "/api/v1/updates") => Need::JobsInBody(Verb::Update),
        (Put, "/api/v1/quotas/{role}") => Need::Role(Verb::Quota),
        (Post | Put | Delete, path) => change(path),
    }
}

fn change(path: &str) -> Need {
    let of_job = |family: &str| {
        let rest = path.strip_prefix("/api/v1/")?.strip_prefix(family)?;
        rest.strip_prefix("/{role}/{environment}/{name}")
    };
    match (of_job("jobs"), of_job("updates"), of_job("cron")) {
        (Some("/kill"), ..) => Need::Job(Verb::Kill),
        (Some("/restart"), ..) => Need::Job(Verb::Restart),
        (Some("/instances"), ..) => Need::Job(Verb::Add),
        (_, Some(_), _) => Need::Job(Verb::Update),
        (.., Some(_)) => Need::Job(Verb::Cron),
        _ if is_maintenance(path) => Need::Cluster(Verb::Hosts),
        _ => Need::Cluster(Verb::Admin),
    }
}

fn is_maintenance(path: &str) -> bool {
    let verb = path.strip_prefix("/api/v1/hosts/{host}/");
    matches!(verb, Some("maintenance" | "drain" | "activate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line for each endpoint, so that a new one is looked at by somebody.
    #[test]
    fn what_changes_something_is_for_those_who_may() {
        let changes = crate::endpoints().into_iter().chain(crate::page_endpoints());
        let changes = changes.filter(|(_, method, _)| *method != crate::Verb::Get);
        let mut open = vec![];
        for (path, method, _) in changes {
            match need(method, path) {
                Need::Nothing => open.push(path),
                Need::Read => assert_eq!(path, "/api/v1/logout"),
                Need::Metrics => panic!("{path} is no measurement"),
                Need::Cluster(verb)
                | Need::Role(verb)
                | Need::Job(verb)
                | Need::JobsInBody(verb) => {
                    assert_ne!(verb, Verb::Read, "{path}");
                }
                Need::Oneself => assert!(path.contains("/{user}/"), "{path}"),
            }
            let in_path = matches!(need(method, path), Need::Job(_));
            assert!(!in_path || path.contains("/{role}/{environment}/{name}"), "{path}");
        }
        open.sort_unstable();
        assert_eq!(open, ["/api/v1/login", "/login", "/logout"]);
    }

    #[test]
    fn verbs_are_those_of_the_endpoints() {
        use crate::Verb::{Delete, Get, Post, Put};
        for (method, path, needed) in [
            (Post, "/api/v1/jobs", Need::JobsInBody(Verb::Create)),
            (Post, "/api/v1/jobs/{role}/{environment}/{name}/kill", Need::Job(Verb::Kill)),
            (Post, "/api/v1/jobs/{role}/{environment}/{name}/unheard-of", ADMINS),
            (Post, "/api/v1/updates/{role}/{environment}/{name}/{id}/pulse", UPDATERS),
            (Post, "/api/v1/updates/{role}/{environment}/{name}/{id}/abort", UPDATERS),
            (Delete, "/api/v1/cron/{role}/{environment}/{name}", Need::Job(Verb::Cron)),
            (Put, "/api/v1/quotas/{role}", Need::Role(Verb::Quota)),
            (Post, "/api/v1/hosts/{host}/drain", Need::Cluster(Verb::Hosts)),
            (Delete, "/api/v1/hosts/{host}", ADMINS),
            (Post, "/api/v1/admin/prune", ADMINS),
            (Get, "/api/v1/admin/anything", ADMINS),
            (Delete, "/api/v1/users/{user}", ADMINS),
            (Get, "/api/v1/users", ADMINS),
            (Get, "/api/v1/users/{user}/tokens", Need::Oneself),
            (Get, "/scheduler/{role}", Need::Read),
            (Get, "/api/v1/events", Need::Read),
        ] {
            assert_eq!(need(method, path), needed, "{method:?} {path}");
        }
    }

    const ADMINS: Need = Need::Cluster(Verb::Admin);
    const UPDATERS: Need = Need::Job(Verb::Update);
}
