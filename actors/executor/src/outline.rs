//! What of a task follows from what was asked for, without anything that happens to it.

use std::io;

use airglow_model::{
    conduct::Conduct,
    config::Ports,
    ports,
    run::Run,
    wire::{Launch, TaskView},
};

pub(crate) struct Outline {
    /// By all their names; or why they have none.
    pub(crate) ports: Result<Ports, String>,
    pub(crate) conduct: Conduct,
}

impl Outline {
    pub(crate) fn of(launch: &Launch) -> Self {
        let spec = &launch.config.spec;
        let ports = ports::resolved(spec.announce.as_ref(), &launch.ports);
        let conduct = Conduct::of(spec, ports.as_ref().unwrap_or(&launch.ports));
        Self { ports, conduct }
    }

    /// As it was at its very beginning.
    pub(crate) fn run(&self, launch: &Launch) -> io::Result<Run> {
        Run::new(&launch.config.spec.task, &self.conduct).map_err(io::Error::other)
    }

    pub(crate) fn view(&self, run: &Run) -> TaskView {
        let (stage, processes) = run.view();
        let ports = self.ports.clone().unwrap_or_default();
        TaskView { stage, processes, ports, ..TaskView::default() }
    }
}
