//! Commands that look at a task from within: with its user, its groups and its namespaces.
//!
//! They are run by its shepherd as its processes are, under a name that no process has, and nobody
//! but whoever wanted to look hears of them. The name is of one herd alone, so that none of its runs
//! is taken for one that somebody before it had ordered.

use std::{
    collections::BTreeMap,
    fs::File,
    future::poll_fn,
    io::{self, Read},
    sync::Arc,
    task::Poll,
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

    /// The next one that nobody waits for any more, which is no matter of ours from then on.
    pub(super) async fn forsaken(&mut self) -> RunId {
        poll_fn(|cx| {
            let mut is_forsaken =
                |answer: &mut oneshot::Sender<_>| answer.poll_closed(cx).is_ready();
            let mut pending = self.pending.extract_if(.., |_, (answer, _)| is_forsaken(answer));
            pending.next().map_or(Poll::Pending, |(id, _)| Poll::Ready(id))
        })
        .await
    }

    pub(super) fn fail(&mut self, why: &str) {
        for (answer, _) in std::mem::take(&mut self.pending).into_values() {
            answer.send(Err(why.to_owned())).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn what_nobody_waits_for_any_more_is_found_once() {
        let mut looks = Looks::new();
        let id = |run| RunId { process: looks.name.clone(), run };
        let ids = [id(0), id(1), id(2)];
        let mut waiting = Vec::new();
        for id in &ids {
            let (answer, seen) = oneshot::channel();
            looks.pending.insert(id.clone(), (answer, tempfile::tempfile().unwrap()));
            waiting.push(seen);
        }
        let last = waiting.pop();
        waiting.remove(0);
        assert_eq!(looks.forsaken().await, ids[0]);
        let (found, ()) = tokio::join!(looks.forsaken(), async { drop(last) });
        assert_eq!(found, ids[2]);
        assert!(looks.pending.keys().eq([&ids[1]]));
        looks.ended(&ids[1], Exit::Code(3));
        let seen = waiting.remove(0).await.unwrap();
        assert_eq!(seen, Ok((Exit::Code(3), String::new())));
    }
}
