//! A task as its folder has it, and those who run it.

use std::{cell::Cell, collections::BTreeSet, io, sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Supervisor, now};
use airglow_model::{
    ids::TaskId,
    restart::Intensity,
    run::RunId,
    wire::{Launch, TaskView},
};
use tokio::sync::watch;

use super::{Runner, Shown, Task, Team};
use crate::{
    Host, care::Care, folder::TaskFolder, herd::Herd, journal::Journal, known::Known,
    outline::Outline, process::Process,
};

const PROCESS_CRASHES: Intensity = Intensity { restarts: 3, period: Duration::from_secs(60) };
const HERD_CRASHES: Intensity = Intensity { restarts: 3, period: Duration::from_secs(60) };

impl Task {
    /// `None` if nothing of the task is here.
    pub(super) fn read(
        id: &TaskId,
        host: &Arc<Host>,
        runner: &Addr<Runner>,
    ) -> io::Result<Option<Self>> {
        let Some((folder, launch)) = host.known.tasks.launched(id)? else { return Ok(None) };
        let outline = Outline::of(&launch);
        let (run, journal) = Journal::open(&folder.journal(), outline.run(&launch)?)?;
        let (sender, leash) = watch::channel(());
        let team = Team::of(&launch, &outline, folder, (host, runner), leash);
        Ok(Some(Self {
            run,
            journal,
            asked: BTreeSet::new(),
            outline,
            team,
            is_watched: false,
            appointment: None,
            health: None,
            alarm: None,
            // A task that is over in no time is shown once.
            shown: Shown { at: now(), is_due: false },
            _leash: sender,
        }))
    }

    pub(super) fn view(&self, id: &TaskId, known: &Known) -> TaskView {
        let mut view = self.outline.view(&self.run);
        view.health.clone_from(&self.health);
        if let Ok(team) = &self.team {
            view.isolation = team.care.notes();
            view.user.clone_from(&team.care.sandbox.user);
        }
        known.measured(id, &mut view);
        view
    }
}

impl Team {
    fn of(
        launch: &Launch,
        outline: &Outline,
        folder: TaskFolder,
        (host, runner): (&Host, &Addr<Runner>),
        leash: watch::Receiver<()>,
    ) -> Result<Self, String> {
        let ports = outline.ports.as_ref().map_err(String::clone)?;
        let around = (host, runner.downgrade());
        let care = Arc::new(Care::new(launch, ports, folder, around, leash));
        let lives = Cell::new(0);
        let begin = {
            let care = care.clone();
            move |lifeline, _: &TaskId| {
                let is_successor = lives.replace(lives.get() + 1) > 0;
                Herd::start(lifeline, care.clone(), is_successor)
            }
        };
        let herd = Supervisor::new(HERD_CRASHES, runner.clone().recipient(), begin).start();
        let begin = {
            let (care, herd) = (care.clone(), herd.clone());
            move |lifeline, id: &RunId| Process::start(lifeline, care.clone(), herd.clone(), id)
        };
        let processes = Supervisor::new(PROCESS_CRASHES, runner.clone().recipient(), begin).start();
        Ok(Self { care, herd, processes })
    }
}
