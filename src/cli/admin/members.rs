//! `airglow admin members`: which schedulers share a cluster's records.

use std::io::Write;

use airglow_web::api::Scheduler;

use super::{Code, Failure, Global, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show the cluster's schedulers, and which of them leads
    List { cluster: String },
    /// Tell how another machine becomes a scheduler of the cluster, too
    Add { cluster: String },
    /// Let a scheduler's word count no more, for one that is to go or will not come back
    Remove { cluster: String, name: String },
}

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    match &args.verb {
        Verb::List { cluster } => list(cluster, global),
        Verb::Add { cluster } => add(cluster, global),
        Verb::Remove { cluster, name } => remove(cluster, name, global),
    }
}

fn list(cluster: &str, global: &Global) -> Outcome {
    let session = global.cluster_session(Some(cluster))?;
    // As the leader knows them: any other would answer for itself.
    let members = session.client.members()?;
    if global.write_json {
        return screen::json(&members);
    }
    let header = ["SCHEDULER", "ROLE", "BEHIND", "API", "MESH"];
    Ok(writeln!(screen::out(), "{}", screen::table(&header, members.iter().map(row)))?)
}

fn row(member: &Scheduler) -> Vec<String> {
    let behind = member.behind.map_or_else(|| "?".into(), |it| it.to_string());
    vec![member.name.clone(), member.part().into(), behind, member.api.clone(), member.mesh.clone()]
}

fn add(cluster: &str, global: &Global) -> Outcome {
    let session = global.cluster_session(Some(cluster))?;
    let members = session.client.members()?;
    let Some(known) = members.iter().find(|it| it.leads).or(members.first()) else {
        return Err(Failure::new(
            Code::Fatal,
            "The cluster names no scheduler: is it an older one?",
        ));
    };
    Ok(writeln!(screen::out(), "{}", how_to_join(cluster, &known.mesh, members.len()))?)
}

fn how_to_join(cluster: &str, mesh: &str, count: usize) -> String {
    let advice = match count {
        0 | 1 => "Two schedulers are no safer than one; add a third.",
        count if count % 2 == 0 => "An odd number of schedulers survives as much with one less.",
        _ => "With an odd number of them, add two, or none.",
    };
    format!(
        "On the other machine, with the schedulers' join token (`airglow admin token show {cluster} \
         --for schedulers`) in AIRGLOW_TOKEN, or in the `token_file` of its settings:\n\n    \
         airglow agent --scheduler --cluster {cluster} --join {mesh}\n\n\
         Its `mesh` and `api` have to listen where the other machines reach them.\n\
         {advice}"
    )
}

fn remove(cluster: &str, name: &str, global: &Global) -> Outcome {
    let session = global.cluster_session(Some(cluster))?;
    session.client.dismiss(name)?;
    let told = "is no scheduler of the cluster any more; its agent can be stopped.";
    Ok(writeln!(screen::out(), "{name} {told}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(leads: bool, votes: bool, behind: Option<u64>) -> Scheduler {
        let (name, mesh, api) = ("a".to_owned(), "10.0.0.1:8082".to_owned(), String::new());
        Scheduler { name, mesh, api, leads, votes, behind }
    }

    #[test]
    fn a_members_part_is_told_in_a_word() {
        let words = |it: &Scheduler| row(it)[1..3].join(" ");
        assert_eq!(words(&member(true, true, Some(0))), "leader 0");
        assert_eq!(words(&member(false, true, Some(3))), "follower 3");
        assert_eq!(words(&member(false, false, None)), "joining ?");
    }

    #[test]
    fn the_command_to_type_is_told_whole() {
        let told = how_to_join("west", "10.0.0.1:8082", 1);
        let command = "airglow agent --scheduler --cluster west --join 10.0.0.1:8082\n";
        assert!(told.contains(command) && told.contains("add a third"), "{told}");
    }
}
