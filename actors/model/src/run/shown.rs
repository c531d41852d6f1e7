//! How a run is, for people to look at.

use crate::{
    machine::Timestamp,
    plan::{Plan, Planned},
    process::Process,
    run::{Readiness, Run, Stage},
    wire::{ProcessView, RUNS_SHOWN, StageView},
};

impl Run {
    pub fn view(&self) -> (StageView, Vec<ProcessView>) {
        let stage = StageView {
            name: self.stage.name().to_owned(),
            detail: self.awaited(),
            until: self.stage.until(),
        };
        let processes = self.plan.processes().iter().zip(&self.processes);
        (stage, processes.map(|(planned, process)| view(planned, process)).collect())
    }

    /// What is being waited for; empty if nothing is.
    fn awaited(&self) -> String {
        match &self.stage {
            Stage::Preparing => "waits for its sandbox".to_owned(),
            Stage::Active => match self.readiness {
                Readiness::Awaited => "waits until it is healthy".to_owned(),
                Readiness::Assumed | Readiness::Proven => String::new(),
            },
            Stage::Leaving { farewell, is_heard, .. } => {
                let path = &self.farewells[*farewell].path;
                if *is_heard {
                    format!("asked to quit over HTTP ({path}); waits until it ends")
                } else {
                    format!("is asked to quit over HTTP ({path})")
                }
            }
            Stage::Cleaning { .. } => format!("SIGTERM sent; waits for {} to end", self.living()),
            Stage::Finalizing { .. } => {
                let all = self.of(Plan::FINAL).count();
                let ended =
                    self.of(Plan::FINAL).filter(|&(place, _)| self.has_ended(place)).count();
                format!("{ended} of {all} final processes have ended")
            }
            Stage::Ending { .. } => format!("SIGKILL sent; waits for {} to end", self.living()),
            Stage::Over { .. } => String::new(),
        }
    }

    /// Who still runs, in words.
    fn living(&self) -> String {
        let processes = match self.processes.iter().filter(|it| it.is_alive()).count() {
            0 => None,
            1 => Some("1 process".to_owned()),
            many => Some(format!("{many} processes")),
        };
        let strays = self.has_strays.then(|| "what ended processes left behind".to_owned());
        processes.into_iter().chain(strays).collect::<Vec<_>>().join(" and ")
    }

    fn has_ended(&self, place: usize) -> bool {
        self.processes[place].is_done()
    }
}

impl Stage {
    fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Leaving { until, .. }
            | Self::Cleaning { until, .. }
            | Self::Finalizing { until, .. } => Some(*until),
            Self::Preparing | Self::Active | Self::Ending { .. } | Self::Over { .. } => None,
        }
    }
}

fn view(planned: &Planned, process: &Process) -> ProcessView {
    ProcessView {
        name: planned.name.to_string(),
        state: process.shown_state(),
        is_final: planned.is_final,
        daemon: planned.daemon,
        ephemeral: planned.ephemeral,
        failures: process.failures(),
        runs: process.shown_runs(RUNS_SHOWN),
        usage: None,
    }
}
