//! `airglow host status`: whether something is to be done to a host, and how far that is.

use std::{fmt::Write as _, io::Write};

use airglow_model::machine::Timestamp;
use airglow_web::api::{Alike, DrainProgress, HostSummary};

use super::{Global, Hosts, Outcome, screen};

pub(crate) fn run(hosts: &Hosts, global: &Global) -> Outcome {
    let hosts = hosts.look()?;
    if global.write_json {
        return screen::json(&hosts);
    }
    let now = airglow_kit::now();
    let text: String = hosts.iter().map(|it| render(it, now) + &contact(it, now)).collect();
    Ok(screen::out().write_all(text.as_bytes())?)
}

pub(crate) fn show(hosts: &[HostSummary], global: &Global) -> Outcome {
    if global.write_json {
        return screen::json(&hosts);
    }
    let now = airglow_kit::now();
    let text: String = hosts.iter().map(|it| render(it, now)).collect();
    Ok(screen::out().write_all(text.as_bytes())?)
}

/// The first line as it has always been.
fn render(HostSummary { host, mode, drain, .. }: &HostSummary, now: Timestamp) -> String {
    let mut text = format!("{host} is in state: {mode}\n");
    if let Some(drain) = drain {
        writeln!(text, "  {}", left(drain, now)).ok();
        for Alike { reason, tasks, .. } in drain.alike() {
            writeln!(text, "  {}: {reason}", whose(&tasks)).ok();
        }
    }
    text
}

/// `  up, heard 3s ago; without a scheduler its tasks go on for 1 h`
fn contact(host: &HostSummary, now: Timestamp) -> String {
    let clock = host.wrong_clock().map(|it| format!(", {it}")).unwrap_or_default();
    let heard = match host.heard_at {
        Timestamp(0) => String::new(),
        at => format!(", heard {} ago", screen::age(at, now)),
    };
    format!("  {}{heard}{clock}; without a scheduler its {}\n", host.state, host.alone())
}

/// Who waits: by name if it is one.
pub(super) fn whose(tasks: &[&str]) -> String {
    match tasks {
        [only] => (*only).to_owned(),
        all => format!("{} tasks", all.len()),
    }
}

/// How much is still there, and how long it may stay.
pub(super) fn left(drain: &DrainProgress, now: Timestamp) -> String {
    let tasks = if drain.left == 1 { "task" } else { "tasks" };
    let forced = match drain.deadline {
        at if at <= now => "leaving by force".into(),
        at => format!("forced in {}", screen::age(now, at)),
    };
    format!("{} {tasks} left, {forced}", drain.left)
}

#[cfg(test)]
mod tests {
    use airglow_web::api::Drain;

    use super::*;

    #[test]
    fn who_waits_alone_is_named_and_others_are_counted() {
        assert_eq!(whose(&["www/prod/web/3"]), "www/prod/web/3");
        assert_eq!(whose(&["a/b/c/0", "a/b/c/1"]), "2 tasks");
    }

    #[test]
    fn a_drain_tells_what_is_left_and_until_when() {
        let now = Timestamp(1_000_000);
        let drain = |left, deadline| DrainProgress {
            since: Timestamp(0),
            deadline: Timestamp(deadline),
            by: "somebody".into(),
            request: Drain::default(),
            left,
            waits: vec![],
        };
        assert_eq!(left(&drain(3, 1_060_000), now), "3 tasks left, forced in 60s");
        assert_eq!(left(&drain(1, 1_000_000), now), "1 task left, leaving by force");
    }
}
