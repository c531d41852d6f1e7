//! Looks whether a task is healthy, again and again; what that makes of the task is
//! [`model::health`](airglow_model::health)'s matter.
//!
//! A check that hangs holds up nobody: it is a future that is dropped when its time is over. One
//! that panics has failed, and the next is made nevertheless. The tasks of a host are not checked
//! in step for long, even if they were all launched, or found again, in the same moment: each waits
//! a little longer than its interval, and by another bit each time.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::now;
use airglow_model::{
    conduct::{Check, How, Pace},
    health::{Health, Verdict},
    process::Exit,
    wire::{CHECKS_SHOWN, CheckView, HealthView},
};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

mod http;
mod shell;
mod tcp;

/// Runs a command as one of the task's own, and tells how it ended and what it wrote. It is ended
/// when that takes longer than said, or when nobody waits for it any more.
pub(crate) type Shell = Arc<dyn Fn(String, Duration) -> Running>;
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(Exit, String), String>>>>;

/// What becomes known of a task's health.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// Once, and not of a task that was known to be.
    Healthy,
    /// Once; it is not looked at any more. `reason`: as users know it.
    Unhealthy { reason: String },
    /// How it is and how its last checks went, for people to look at.
    Seen(HealthView),
}

/// As long as this is held, the task is checked.
#[must_use]
pub(crate) struct Appointment(Addr<Checkup>);

pub(crate) struct Checkup {
    examination: Rc<Examination>,
    pace: Pace,
    health: Health,
    view: HealthView,
    is_told_healthy: bool,
    /// Before the first look.
    delay: Duration,
    told: Box<dyn Fn(Told)>,
}

/// One look, which may be taken any number of times.
struct Examination {
    how: How,
    timeout: Duration,
    /// Everything is well as long as this is there.
    snooze_file: PathBuf,
    shell: Shell,
}

struct Finding {
    is_snoozed: bool,
    result: Result<(), String>,
    latency: Duration,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Enough;

impl Checkup {
    /// `check`: with its references replaced. `is_resumed`: the task has been healthy, and its agent
    /// has been started again since.
    pub(crate) fn start(
        check: Check,
        is_resumed: bool,
        snooze_file: PathBuf,
        shell: Shell,
        told: impl Fn(Told) + 'static,
    ) -> Appointment {
        let Check { how, pace } = check;
        let health = if is_resumed { Health::resumed(&pace) } else { Health::new(&pace) };
        let view = HealthView {
            check: in_words(&how),
            is_healthy: *health.verdict() == Verdict::Healthy,
            ..HealthView::default()
        };
        let delay = if is_resumed { a_part_of(pace.interval) } else { Duration::ZERO };
        let checkup = Self {
            examination: Rc::new(Examination { how, timeout: pace.timeout, snooze_file, shell }),
            pace,
            health,
            view,
            is_told_healthy: is_resumed,
            delay,
            told: Box::new(told),
        };
        Appointment(checkup.start())
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let found = self.examination.clone().find();
        ctx.spawn(found.into_actor(self).map(Self::found));
    }

    fn found(finding: Finding, this: &mut Self, ctx: &mut Context<Self>) {
        let why = finding.result.as_ref().err().map_or("", String::as_str);
        this.health = this.health.checked(finding.result.is_ok(), why);
        this.note(finding);
        (this.told)(Told::Seen(this.view.clone()));
        match this.health.verdict().clone() {
            Verdict::Unhealthy { reason } => {
                (this.told)(Told::Unhealthy { reason });
                return ctx.stop();
            }
            Verdict::Healthy if !this.is_told_healthy => {
                this.is_told_healthy = true;
                (this.told)(Told::Healthy);
            }
            Verdict::Starting | Verdict::Healthy => {}
        }
        let longer = a_part_of((this.pace.interval / 10).min(LONGER_MAX));
        ctx.run_later(this.pace.interval + longer, Self::look);
    }

    fn note(&mut self, Finding { is_snoozed, result, latency }: Finding) {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        let view = &mut self.view;
        view.is_healthy = *self.health.verdict() == Verdict::Healthy;
        view.consecutive_successes = self.health.consecutive_successes();
        view.consecutive_failures = self.health.consecutive_failures();
        view.is_snoozed = is_snoozed;
        view.checks += 1;
        view.total_latency_ms = view.total_latency_ms.saturating_add(latency_ms);
        view.last.push(CheckView {
            at: now(),
            is_success: result.is_ok(),
            latency_ms,
            message: result.err().unwrap_or_default(),
        });
        if CHECKS_SHOWN < view.last.len() {
            view.last.remove(0);
        }
    }
}

/// No check is later than its interval says by more than this.
const LONGER_MAX: Duration = Duration::from_secs(1);

/// Any, so that not everybody does the same at the same time.
fn a_part_of(whole: Duration) -> Duration {
    let any = RandomState::new().hash_one(()).to_be_bytes()[0];
    whole * u32::from(any) / 256
}

fn in_words(how: &How) -> String {
    match how {
        How::Http { port, path, .. } => format!("GET http://localhost:{port}{path}"),
        How::Tcp { port } => format!("connect to localhost:{port}"),
        How::Shell { command } => command.clone(),
    }
}

impl Examination {
    async fn find(self: Rc<Self>) -> Finding {
        // The link itself: where it leads is nobody's business.
        if fs::symlink_metadata(&self.snooze_file).is_ok() {
            return Finding { is_snoozed: true, result: Ok(()), latency: Duration::ZERO };
        }
        let start = Instant::now();
        // A task of its own, so that a panic is its own; dropped with us.
        let mut check = JoinSet::new();
        check.spawn_local(async move { self.check().await });
        let result = match check.join_next().await.expect("there is one") {
            Ok(result) => result,
            Err(error) => Err(format!("Internal health check error: {}", words_of(error))),
        };
        Finding { is_snoozed: false, result, latency: start.elapsed() }
    }

    async fn check(&self) -> Result<(), String> {
        match &self.how {
            How::Http { port, path, expected_response, expected_code } => {
                http::check(*port, path, expected_response, *expected_code, self.timeout).await
            }
            How::Tcp { port } => tcp::check(*port, self.timeout).await,
            How::Shell { command } => shell::check(command, &self.shell, self.timeout).await,
        }
    }
}

fn words_of(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was given up".to_owned() };
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl Actor for Checkup {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        (self.told)(Told::Seen(self.view.clone()));
        ctx.run_later(self.delay, Self::look);
    }
}

impl Handler<Enough> for Checkup {
    type Result = ();

    fn handle(&mut self, _: Enough, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Drop for Appointment {
    fn drop(&mut self) {
        self.0.do_send(Enough);
    }
}

#[cfg(test)]
mod tests;
