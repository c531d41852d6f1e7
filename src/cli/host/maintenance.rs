//! `airglow host maintenance` and `airglow host activate`.

use airglow_web::api::HostSummary;

use super::{Failure, Global, Hosts, Outcome, status};
use crate::client;

pub(crate) fn announce(hosts: &Hosts, global: &Global) -> Outcome {
    each(hosts, global, "Cannot announce maintenance of", |host| {
        hosts.session.client.host_maintenance(host)
    })
}

pub(crate) fn end(hosts: &Hosts, global: &Global) -> Outcome {
    each(hosts, global, "Cannot end maintenance of", |host| {
        hosts.session.client.host_activate(host)
    })
}

fn each(
    hosts: &Hosts,
    global: &Global,
    failing: &str,
    ask: impl Fn(&str) -> client::Result<HostSummary>,
) -> Outcome {
    let asked = hosts.names.iter().map(|host| {
        ask(host).map_err(|error| Failure::from(error).under(&format!("{failing} {host}:")))
    });
    let asked: Vec<HostSummary> = asked.collect::<Result<_, Failure>>()?;
    status::show(&asked, global)
}
