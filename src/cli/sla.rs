//! `airglow sla`: for how long a job's instances have been up, as Aurora's client counted it: by
//! those that run now.

use std::{fmt::Write as _, io::Write, time::Duration};

use airglow_model::{machine::Timestamp, task::Status};
use airglow_web::api::JobDetail;
use serde_json::json;

use super::{
    Global, Outcome, amounts, exit::Failure, job::no_such_job, key::FullKey, screen, wait,
};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show how many of a job's instances have been up for how long
    GetTaskUpCount {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
        /// For which times, separated by commas
        #[arg(long, value_name = "TIME,…", value_delimiter = ',', value_parser = span)]
        #[arg(default_value = "1m,10m,1h,12h,7d")]
        durations: Vec<Span>,
    },
    /// Show how long most of a job's instances have been up
    GetJobUptime {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
        /// Which shares of the instances, in percent, separated by commas
        #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', value_parser = percentile)]
        #[arg(default_value = "99,95,90,85,75,60,50,30,10")]
        percentiles: Vec<f64>,
    },
}

/// A time, and how it was written.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    written: String,
    duration: Duration,
}

fn span(text: &str) -> Result<Span, String> {
    amounts::duration(text).map(|duration| Span { written: text.trim().to_owned(), duration })
}

fn percentile(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(it) if it > 0.0 && it < 100.0 => Ok(it),
        _ => Err(format!(
            "Invalid percentile value:{text}. Must be between 0.0 and 100.0 exclusive."
        )),
    }
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::GetTaskUpCount { key, durations } => up_count(&key, &durations, global),
        Verb::GetJobUptime { key, mut percentiles } => {
            percentiles.sort_by(|a, b| b.total_cmp(a));
            uptime(&key, &percentiles, global)
        }
    }
}

fn up_count(key: &FullKey, durations: &[Span], global: &Global) -> Outcome {
    let ups = ask(key, global)?;
    let counts = durations.iter().map(|it| (it, ups.percent(it.duration)));
    if global.write_json {
        let count = |(span, percent): (&Span, f64)| json!({ "duration_secs": span.duration.as_secs(), "percentage": percent });
        return screen::json(&counts.map(count).collect::<Vec<_>>());
    }
    let lines = counts.fold(String::new(), |mut lines, (Span { written, .. }, percent)| {
        writeln!(lines, "{written}\t- {percent:.2} %").expect("a string takes everything");
        lines
    });
    Ok(screen::out().write_all(lines.as_bytes())?)
}

fn uptime(key: &FullKey, percentiles: &[f64], global: &Global) -> Outcome {
    let ups = ask(key, global)?;
    let uptimes = percentiles.iter().map(|&it| (it, ups.reached_by(it).as_secs()));
    if global.write_json {
        let uptime = |(percentile, secs)| json!({ "percentile": percentile, "uptime_secs": secs });
        return screen::json(&uptimes.map(uptime).collect::<Vec<_>>());
    }
    let lines = uptimes.fold(String::new(), |mut lines, (percentile, secs)| {
        writeln!(lines, "{percentile:?} percentile\t- {secs} seconds")
            .expect("a string takes everything");
        lines
    });
    Ok(screen::out().write_all(lines.as_bytes())?)
}

fn ask(key: &FullKey, global: &Global) -> Result<Ups, Failure> {
    let job = global.session(&key.cluster)?.job(key)?.ok_or_else(|| no_such_job(key))?;
    Ok(Ups::of(&job, airglow_kit::now()))
}

/// How long each live instance has been RUNNING, shortest first.
struct Ups(Vec<Duration>);

impl Ups {
    fn of(job: &JobDetail, now: Timestamp) -> Self {
        let live = job.instances.iter().filter(|it| wait::is_live(it.status));
        let up = live.map(|it| {
            // On its way out, it is not to be counted on.
            let since = if it.status == Status::Running { it.since } else { now };
            Duration::from_millis(now.0.saturating_sub(since.0))
        });
        Self::new(up.collect())
    }

    fn new(mut ups: Vec<Duration>) -> Self {
        ups.sort_unstable();
        Self(ups)
    }

    /// How many of them have been up for so long, in percent.
    #[expect(clippy::cast_precision_loss, reason = "no job has that many instances")]
    fn percent(&self, duration: Duration) -> f64 {
        let enough = self.0.iter().filter(|&&up| duration <= up).count();
        if self.0.is_empty() { 0.0 } else { enough as f64 * 100.0 / self.0.len() as f64 }
    }

    /// What so many percent of them have been up for at least.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of how many instances a job has"
    )]
    fn reached_by(&self, percentile: f64) -> Duration {
        let total = self.0.len();
        let left_out = (percentile / 100.0 * total as f64).floor() as usize;
        let index = total.saturating_sub(left_out).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ups(secs: impl IntoIterator<Item = u64>) -> Ups {
        Ups::new(secs.into_iter().map(Duration::from_secs).collect())
    }

    #[test]
    fn a_share_of_the_instances_has_been_up_for_so_long() {
        let all = ups([400, 100, 300, 200]);
        let percent = |secs| all.percent(Duration::from_secs(secs));
        assert_eq!((percent(0), percent(200), percent(401)), (100.0, 75.0, 0.0));
        assert_eq!(ups([]).percent(Duration::ZERO), 0.0);
    }

    #[test]
    fn most_instances_have_been_up_for_so_long() {
        let all = ups(1..=100);
        let reached = |percentile| all.reached_by(percentile).as_secs();
        assert_eq!((reached(99.0), reached(50.0), reached(10.0)), (1, 50, 90));
        assert_eq!(ups([7]).reached_by(99.0).as_secs(), 7);
        assert_eq!(ups([]).reached_by(99.0), Duration::ZERO);
    }

    #[test]
    fn shares_are_real_ones() {
        assert_eq!(percentile("99.5"), Ok(99.5));
        for bad in ["0", "100", "-1", "x"] {
            assert!(percentile(bad).unwrap_err().starts_with("Invalid percentile value:"), "{bad}");
        }
        assert_eq!(span("1h3m").unwrap().written, "1h3m");
    }
}
