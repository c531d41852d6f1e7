//! Which programs a job may have the scheduler ask before it loses an instance.

use super::{Complaints, JobSpec, Limits};
use crate::spec::SlaPolicy;

impl Complaints {
    pub(super) fn coordinator(&mut self, job: &JobSpec, limits: &Limits) {
        let Some(SlaPolicy::Coordinator { coordinator_url: url, .. }) = &job.sla_policy else {
            return;
        };
        let Some(allowed) = &limits.coordinator_urls else { return };
        if allowed.iter().any(|it| begins(url, it)) {
            return;
        }
        let detail = match allowed.as_slice() {
            [] => "This cluster asks no coordinators".to_owned(),
            some => format!("This cluster asks coordinators only at {}", some.join(", ")),
        };
        self.add("/sla_policy/coordinator_url", detail);
    }
}

/// Whether the URL is the prefix and something after it that leads to no other host or folder:
/// `http://a` is not where `http://a.b` and `http://a@b` begin.
fn begins(url: &str, prefix: &str) -> bool {
    let Some(rest) = url.strip_prefix(prefix) else { return false };
    let after_scheme = prefix.find("://").map_or("", |at| &prefix[at + 3..]);
    let is_whole = after_scheme.contains('/') || prefix.ends_with('/');
    let is_host = is_whole || rest.is_empty() || rest.starts_with(['/', '?', '#']);
    is_host && !leads_up(rest)
}

/// Whether there is a step out of a folder in it.
fn leads_up(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".");
    path.split(['/', '\\', '?', '#']).any(|it| it == "..") || path.contains("%2f..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_alike_is_not_another_host_or_folder() {
        for (url, prefix, is_so) in [
            ("https://sla/ask", "https://sla", true),
            ("https://sla", "https://sla", true),
            ("https://sla?job=a", "https://sla", true),
            ("https://sla/ask", "https://sla/", true),
            ("https://sla/v1-a", "https://sla/v1", true),
            ("https://other/", "https://", true),
            ("https://sla.evil.org/ask", "https://sla", false),
            ("https://sla:80@evil.org/ask", "https://sla", false),
            ("https://sla:81/ask", "https://sla", false),
            ("http://sla/ask", "https://sla", false),
            ("https://sla/ask/../other", "https://sla/ask/", false),
            ("https://sla/ask/%2E%2e/other", "https://sla/ask/", false),
            ("https://sla/asked", "https://sla/ask/", false),
        ] {
            assert_eq!(begins(url, prefix), is_so, "{url} {prefix}");
        }
    }
}
