//! Words for what happens to a task and its processes.

use std::time::Duration;

use airglow_model::{
    machine::Timestamp,
    task::Status,
    wire::{ProcessState, RunState, RunView},
};
use anstyle::{AnsiColor, Style};

pub(super) fn status(state: RunState) -> Status {
    match state {
        RunState::Starting => Status::Starting,
        RunState::Running => Status::Running,
        RunState::Finished => Status::Finished,
        RunState::Failed => Status::Failed,
        RunState::Killed => Status::Killed,
        RunState::Lost => Status::Lost,
    }
}

pub(super) fn name(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Waiting => "WAITING",
        ProcessState::Forked => "FORKED",
        ProcessState::Running => "RUNNING",
        ProcessState::Success => "SUCCESS",
        ProcessState::Killed => "KILLED",
        ProcessState::Failed => "FAILED",
        ProcessState::Lost => "LOST",
    }
}

pub(super) fn color(state: ProcessState) -> Style {
    match state {
        ProcessState::Waiting => Style::new().dimmed(),
        ProcessState::Forked => AnsiColor::Yellow.on_default(),
        ProcessState::Running | ProcessState::Success => AnsiColor::Green.on_default(),
        ProcessState::Killed => AnsiColor::Cyan.on_default(),
        ProcessState::Failed | ProcessState::Lost => AnsiColor::Red.on_default(),
    }
}

/// `0.3s`, `12s`, `3m05s`, `2h10m`
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// How long a run took, or has been going on for.
pub(super) fn lasted(run: &RunView, now: Timestamp) -> Option<Duration> {
    Some(run.ended_at.unwrap_or(now).since(run.started_at?))
}

/// How a run ended, if that is worth a word.
pub(super) fn end(run: &RunView) -> Option<String> {
    let code = match run.exit_code {
        Some(0) | None => None,
        Some(code @ 1..) => Some(format!("exit {code}")),
        Some(signal) => Some(format!("signal {}", -signal)),
    };
    match (code, &run.message) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or_else(|| message.clone()),
    }
}

pub(super) fn usage(cpu: f64, ram: u64) -> String {
    format!("{cpu:.2} cores, {} MB", ram >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let span = |ms| span(Duration::from_millis(ms));
        assert_eq!([span(0), span(340), span(9_900)], ["0.0s", "0.3s", "9.9s"]);
        assert_eq!([span(12_300), span(185_000), span(7_800_000)], ["12s", "3m05s", "2h10m"]);
    }

    #[test]
    fn ends_are_told_if_they_are_not_the_usual_one() {
        let run = |exit_code, message: Option<&str>| RunView {
            run: 0,
            state: ProcessState::Failed,
            pid: None,
            started_at: None,
            ended_at: None,
            exit_code,
            message: message.map(str::to_owned),
        };
        assert_eq!(end(&run(Some(0), None)), None);
        assert_eq!(end(&run(Some(3), None)).as_deref(), Some("exit 3"));
        assert_eq!(end(&run(Some(-9), Some("why"))).as_deref(), Some("signal 9: why"));
        assert_eq!(end(&run(None, Some("why"))).as_deref(), Some("why"));
    }
}
