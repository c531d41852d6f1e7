//! `airglow host status`: whether something is to be done to a host, and how far that is.

use std::{fmt::Write as _, io::Write};

use airglow_model::machine::Timestamp;
use airglow_web::api::{DrainProgress, HostSummary};

use super::{Global, Hosts, Outcome, screen};

pub(crate) fn run(hosts: &Hosts, global: &Global) -> Outcome {
    show(&hosts.look()?, global)
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
        for wait in &drain.waits {
            writeln!(text, "  {}: {}", wait.task, wait.reason).ok();
        }
    }
    text
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
    use super::*;

    #[test]
    fn a_drain_tells_what_is_left_and_until_when() {
        let now = Timestamp(1_000_000);
        let drain = |left, deadline| DrainProgress {
            since: Timestamp(0),
            deadline: Timestamp(deadline),
            by: "somebody".into(),
            left,
            waits: vec![],
        };
        assert_eq!(left(&drain(3, 1_060_000), now), "3 tasks left, forced in 60s");
        assert_eq!(left(&drain(1, 1_000_000), now), "1 task left, leaving by force");
    }
}
