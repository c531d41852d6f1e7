//! The processes of one task: those that were asked for, and whoever descends from them.
//!
//! We are the parent of all of them, or become it when theirs ends: of the namespace's first process
//! all orphans are children, and so they are of a subreaper. What a run began with leads a process
//! group, which ends with it. Who has left the group stays until everything is to end; such *strays*
//! are the task's matter, and no run's.

use std::{collections::BTreeMap, sync::Arc};

use airglow_kit::now;
use airglow_model::{machine::Timestamp, process::Exit, run::RunId};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::{Pid, getpgid},
};
use rustix::{
    event::PollFd,
    process::{WaitOptions, getpid, waitpgid, waitpid},
};

use super::{
    memory::Memory,
    output::{Channel, Pump},
    raw,
    setup::Numbers,
    spawn::{Mouths, spawn},
};
use crate::{
    order::{Record, Start, is_look},
    pids,
};

pub(super) struct Flock {
    numbers: Numbers,
    memory: Memory,
    open_files: u64,
    runs: Vec<Run>,
    /// The last run of each process that was asked for.
    asked: BTreeMap<Arc<str>, u32>,
    /// What strays still write to.
    left_pumps: Vec<Pump>,
    /// Those who are to end must be told again and again: their children only then become ours.
    is_doomed: bool,
    /// It was said that there are strays.
    is_leftover: bool,
}

struct Run {
    id: RunId,
    /// It has the number of its group.
    main: Pid,
    stage: Stage,
    pumps: Vec<Pump>,
    is_doomed: bool,
}

enum Stage {
    Running,
    /// Its main process is gone, and what it left in its group is about to be.
    Ending {
        exit: Exit,
        at: Timestamp,
    },
    /// So is that, and its words are not yet all where they belong.
    Ended {
        exit: Exit,
        at: Timestamp,
    },
}

impl Flock {
    pub(super) fn new(numbers: Numbers, memory: Memory, open_files: u64) -> Self {
        Self {
            numbers,
            memory,
            open_files,
            runs: Vec::new(),
            asked: BTreeMap::new(),
            left_pumps: Vec::new(),
            is_doomed: false,
            is_leftover: false,
        }
    }

    /// What there is to say of it, unless it was said when it was asked for the first time.
    pub(super) fn start(&mut self, start: &Start, refusal: Option<&str>) -> Option<Record> {
        let known = self.asked.get(&start.run.process);
        if known.is_some_and(|it| *it >= start.run.run) {
            return None;
        }
        self.asked.insert(start.run.process.clone(), start.run.run);
        if is_look(&start.run) {
            self.end_other_looks(&start.run.process);
        }
        let started = match refusal {
            Some(why) => Err(why.to_owned()),
            None => self.try_start(start),
        };
        Some(started.unwrap_or_else(|why| {
            // Who was told of strays is told when they are gone.
            self.is_leftover |= self.has_strays();
            let (id, exit) = (start.run.clone(), Exit::Unstarted(why));
            Record::Ended { id, at: now(), exit, leftover: self.is_leftover }
        }))
    }

    fn try_start(&mut self, start: &Start) -> Result<Record, String> {
        let (stdout, stderr) = (Channel::open(&start.stdout)?, Channel::open(&start.stderr)?);
        let mouths = Mouths { stdout: stdout.mouth(), stderr: stderr.mouth() };
        let at = now();
        let main = spawn(start, &mouths, self.open_files).map_err(|it| it.to_string())?;
        let identity = self.numbers.identity(main);
        let main = Pid::from_raw(main.as_raw_nonzero().get());
        let identity = identity.map_err(|error| {
            killpg(main, Signal::SIGKILL).ok();
            error.to_string()
        })?;
        let pumps = [stdout, stderr].into_iter().filter_map(Channel::into_pump).collect();
        let id = start.run.clone();
        self.runs.push(Run {
            id: id.clone(),
            main,
            stage: Stage::Running,
            pumps,
            is_doomed: false,
        });
        Ok(Record::Started { id, main: identity, at })
    }

    fn end_other_looks(&mut self, name: &str) {
        for look in self.runs.iter().filter(|it| is_look(&it.id) && *it.id.process != *name) {
            look.kill();
        }
        self.asked.retain(|it, _| !it.starts_with('.') || **it == *name);
    }

    pub(super) fn wait_for<'a>(&'a self, waits: &mut Vec<PollFd<'a>>) {
        self.pumps().for_each(|it| it.wait_for(waits));
    }

    /// Something has to be tried again that nobody will tell us of.
    pub(super) fn is_waiting(&self) -> bool {
        let is_ending = |it: &Run| !matches!(it.stage, Stage::Running);
        self.is_doomed || self.runs.iter().any(is_ending) || self.pumps().any(Pump::is_stuck)
    }

    fn pumps(&self) -> impl Iterator<Item = &Pump> {
        self.runs.iter().flat_map(|it| &it.pumps).chain(&self.left_pumps)
    }

    pub(super) fn flow(&mut self) {
        let pumps = self.runs.iter_mut().flat_map(|it| &mut it.pumps);
        pumps.chain(&mut self.left_pumps).for_each(Pump::flow);
        self.left_pumps.retain(|it| !it.is_over());
    }

    /// To everybody whose parent we are, as far as they were there before.
    pub(super) fn term(&self) {
        for child in children() {
            kill(child, Signal::SIGTERM).ok();
        }
    }

    pub(super) fn kill_run(&self, id: &RunId) {
        if let Some(run) = self.runs.iter().find(|it| it.id == *id) {
            run.kill();
        }
    }

    pub(super) fn kill(&mut self) {
        match self.numbers {
            // Everybody but ourselves whom we could know of, at once.
            Numbers::Theirs(_) => drop(kill(Pid::from_raw(-1), Signal::SIGKILL)),
            Numbers::Ours => {
                self.is_doomed = true;
                self.runs.iter_mut().for_each(|it| it.is_doomed = true);
                self.kill_children();
            }
        }
    }

    /// But for those of runs that began after that was ordered.
    fn kill_children(&mut self) {
        let is_spared = |child: &Pid| self.run_of(*child).is_some_and(|it| !it.is_doomed);
        let doomed: Vec<_> = children().filter(|it| !is_spared(it)).collect();
        self.is_doomed = !doomed.is_empty();
        for child in doomed {
            kill(child, Signal::SIGKILL).ok();
        }
    }

    /// What has happened since. With nobody to read what is not yet written, that is not waited for.
    pub(super) fn sweep(&mut self, is_leaving: bool) -> Vec<Record> {
        self.reap();
        if self.is_doomed {
            self.kill_children();
        }
        let ended = self.take_ended(is_leaving);
        let mut news = Vec::new();
        news.extend(self.memory.news(!ended.is_empty()));
        if ended.is_empty() && !self.is_leftover {
            return news;
        }
        let leftover = self.has_strays();
        news.extend(ended.into_iter().map(|(id, exit, at)| Record::Ended {
            id,
            at,
            exit,
            leftover,
        }));
        if self.is_leftover && !leftover {
            news.push(Record::Gone);
        }
        self.is_leftover = leftover;
        news
    }

    fn reap(&mut self) {
        while let Ok(Some((child, exit))) = raw::ended_child() {
            self.memory.suspect(&exit);
            let is_main = |it: &&mut Run| it.main == child && matches!(it.stage, Stage::Running);
            if let Some(run) = self.runs.iter_mut().find(is_main) {
                // Not reaped yet, so the group is still its own.
                killpg(child, Signal::SIGKILL).ok();
                run.stage = Stage::Ending { exit, at: now() };
            }
            waitpid(raw_pid(child), WaitOptions::NOHANG).ok();
        }
    }

    fn take_ended(&mut self, is_leaving: bool) -> Vec<(RunId, Exit, Timestamp)> {
        self.runs.iter_mut().for_each(Run::go_on_ending);
        let mut ended = Vec::new();
        for run in std::mem::take(&mut self.runs) {
            let is_written = run.pumps.iter().all(Pump::is_finished);
            match run.stage {
                Stage::Ended { exit, at } if is_written || is_leaving => {
                    ended.push((run.id, exit, at));
                    self.left_pumps.extend(run.pumps.into_iter().filter(|it| !it.is_over()));
                }
                Stage::Running | Stage::Ending { .. } | Stage::Ended { .. } => self.runs.push(run),
            }
        }
        ended
    }

    /// Whether there is anybody whom no run accounts for.
    fn has_strays(&self) -> bool {
        self.is_anybody_there() && children().any(|it| self.run_of(it).is_none())
    }

    /// Nobody is left, and nothing to be said of anybody.
    pub(super) fn is_over(&self) -> bool {
        self.runs.is_empty() && !self.is_anybody_there()
    }

    fn is_anybody_there(&self) -> bool {
        !self.runs.is_empty() || raw::ended_child().is_ok()
    }

    fn run_of(&self, child: Pid) -> Option<&Run> {
        let group = getpgid(Some(child)).ok();
        let is_its = |it: &&Run| it.main == child || Some(it.main) == group;
        // When all of them are gone the number may be others'.
        let is_there = |it: &&Run| !matches!(it.stage, Stage::Ended { .. });
        self.runs.iter().filter(is_there).find(is_its)
    }
}

impl Run {
    /// Once its main process is reaped its number may be others'.
    fn kill(&self) {
        if matches!(self.stage, Stage::Running) {
            killpg(self.main, Signal::SIGKILL).ok();
        }
    }

    fn go_on_ending(&mut self) {
        if let Stage::Ending { exit, at } = &self.stage
            && is_group_gone(self.main)
        {
            self.stage = Stage::Ended { exit: exit.clone(), at: *at };
            self.pumps.iter_mut().for_each(Pump::finish);
        }
    }
}

/// As far as they are our children, which whoever has lost a parent is. Others have a parent in
/// another group, and were killed like these.
fn is_group_gone(group: Pid) -> bool {
    let Some(id) = raw_pid(group) else { return true };
    loop {
        match waitpgid(id, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => {
                // Somebody may have come in from another group since.
                killpg(group, Signal::SIGKILL).ok();
                return false;
            }
            Err(_) => return true,
        }
    }
}

fn children() -> impl Iterator<Item = Pid> {
    pids::children(getpid().as_raw_nonzero().get()).into_iter().map(Pid::from_raw)
}

fn raw_pid(pid: Pid) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(pid.as_raw())
}
