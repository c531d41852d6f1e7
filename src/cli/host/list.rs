//! `airglow host list`.

use std::io::Write;

use airglow_model::machine::Timestamp;
use airglow_web::api::{HostSummary, Resources};

use super::{Global, Outcome, screen};

pub(super) fn run(cluster: Option<&str>, global: &Global) -> Outcome {
    let session = global.cluster_session(cluster)?;
    let hosts = session.client.hosts()?;
    if global.write_json {
        return screen::json(&hosts);
    }
    let now = airglow_kit::now();
    let rows = hosts.iter().map(|it| {
        vec![
            it.host.clone(),
            state(it),
            mode(it),
            heard(it, now),
            version(it),
            it.tasks.to_string(),
            used(it, |of| of.cpu, |cpu| format!("{cpu:.1}")),
            used(it, |of| of.ram_mb, short),
            used(it, |of| of.disk_mb, short),
            alone(it),
            attributes(it),
        ]
    });
    let header = [
        "HOST",
        "STATE",
        "MODE",
        "HEARD",
        "VERSION",
        "TASKS",
        "CPU",
        "RAM",
        "DISK",
        "ALONE",
        "ATTRIBUTES",
    ];
    Ok(writeln!(screen::out(), "{}", screen::table(&header, rows))?)
}

/// And what is odd about it.
fn state(host: &HostSummary) -> String {
    let odd = host.wrong_clock().map(|it| format!(", {it}")).unwrap_or_default();
    format!("{}{odd}", host.state)
}

/// Of the program, and of the protocol if it is known.
fn version(host: &HostSummary) -> String {
    match host.protocol {
        0 => host.version.clone(),
        protocol => format!("{} p{protocol}", host.version),
    }
}

/// How long its tasks go on without a scheduler.
fn alone(host: &HostSummary) -> String {
    host.isolated_max_secs
        .map_or_else(|| "for ever".into(), |secs| screen::age(Timestamp(0), Timestamp(secs * 1000)))
}

/// Only if somebody asked for something.
fn mode(host: &HostSummary) -> String {
    if host.mode == "NONE" { String::new() } else { host.mode.clone() }
}

/// A scheduler that has just started knows hosts that it has not heard yet.
fn heard(host: &HostSummary, now: Timestamp) -> String {
    match host.heard_at {
        Timestamp(0) => "–".into(),
        at => format!("{} ago", screen::age(at, now)),
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

/// `512M`, `62.9G`: short, so that a host has one line.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to a digit anyway")]
fn short(mb: u64) -> String {
    match mb {
        0 => "0".into(),
        1..1024 => format!("{mb}M"),
        1024..1_048_576 => format!("{:.1}G", mb as f64 / 1024.0),
        _ => format!("{:.1}T", mb as f64 / 1_048_576.0),
    }
}

/// But for the host's own name, which is in the first column.
fn attributes(host: &HostSummary) -> String {
    let is_news = |(name, values): &(&String, &Vec<String>)| {
        *name != "host" || **values != [host.host.clone()]
    };
    let pair = |(name, values): (&String, &Vec<String>)| format!("{name}={}", values.join(","));
    host.attributes.iter().filter(is_news).map(pair).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let amounts = [0, 16, 1023, 1536, 65_536, 3 << 20].map(short);
        assert_eq!(amounts, ["0", "16M", "1023M", "1.5G", "64.0G", "3.0T"]);
    }
}
