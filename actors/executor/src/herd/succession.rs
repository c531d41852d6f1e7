//! How a herd finds its task's shepherd, and what it does when there is none any more.

use std::{collections::BTreeSet, io, os::unix::net::UnixStream as StdUnixStream};

use airglow_model::{
    process::Exit,
    run::{Event, RunId},
};
use tokio::net::UnixStream;

use super::{
    KILL_PATIENCE, Tending,
    line::{Line, Sound, passed, soon},
    register::{Register, Standing},
};
use crate::{
    care::Attached,
    folder::Found,
    order::{Order, Record},
    runner::{Attended, Tended},
};

/// Without what was told before us, and would be news if it were told again: that memory ran out.
/// Whoever knows of a run's end has heard all that came before it. `tended`: whose ends are not known.
fn untold(mut records: Vec<Record>, tended: &BTreeSet<RunId>) -> Vec<Record> {
    let is_known = |it: &Record| matches!(it, Record::Ended { id, .. } if !tended.contains(id));
    let known = records.iter().rposition(is_known).map_or(0, |it| it + 1);
    records.split_off(known)
}

const NOBODY_CAME: &str = "Its shepherd did not come.";

impl Tending {
    /// Somebody may have been here before us.
    pub(super) async fn begin(&mut self) {
        if self.care.folder.is_untouched() {
            return;
        }
        // Whatever may have been ordered is not ordered from another shepherd.
        if let Some(runner) = self.care.runner.upgrade() {
            self.ordered.extend(runner.send(Tended).await.unwrap_or_default());
        }
        match Register::read(&self.care.folder) {
            Ok((register, records)) => {
                self.register = register;
                self.care.consists_of(&self.register);
                self.tell_records(untold(records, &self.ordered));
            }
            Err(error) => tracing::error!(task = %self.care.id, %error, "cannot read the record"),
        }
        self.ordered.retain(|it| self.register.standing(it) != Standing::Ended);
        let folder = self.care.folder.clone();
        match self.care.known.workers.run(move || folder.find_shepherd()).await {
            Ok(Found::Shepherd(stream)) => self.attend(stream),
            Ok(Found::Nobody) => self.finish().await,
            Ok(Found::NobodyYet) => self.ordered.clear(),
            Err(error) => tracing::error!(task = %self.care.id, %error, "cannot be reached"),
        }
        if self.is_successor {
            self.tell_runner(Attended);
        }
    }

    /// There is a shepherd when this returns, or was a moment ago.
    pub(super) async fn be_attached(&mut self) -> io::Result<()> {
        if self.register.is_corrupt() {
            self.outlast().await;
        }
        // If it is gone, what it left is seen to first.
        for _ in 0..2 {
            if self.line.is_some() {
                return Ok(());
            }
            let care = self.care.clone();
            match self.care.known.workers.run(move || care.attach()).await? {
                Attached::To(stream) => self.attend(stream),
                Attached::ToNobody => self.finish().await,
            }
        }
        match self.line {
            Some(_) => Ok(()),
            None => Err(io::Error::other("what its shepherd left cannot be cleared away")),
        }
    }

    /// A shepherd whose record makes no sense has been told to leave: nothing more is ordered from it.
    async fn outlast(&mut self) {
        let mut deadline = soon(KILL_PATIENCE);
        while self.line.is_some() {
            tokio::select! {
                sound = Line::sound(self.line.as_mut()) => match sound {
                    Sound::Bell(seen) => self.attend_to(seen).await,
                    Sound::End => self.finish().await,
                },
                () = passed(Some(deadline)) => {
                    self.end_by_force().await;
                    deadline = soon(KILL_PATIENCE);
                }
            }
        }
    }

    /// It rings as soon as it hears us, so that we look what was written before.
    pub(super) fn attend(&mut self, stream: StdUnixStream) {
        match UnixStream::from_std(stream) {
            Ok(stream) => self.line = Some(Line::new(stream)),
            Err(error) => tracing::error!(task = %self.care.id, %error, "cannot listen"),
        }
    }

    /// To what was said, and to what may have been written down.
    pub(super) async fn attend_to(&mut self, seen: Vec<Record>) {
        seen.into_iter().for_each(|it| self.looks.heard(it));
        self.read().await;
    }

    pub(super) async fn read(&mut self) {
        match self.register.read_on(&self.care.folder.record()) {
            Ok(records) => self.tell_records(records),
            Err(error) => tracing::error!(task = %self.care.id, %error, "cannot read the record"),
        }
        if self.register.is_corrupt() && !self.is_leaving {
            // Nobody knows what runs, so nothing may.
            self.deadline = Some(soon(KILL_PATIENCE));
            self.order(&Order::Leave).await;
        }
        let is_quiet = self.register.alive().is_empty() && !self.register.has_leftover;
        if is_quiet && !self.is_leaving && !self.register.is_corrupt() {
            self.deadline = None;
        }
    }

    /// The shepherd is gone, perhaps before those who were in its care.
    pub(super) async fn finish(&mut self) {
        self.read().await;
        self.line = None;
        self.deadline = None;
        self.looks.fail("The shepherd of the task is gone.");
        let mut lost: BTreeSet<_> = self.register.alive().keys().cloned().collect();
        lost.append(&mut self.ordered.clone());
        let is_clear = lost.is_empty() && !self.register.has_leftover;
        if self.is_leaving && is_clear {
            return;
        }
        // As long as there is a group that can tell.
        let memory_kills = self.care.memory_kills();
        let care = self.care.clone();
        // Of looks nothing is written down.
        let may_be_left = !is_clear || self.looks.have_begun();
        let was_nobody =
            may_be_left && self.care.known.workers.run(move || care.end_by_force()).await;
        if self.care.leash.has_changed().is_err() {
            return;
        }
        let exit = if was_nobody { Exit::Unstarted(NOBODY_CAME.to_owned()) } else { Exit::Lost };
        match self.register.close(&self.care.folder, (&lost, &exit), memory_kills) {
            Ok(records) => self.tell_records(records),
            Err(error) => {
                tracing::error!(task = %self.care.id, %error, "cannot write what was lost");
                // The next attempt will, before there is another shepherd.
                if self.register.memory_kills < memory_kills {
                    self.tell(Event::Exceeded { message: self.care.out_of_memory() });
                }
                lost.into_iter().for_each(|it| self.say_lost(it, &exit));
                self.tell(Event::Gone);
            }
        }
    }

    /// Looks through all processes of the machine, which takes a while.
    pub(super) async fn end_by_force(&mut self) {
        tracing::warn!(task = %self.care.id, "is ended by force");
        self.deadline = Some(soon(KILL_PATIENCE));
        let care = self.care.clone();
        let was_nobody = self.care.known.workers.run(move || care.end_by_force()).await;
        if was_nobody {
            // Whoever comes now will end at once, which we will hear.
            let exit = Exit::Unstarted(NOBODY_CAME.to_owned());
            for run in std::mem::take(&mut self.ordered) {
                self.say_ended(run, exit.clone());
            }
        }
        if self.line.is_none() {
            // Nobody else will tell us that it is done.
            self.finish().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use airglow_model::machine::Timestamp;

    use super::*;

    #[test]
    fn of_what_was_written_down_only_what_came_after_the_last_known_end_is_news() {
        let id = |process: &str| RunId { process: process.into(), run: 0 };
        let ended = |process| {
            let (id, exit) = (id(process), Exit::Signal(9));
            Record::Ended { id, at: Timestamp(1), exit, leftover: false }
        };
        let kills = |kills| Record::OutOfMemory { kills };
        let records = vec![kills(1), ended("a"), ended("b"), kills(2), ended("c"), Record::Gone];
        let untold = |tended: &[&str]| {
            let tended = tended.iter().map(|it| id(it)).collect();
            untold(records.clone(), &tended)
        };
        assert_eq!(untold(&["a", "b", "c"]), records);
        assert_eq!(untold(&["b", "c"]), records[2..]);
        assert_eq!(untold(&["c", "d"]), records[3..]);
        assert_eq!(untold(&[]), records[5..]);
    }
}
