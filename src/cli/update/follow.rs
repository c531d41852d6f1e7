//! `airglow update wait`, and `--wait`: an update is watched until it ends. On a terminal as a
//! picture that is drawn again and again, elsewhere line by line as Aurora's client did.
//!
//! Each look is at the whole update with its history, so nothing that happens between two looks is
//! missed.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use airglow_model::{
    ids::UpdateKey,
    update::{Action, Status},
};
use airglow_web::api::{TaskSummary, UpdateDetail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Code, Failure, FullKey, Global, Outcome, Session, info, named, not_found,
    picture::{self, Size, picture},
    screen,
};
use crate::client::pause;

pub(crate) fn run(key: &FullKey, id: Option<String>, global: &Global) -> Outcome {
    let session = global.session(&key.cluster)?;
    let update = named(&session, key, id)?;
    to_its_end(&session, key, &update, Status::RolledForward, global)
}

/// Watches it until it ends, and succeeds if that is the end that was hoped for.
pub(super) fn to_its_end(
    session: &Session,
    key: &FullKey,
    update: &UpdateKey,
    hoped_for: Status,
    global: &Global,
) -> Outcome {
    let mut show = Show::new(key, global.write_json);
    let mut pace = Pace::new(show.live.is_some());
    let detail = loop {
        let asked_at = airglow_kit::now();
        let detail = session.client.update(update)?.ok_or_else(|| not_found(key))?;
        show.now(&detail)?;
        if !detail.summary.active {
            break detail;
        }
        pace.pause(airglow_kit::now().since(asked_at));
    };
    show.finish(&detail)?;
    if global.write_json {
        screen::json(&info::described(key, &detail))?;
    }
    match code(detail.summary.status, hoped_for) {
        None => Ok(()),
        Some(code) => {
            let run = failed_run(session, key, &detail);
            let logs = run.map(|it| format!("{}/task/{it}", session.address.pages));
            Err(ended(key, &detail, code, logs.as_deref()))
        }
    }
}

/// `None`: it came to what was hoped for.
fn code(status: Status, hoped_for: Status) -> Option<Code> {
    match status {
        it if it == hoped_for => None,
        Status::RolledForward | Status::RolledBack => Some(Code::Failed),
        Status::RollingForward
        | Status::RollForwardPaused
        | Status::RollForwardAwaitingPulse
        | Status::RollingBack
        | Status::RollBackPaused
        | Status::RollBackAwaitingPulse
        | Status::Aborted
        | Status::Error
        | Status::Failed => Some(Code::Unknown),
    }
}

/// The newest run that failed with what the update brought. If it has been forgotten, or nobody can
/// be asked any more, the verdict is told without it.
fn failed_run(session: &Session, key: &FullKey, it: &UpdateDetail) -> Option<String> {
    if let Some(run) = it.instances.iter().rev().find_map(|it| it.failed_task_id.clone()) {
        return Some(run);
    }
    let failed = it.instance_events.iter().rev().find(|it| it.action == Action::UpdateFailed)?;
    let config = it.target.as_ref()?.config;
    let is_it =
        |it: &TaskSummary| it.instance == failed.instance && it.config == config && !it.active;
    let history = session.client.history(&key.job).ok()?;
    history.into_iter().find(is_it).map(|it| it.task_id)
}

fn ended(key: &FullKey, it: &UpdateDetail, code: Code, logs: Option<&str>) -> Failure {
    let summary = &it.summary;
    let status = summary.status;
    let why = picture::reason(it).map(|it| format!(": {it}")).unwrap_or_default();
    let outcome = picture::outcome(status, summary.direction);
    let logs = logs.map(|it| format!("Logs of the run that failed: {it}\n")).unwrap_or_default();
    let more = format!("`airglow update info {key} {}` tells what happened", summary.id);
    Failure::new(code, format!("The update ended as {status}{why}"))
        .hint(format!("{outcome}\n{logs}{more}"))
}

/// Less often the longer an answer takes, so that a large job is not asked about all the time.
struct Pace {
    next: Duration,
    longest: Duration,
}

impl Pace {
    fn new(is_live: bool) -> Self {
        let longest = Duration::from_millis(if is_live { 500 } else { 2000 });
        Self { next: Duration::from_millis(100), longest }
    }

    fn pause(&mut self, took: Duration) {
        pause(self.next.max(took * 4));
        self.next = (self.next * 5 / 4).min(self.longest);
    }
}

/// What the user sees of an update.
struct Show<'a> {
    key: &'a FullKey,
    live: Option<ProgressBar>,
    /// Standard output belongs to the result.
    is_quiet: bool,
    /// How many of its changes of status have been told; at first only the newest is.
    told: Option<usize>,
}

impl<'a> Show<'a> {
    fn new(key: &'a FullKey, is_quiet: bool) -> Self {
        let watched = io::stdout().is_terminal() && io::stderr().is_terminal() && !is_quiet;
        let live = watched.then(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                .with_style(ProgressStyle::with_template("{msg}").expect("the template is right"))
        });
        Self { key, live, is_quiet, told: None }
    }

    fn now(&mut self, it: &UpdateDetail) -> Outcome {
        if let Some(bar) = &self.live {
            bar.set_message(drawn(self.key, it).join("\n"));
            return Ok(());
        }
        let told = self.told.unwrap_or(it.events.len().saturating_sub(1));
        for event in it.events.iter().skip(told) {
            let line = format!("Current state {}", event.status);
            if self.is_quiet {
                screen::aside(&line);
            } else {
                writeln!(screen::out(), "{line}")?;
            }
        }
        self.told = Some(it.events.len());
        Ok(())
    }

    /// The last picture stays.
    fn finish(&self, it: &UpdateDetail) -> Outcome {
        let Some(bar) = &self.live else { return Ok(()) };
        let lines = drawn(self.key, it);
        bar.finish_and_clear();
        lines.iter().for_each(|it| screen::aside(it));
        Ok(writeln!(screen::out(), "Current state {}", it.summary.status)?)
    }
}

fn drawn(key: &FullKey, it: &UpdateDetail) -> Vec<String> {
    let (height, width) = console::Term::stderr().size();
    let size = Size { width: width.into(), height: height.into() };
    picture(key, it, airglow_kit::now(), size)
}

#[cfg(test)]
mod tests {
    use super::{super::picture::tests::detail, *};

    #[test]
    fn only_what_was_hoped_for_is_a_success() {
        let codes = |hoped_for| {
            Status::ALL.into_iter().filter(|it| !it.is_active()).map(move |it| {
                let code = code(it, hoped_for).map_or(0, |it| it as u8);
                format!("{it} {code}")
            })
        };
        let forward: Vec<_> = codes(Status::RolledForward).collect();
        let all = ["ROLLED_FORWARD 0", "ROLLED_BACK 4", "ABORTED 20", "ERROR 20", "FAILED 20"];
        assert_eq!(forward, all);
        let back: Vec<_> = codes(Status::RolledBack).collect();
        assert_eq!(back[..2], ["ROLLED_FORWARD 4", "ROLLED_BACK 0"]);
    }

    #[test]
    fn an_end_is_told_with_its_reason() {
        let mut it = detail(&[]);
        it.summary.status = Status::RolledBack;
        it.events = serde_json::from_value(serde_json::json!([
            {"at": 1, "status": "ROLLING_FORWARD", "user": "ada", "message": "v2"},
            {"at": 2, "status": "ROLLING_BACK", "user": "", "message": "instance 0 exited."},
            {"at": 3, "status": "ROLLED_BACK", "user": "", "message": ""},
        ]))
        .unwrap();
        let failure = ended(&"c/r/e/n".parse().unwrap(), &it, Code::Failed, None);
        assert_eq!(failure.to_string(), "The update ended as ROLLED_BACK: instance 0 exited.");
        it.events.drain(1..);
        let failure = ended(&"c/r/e/n".parse().unwrap(), &it, Code::Unknown, None);
        assert_eq!(failure.to_string(), "The update ended as ROLLED_BACK");
    }
}
