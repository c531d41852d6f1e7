//! Whether a job has got where it is going, and how to say where it is in one line.

use std::time::Duration;

use airglow_model::{config::Kind, machine::Timestamp, task::Status};
use airglow_web::api::{JobDetail, TaskSummary};

use super::super::{screen, wait};

/// A service that falls over does so soon: one that has been up for this long counts as running.
const UP_FOR: Duration = Duration::from_secs(2);

/// How long an instance that fits nowhere may wait for a place: on one machine none will turn up.
const PLACED_WITHIN: Duration = Duration::from_secs(20);

/// How often a service may fall over before that is what it does.
const FAILURES: u32 = 3;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Open,
    Good,
    Bad(String),
}

impl Verdict {
    pub(super) fn is_settled(&self) -> bool {
        *self != Self::Open
    }
}

/// Good if every instance is, bad if any is and none is open. What runs by the clock has got where
/// it is going when it is scheduled.
pub(super) fn verdict(job: &JobDetail, now: Timestamp) -> Verdict {
    if job.summary.next_run.is_some() {
        return Verdict::Good;
    }
    if (job.instances.len() as u64) < job.summary.instances {
        return Verdict::Open;
    }
    let service = job.summary.kind == Kind::Service;
    let mut whole = Verdict::Good;
    for task in &job.instances {
        let one = match (service, task.status) {
            (true, Status::Running) if UP_FOR <= now.since(task.since) => Verdict::Good,
            (false, Status::Finished) => Verdict::Good,
            (_, Status::Pending) => placed(job, task, now),
            (true, status) if FAILURES <= task.failures && status != Status::Running => {
                bad(task, "keeps ending")
            }
            (_, Status::Finished) => bad(task, "has ended"),
            (_, Status::Failed | Status::Killed | Status::Lost) => bad(task, "did not finish"),
            _ => Verdict::Open,
        };
        match one {
            Verdict::Open => return Verdict::Open,
            Verdict::Good => (),
            Verdict::Bad(_) => whole = one,
        }
    }
    whole
}

fn bad(task: &TaskSummary, how: &str) -> Verdict {
    let mut why = format!("instance {} {how} ({})", task.instance, screen::name(task.status));
    if !task.message.is_empty() {
        why.push_str(": ");
        why.push_str(&task.message);
    }
    Verdict::Bad(why)
}

fn placed(job: &JobDetail, task: &TaskSummary, now: Timestamp) -> Verdict {
    let reason = refusal(job, task.instance);
    match reason {
        Some(why) if PLACED_WITHIN <= now.since(task.since) => {
            Verdict::Bad(format!("instance {} fits nowhere: {why}", task.instance))
        }
        _ => Verdict::Open,
    }
}

/// Why the machine does not take it.
fn refusal(job: &JobDetail, instance: u32) -> Option<String> {
    let pending = job.pending.iter().find(|it| it.instance == instance)?;
    if !pending.making.is_empty() {
        return None;
    }
    let nearest = pending.nearest.as_ref().map(|it| it.misses.clone());
    nearest.or_else(|| pending.vetoes.first().map(|it| it.reason.clone()))
}

/// `hello  RUNNING 1/1`, or more words where there is more to say.
pub(super) fn line(job: &JobDetail) -> String {
    let counts = &job.summary.counts;
    let total = job.summary.instances.max(job.instances.len() as u64);
    let next = job.summary.next_run.map(|it| format!("  next {}", screen::local_time(it)));
    let next = next.map(|it| screen::faint(&it)).unwrap_or_default();
    let how = match counts.iter().filter(|&(_, &count)| count > 0).collect::<Vec<_>>().as_slice() {
        [(status, count)] => format!("{} {count}/{total}", screen::status(**status)),
        [] => format!("0/{total}"),
        _ => format!("{} of {total}", wait::describe(counts)),
    };
    let why = job.pending.first().and_then(|it| refusal(job, it.instance));
    let why = why.map(|it| format!("  {}", screen::faint(&it))).unwrap_or_default();
    format!("  {}  {how}{why}{next}", screen::bold(&job.summary.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use airglow_web::api::{JobSummary, NearestHost, PendingTask};

    use super::*;

    const NOW: Timestamp = Timestamp(100_000);

    fn job(kind: Kind, instances: Vec<TaskSummary>) -> JobDetail {
        let mut counts = BTreeMap::new();
        for task in &instances {
            *counts.entry(task.status).or_insert(0) += 1;
        }
        JobDetail {
            summary: JobSummary {
                role: "r".into(),
                environment: "e".into(),
                name: "n".into(),
                kind,
                tier: "preemptible".into(),
                production: false,
                instances: 2,
                counts,
                history: 0,
                created_at: Timestamp(0),
                created_by: String::new(),
                next_run: None,
            },
            configs: vec![],
            instances,
            pending: vec![],
            quarantined: vec![],
        }
    }

    fn task(instance: u32, status: Status, seconds: u64) -> TaskSummary {
        TaskSummary {
            role: "r".into(),
            environment: "e".into(),
            name: "n".into(),
            instance,
            task_id: "t".into(),
            status,
            active: status.is_active(),
            since: Timestamp(NOW.0 - seconds * 1000),
            created_at: Timestamp(0),
            message: String::new(),
            host: None,
            ports: BTreeMap::new(),
            failures: 0,
            attempt: 0,
            config: 1,
        }
    }

    fn settles(kind: Kind, tasks: [(Status, u64); 2]) -> Verdict {
        let tasks = tasks.iter().zip(0..).map(|(&(status, for_secs), i)| task(i, status, for_secs));
        verdict(&job(kind, tasks.collect()), NOW)
    }

    #[test]
    fn a_service_settles_when_all_of_it_stays_up() {
        use Status::{Running, Starting};
        assert_eq!(settles(Kind::Service, [(Running, 5), (Running, 5)]), Verdict::Good);
        assert_eq!(settles(Kind::Service, [(Running, 5), (Running, 0)]), Verdict::Open);
        assert_eq!(settles(Kind::Service, [(Running, 5), (Starting, 0)]), Verdict::Open);
        assert_eq!(verdict(&job(Kind::Service, vec![task(0, Running, 5)]), NOW), Verdict::Open);
    }

    #[test]
    fn everything_else_settles_when_all_of_it_has_ended() {
        use Status::{Failed, Finished, Running};
        assert_eq!(settles(Kind::Adhoc, [(Finished, 0), (Finished, 0)]), Verdict::Good);
        assert_eq!(settles(Kind::Adhoc, [(Failed, 0), (Running, 9)]), Verdict::Open);
        let failed = settles(Kind::Adhoc, [(Failed, 0), (Finished, 0)]);
        assert_eq!(failed, Verdict::Bad("instance 0 did not finish (FAILED)".into()));
    }

    #[test]
    fn what_runs_by_the_clock_has_settled_when_it_is_scheduled() {
        let summary = JobSummary {
            next_run: Some(Timestamp(0)),
            instances: 1,
            ..job(Kind::Cron, vec![]).summary
        };
        let scheduled = JobDetail { summary, ..job(Kind::Cron, vec![]) };
        assert_eq!(verdict(&scheduled, NOW), Verdict::Good);
        let line = anstream::adapter::strip_str(&line(&scheduled)).to_string();
        assert!(line.starts_with("  n  0/1  next "), "{line}");
    }

    #[test]
    fn a_service_that_keeps_falling_over_is_bad() {
        let falling = |failures| {
            let task = TaskSummary { failures, ..task(0, Status::Throttled, 0) };
            let summary = JobSummary { instances: 1, ..job(Kind::Service, vec![]).summary };
            verdict(&JobDetail { summary, ..job(Kind::Service, vec![task]) }, NOW)
        };
        assert_eq!(falling(1), Verdict::Open);
        assert_eq!(falling(3), Verdict::Bad("instance 0 keeps ending (THROTTLED)".into()));
    }

    #[test]
    fn what_fits_nowhere_is_waited_for_a_while_and_then_told() {
        let stuck = |seconds| {
            let mut job = job(Kind::Adhoc, vec![task(0, Status::Pending, seconds)]);
            job.summary.instances = 1;
            job.pending = vec![PendingTask {
                role: "r".into(),
                environment: "e".into(),
                name: "n".into(),
                instance: 0,
                task_id: "t".into(),
                since: Timestamp(0),
                hosts: 1,
                vetoes: vec![],
                nearest: Some(NearestHost { host: "h".into(), misses: "CPU: 8 wanted".into() }),
                making: vec![],
            }];
            (verdict(&job, NOW), anstream::adapter::strip_str(&line(&job)).to_string())
        };
        assert_eq!(stuck(1), (Verdict::Open, "  n  PENDING 1/1  CPU: 8 wanted".into()));
        let told = Verdict::Bad("instance 0 fits nowhere: CPU: 8 wanted".into());
        assert_eq!(stuck(60).0, told);
    }
}
