//! What happens to a task, told line by line: for those who cannot watch it move.

use std::collections::BTreeMap;

use airglow_executor::Progress;
use airglow_model::wire::{ProcessState, ProcessView, RunState, RunView};

use super::words::{self, lasted, span};

/// What has been told so far.
#[derive(Default)]
pub(super) struct Changes {
    state: Option<RunState>,
    stage: String,
    runs: BTreeMap<(String, u32), ProcessState>,
}

impl Changes {
    /// What is new, in the order of the processes.
    pub(super) fn since(&mut self, progress: &Progress) -> Vec<String> {
        let mut told = Vec::new();
        for process in &progress.view.processes {
            for run in &process.runs {
                told.extend(self.run(process, run));
            }
        }
        let stage = &progress.view.stage;
        if self.stage != stage.name {
            self.stage.clone_from(&stage.name);
            if !matches!(stage.name.as_str(), "preparing" | "active" | "over") {
                let colon = if stage.detail.is_empty() { "" } else { ": " };
                told.push(format!("{}{colon}{}", stage.name, stage.detail));
            }
        }
        // The end is told in other words.
        if self.state != Some(progress.state) && !progress.state.is_terminal() {
            self.state = Some(progress.state);
            let state = super::super::screen::name(words::status(progress.state));
            told.push(format!("{state}  {}", progress.message).trim_end().to_owned());
        }
        told
    }

    fn run(&mut self, process: &ProcessView, run: &RunView) -> Option<String> {
        let key = (process.name.clone(), run.run);
        let before = self.runs.insert(key, run.state);
        if before == Some(run.state) {
            return None;
        }
        let again = if run.run == 0 { String::new() } else { format!(", run {}", run.run) };
        let name = format!("{}{again}", process.name);
        match run.state {
            ProcessState::Waiting | ProcessState::Forked => None,
            ProcessState::Running => {
                Some(format!("{name}: started, process {}", run.pid.unwrap_or_default()))
            }
            ProcessState::Success
            | ProcessState::Killed
            | ProcessState::Failed
            | ProcessState::Lost => {
                let after = lasted(run, run.ended_at.unwrap_or_default());
                let after = after.map(|it| format!(" after {}", span(it))).unwrap_or_default();
                let why = words::end(run).map(|it| format!(" ({it})")).unwrap_or_default();
                Some(format!("{name}: {}{after}{why}", words::name(run.state)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use airglow_model::{
        machine::Timestamp,
        wire::{StageView, TaskView},
    };

    use super::*;

    fn run(run: u32, state: ProcessState) -> RunView {
        RunView {
            run,
            state,
            pid: Some(42),
            started_at: Some(Timestamp(1_000)),
            ended_at: state.is_terminal().then_some(Timestamp(1_300)),
            exit_code: (state == ProcessState::Failed).then_some(1),
            message: None,
        }
    }

    fn progress(state: RunState, stage: &str, runs: Vec<RunView>) -> Progress {
        let process = ProcessView {
            name: "p".into(),
            state: ProcessState::Running,
            is_final: false,
            daemon: false,
            ephemeral: false,
            failures: 0,
            runs,
            usage: None,
        };
        let stage = StageView { name: stage.into(), ..StageView::default() };
        let view = TaskView { stage, processes: vec![process], ..TaskView::default() };
        Progress { state, message: "Why.".into(), view }
    }

    #[test]
    fn every_run_is_told_once_even_if_nobody_looked_in_time() {
        let mut changes = Changes::default();
        let mut told = |state, stage, runs| changes.since(&progress(state, stage, runs));
        use ProcessState::{Failed, Running, Success};
        assert_eq!(told(RunState::Starting, "preparing", vec![]), ["STARTING  Why."]);
        let first = vec![run(0, Running)];
        assert_eq!(
            told(RunState::Running, "active", first.clone()),
            ["p: started, process 42", "RUNNING  Why."]
        );
        assert_eq!(told(RunState::Running, "active", first), [""; 0]);
        assert_eq!(
            told(
                RunState::Running,
                "active",
                vec![run(0, Failed), run(1, Failed), run(2, Running)]
            ),
            [
                "p: FAILED after 0.3s (exit 1)",
                "p, run 1: FAILED after 0.3s (exit 1)",
                "p, run 2: started, process 42",
            ]
        );
        assert_eq!(
            told(RunState::Running, "cleaning", vec![run(2, Success)]),
            ["p, run 2: SUCCESS after 0.3s", "cleaning"]
        );
        assert_eq!(told(RunState::Finished, "over", vec![run(2, Success)]), [""; 0]);
    }
}
