//! Commands that look at a task from within: with its user, its groups and its namespaces.
//!
//! They are run by its shepherd as its processes are, under a name that no process has, and nobody
//! but whoever wanted to look hears of them. The name is of one herd alone, so that none of its runs
//! is taken for one that somebody before it had ordered.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    sync::Arc,
};

use airglow_kit::now;
use airglow_model::{process::Exit, run::RunId};
use tokio::sync::oneshot;

use crate::{
    care::Care,
    order::{Record, Start},
};

/// The most that anybody wants to read of what a command says.
const OUTPUT_MAX: u64 = 4096;

#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) cmdline: String,
    /// How it ended and what it said, or why nobody knows. Dropped by who waits no longer.
    pub(crate) answer: oneshot::Sender<Seen>,
}

pub(crate) type Seen = Result<(Exit, String), String>;

/// Those that have not ended.
pub(super) struct Looks {
    /// The process that they are runs of.
    name: Arc<str>,
    pending: BTreeMap<RunId, (oneshot::Sender<Seen>, File)>,
    next: u32,
}

impl Look {
    pub(super) fn fail(self, why: &str) {
        self.answer.send(Err(why.to_owned())).ok();
    }
}

impl Looks {
    pub(super) fn new() -> Self {
        let name = format!(".health.{}", now().0).into();
        Self { name, pending: BTreeMap::new(), next: 0 }
    }

    /// Whether there ever was one.
    pub(super) fn have_begun(&self) -> bool {
        self.next > 0
    }

    pub(super) fn begin(&mut self, look: Look, care: &Care) -> io::Result<Start> {
        let run = RunId { process: self.name.clone(), run: self.next };
        let (start, output) = match care.look(run.clone(), &look.cmdline) {
            Ok(begun) => begun,
            Err(error) => {
                look.fail(&error.to_string());
                return Err(error);
            }
        };
        self.next += 1;
        self.pending.insert(run, (look.answer, output));
        Ok(start)
    }

    pub(super) fn heard(&mut self, record: Record) {
        if let Record::Ended { id, exit, .. } = record {
            self.ended(&id, exit);
        }
    }

    fn ended(&mut self, id: &RunId, exit: Exit) {
        let Some((answer, output)) = self.pending.remove(id) else { return };
        let mut text = Vec::new();
        let seen = output.take(OUTPUT_MAX).read_to_end(&mut text);
        let seen = seen.map(|_| (exit, String::from_utf8_lossy(&text).into_owned()));
        answer.send(seen.map_err(|it| it.to_string())).ok();
    }

    /// Those that nobody waits for any more.
    pub(super) fn forsaken(&self) -> Vec<RunId> {
        let is_forsaken =
            |(_, (answer, _)): &(&RunId, &(oneshot::Sender<Seen>, File))| answer.is_closed();
        self.pending.iter().filter(is_forsaken).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn fail(&mut self, why: &str) {
        for (answer, _) in std::mem::take(&mut self.pending).into_values() {
            answer.send(Err(why.to_owned())).ok();
        }
    }
}
