//! `airglow host`: the machines of a cluster.

use std::io::Write;

use airglow_model::machine::Timestamp;
use airglow_web::api::{HostSummary, Resources};

use super::{Global, Outcome, screen};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List the machines of a cluster
    List {
        /// Without a name: the cluster of the agent on this machine
        #[arg(default_value = "")]
        cluster: String,
    },
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    let Verb::List { cluster } = verb;
    let session = match cluster.as_str() {
        "" => global.only_session()?,
        name => {
            let session = global.session(name)?;
            let there = session.cluster(&session.client.jobs(&[])?)?;
            match there.filter(|it| it != name) {
                Some(there) => return Err(session.elsewhere(name, &there)),
                None => session,
            }
        }
    };
    let hosts = session.client.hosts()?;
    if global.write_json {
        return screen::json(&hosts);
    }
    let now = airglow_kit::now();
    let rows = hosts.iter().map(|it| {
        vec![
            it.host.clone(),
            it.state.clone(),
            heard(it, now),
            it.tasks.to_string(),
            used(it, |of| of.cpu, |cpu| format!("{cpu:.1}")),
            used(it, |of| of.ram_mb, |mb| format!("{mb} MB")),
            used(it, |of| of.disk_mb, |mb| format!("{mb} MB")),
            attributes(it),
        ]
    });
    let header = ["HOST", "STATE", "HEARD", "TASKS", "CPU", "RAM", "DISK", "ATTRIBUTES"];
    Ok(writeln!(screen::out(), "{}", screen::table(&header, rows))?)
}

/// A scheduler that has just started knows hosts that it has not heard yet.
fn heard(host: &HostSummary, now: Timestamp) -> String {
    match host.heard_at {
        Timestamp(0) => "–".into(),
        at => screen::age(at, now),
    }
}

/// `used/capacity`.
fn used<T>(
    host: &HostSummary,
    part: impl Fn(&Resources) -> T,
    show: impl Fn(T) -> String,
) -> String {
    format!("{} of {}", show(part(&host.used)), show(part(&host.capacity)))
}

fn attributes(host: &HostSummary) -> String {
    let pair = |(name, values): (&String, &Vec<String>)| format!("{name}={}", values.join(","));
    host.attributes.iter().map(pair).collect::<Vec<_>>().join(" ")
}
