//! `airglow host drain`: the scheduler moves everything away; this shows how far it is.

use std::time::Duration;

use airglow_web::api::{Drain, HostSummary};

use super::{Code, Failure, Global, Hosts, Named, Outcome, screen, status};
use crate::cli::{
    amounts::{duration, percentage},
    wait::Pace,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    how: How,
    /// Do not wait until the hosts are empty
    #[arg(long)]
    no_wait: bool,
}

/// What holds for jobs that do not say themselves how much of them has to stay up. Without any of
/// it, these leave at once.
#[derive(clap::Args)]
struct How {
    /// How many of a job's instances have to stay up, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percentage, conflicts_with = "count")]
    percentage: Option<f64>,
    /// How many of a job's instances have to stay up
    #[arg(long)]
    count: Option<u64>,
    /// How long an instance has been up that counts; 30m if not said
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// After which everything leaves by force; 7d if not said
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,
}

/// How long an instance has to have been up to count, where only a share is given.
pub(crate) const USUAL_DURATION: Duration = Duration::from_secs(30 * 60);

impl How {
    fn request(&self) -> Result<Drain, Failure> {
        let &Self { percentage, count, duration, timeout } = self;
        let is_sla = percentage.is_some() || count.is_some();
        if duration.is_some() && !is_sla {
            let message = "--duration goes with --percentage or --count";
            return Err(Failure::new(Code::InvalidParameter, message));
        }
        let duration = is_sla.then(|| duration.unwrap_or(USUAL_DURATION));
        Ok(Drain {
            percentage,
            count,
            duration_secs: duration.map(|it| it.as_secs()),
            timeout_secs: timeout.map(|it| it.as_secs()),
        })
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let request = args.how.request()?;
    let hosts = args.named.find(global)?;
    begin(&hosts, &request)?;
    let drained = if args.no_wait { hosts.look()? } else { wait(&hosts)? };
    status::show(&drained, global)
}

/// Asks for all of them, so that they empty side by side.
pub(crate) fn begin(hosts: &Hosts, request: &Drain) -> Outcome {
    for host in &hosts.names {
        hosts
            .session
            .client
            .host_drain(host, request)
            .map_err(|error| Failure::from(error).under(&format!("Cannot drain {host}:")))?;
    }
    Ok(())
}

/// Until nothing is left on any of them.
pub(crate) fn wait(hosts: &Hosts) -> Result<Vec<HostSummary>, Failure> {
    screen::aside("Waiting until nothing is left; Ctrl-C ends the waiting, not the draining.");
    let mut progress = screen::Progress::new();
    let mut pace = Pace::new();
    loop {
        let now = hosts.look()?;
        for host in &now {
            progress.show(&host.host, &shown(host));
        }
        if let Some(other) = now.iter().find(|it| !is_draining(it) && !is_drained(it)) {
            progress.clear();
            let (host, mode) = (&other.host, &other.mode);
            let message = format!("{host} is not being drained any more: it is in state {mode}");
            return Err(Failure::new(Code::Failed, message)
                .hint("Somebody else must have asked for that meanwhile"));
        }
        if now.iter().all(is_drained) {
            progress.clear();
            return Ok(now);
        }
        pace.pause();
    }
}

fn is_draining(host: &HostSummary) -> bool {
    host.mode == "DRAINING"
}

fn is_drained(host: &HostSummary) -> bool {
    host.mode == "DRAINED"
}

/// One line: how much is left, and what most of those who stay wait for.
fn shown(HostSummary { host, mode, drain, .. }: &HostSummary) -> String {
    let Some(drain) = drain else { return format!("{host}  {mode}") };
    let left = status::left(drain, airglow_kit::now());
    // Of those that are as many the first one told.
    match drain.alike().iter().rev().max_by_key(|it| it.tasks.len()) {
        None => format!("{host}  {left}"),
        Some(most) => {
            format!("{host}  {left}; {}: {}", status::whose(&most.tasks), most.reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn request(flags: &[&str]) -> Option<Drain> {
        let line = Line::try_parse_from([&["drain", "a"], flags].concat()).ok()?;
        line.args.how.request().ok()
    }

    #[test]
    fn a_share_has_a_duration() {
        assert_eq!(request(&[]), Some(Drain::default()));
        let share = Drain { percentage: Some(95.0), duration_secs: Some(1800), ..Drain::default() };
        assert_eq!(request(&["--percentage", "95"]), Some(share));
        let count = Drain { count: Some(3), duration_secs: Some(60), ..Drain::default() };
        assert_eq!(request(&["--count", "3", "--duration", "1m"]), Some(count));
        let forced = Drain { timeout_secs: Some(3600), ..Drain::default() };
        assert_eq!(request(&["--timeout", "1h"]), Some(forced));
        for bad in [
            &["--percentage", "0"][..],
            &["--percentage", "1", "--count", "1"],
            &["--duration", "1m"],
        ] {
            assert_eq!(request(bad), None, "{bad:?}");
        }
    }
}
