//! The parent of all processes of one task, which outlives the agent.
//!
//! A process of the machine does not end with its actor, and must not: an agent is restarted and
//! upgraded while tasks run. Somebody else has to be there when a process ends, to see how, and to
//! write it down. That is all that this program does: no actors, no runtime, no threads, one loop.
//! It hears orders at a socket and writes what happens into a file, both as `order` has it.
//!
//! It waits for nobody but the kernel: not for the agent to listen, not for a full disk, not for a
//! process to die. Where the machine allows it, it is the first process of a namespace, and then
//! nothing that descends from it can hide from it, or outlive it.

use std::{io, os::fd::OwnedFd};

use nix::sys::{
    prctl,
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::order::{Order, Record, Summons, is_look};

mod birth;
mod callers;
mod flock;
mod ledger;
mod memory;
mod output;
mod raw;
mod rotation;
mod setup;
mod spawn;

pub use birth::{ZYGOTE, zygote};

use self::{callers::Callers, flock::Flock, ledger::Ledger, memory::Memory, setup::Numbers};

struct Shepherd {
    signals: SignalFd,
    callers: Callers,
    ledger: Ledger,
    flock: Flock,
    /// Why nothing can be started as it should be.
    refusal: Option<String>,
    is_leaving: bool,
}

/// To be called in a fork of the zygote; `is_apart` if that is the first process of a namespace, as
/// far as the summons ask for it. What a program does at its end is the zygote's to do, and slow.
fn tend(summons: Summons, listener: OwnedFd, is_apart: io::Result<()>) -> ! {
    // If there is none, another one was quicker, or whoever waits hears that there will be none.
    if let Ok(Some(shepherd)) = Shepherd::new(&summons, listener, is_apart) {
        drop(summons);
        shepherd.tend();
    }
    raw::vanish()
}

impl Shepherd {
    fn new(
        summons: &Summons,
        listener: OwnedFd,
        is_apart: io::Result<()>,
    ) -> io::Result<Option<Self>> {
        setup::leave_home()?;
        let nobody = || io::Error::other("there is nothing about us in /proc");
        let identity = setup::identity().ok_or_else(nobody)?;
        let namespaces = summons.namespaces && is_apart.is_ok();
        let mut ledger = Ledger::open(&summons.folder)?;
        if !ledger.claim(&Record::Shepherd { identity, namespaces })? {
            return Ok(None);
        }
        let numbers = numbers(summons, is_apart);
        let memory = Memory::watch(summons.memory_events.as_deref());
        let followed = numbers.and_then(|it| setup::follow(summons).map(|()| it));
        let (numbers, refusal) = match followed {
            Ok(numbers) => (numbers, None),
            Err(why) => (Numbers::Ours, Some(why)),
        };
        let mut sigchld = SigSet::empty();
        sigchld.add(Signal::SIGCHLD);
        let signals =
            SignalFd::with_flags(&sigchld, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let flock = Flock::new(numbers, memory, summons.open_files);
        let callers = Callers::new(listener)?;
        Ok(Some(Self { signals, callers, ledger, flock, refusal, is_leaving: false }))
    }

    fn tend(mut self) {
        loop {
            let is_late = self.wait();
            while let Ok(Some(_)) = self.signals.read_signal() {}
            for order in self.callers.hear() {
                self.obey(order);
            }
            self.flock.flow();
            for record in self.flock.sweep(self.is_leaving) {
                self.note(&record);
            }
            if let Ok(true) = self.ledger.settle() {
                self.callers.ring();
            }
            if self.is_done(is_late) {
                return;
            }
        }
    }

    /// Whether nothing has happened for as long as that should take.
    fn wait(&self) -> bool {
        let mut waits = vec![PollFd::new(&self.signals, PollFlags::IN)];
        self.callers.wait_for(&mut waits);
        self.flock.wait_for(&mut waits);
        matches!(poll(&mut waits, self.patience().as_ref()), Ok(0))
    }

    fn patience(&self) -> Option<Timespec> {
        let seconds = |tv_sec| Some(Timespec { tv_sec, tv_nsec: 0 });
        if self.ledger.is_owing() || self.flock.is_waiting() || self.callers.is_waiting() {
            return seconds(1);
        }
        // Somebody may remove the folder, of which nobody tells us.
        if self.flock.is_over() { seconds(5) } else { None }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start(start) => {
                let refusal = match &self.refusal {
                    None if self.is_leaving => Some("its task is being ended"),
                    refusal => refusal.as_deref(),
                };
                if let Some(record) = self.flock.start(&start, refusal) {
                    self.note(&record);
                }
            }
            Order::Term => self.flock.term(),
            Order::Kill => self.flock.kill(),
            Order::KillRun { run } => self.flock.kill_run(&run),
            Order::Leave => {
                self.is_leaving = true;
                self.flock.kill();
            }
        }
    }

    fn note(&mut self, record: &Record) {
        match record {
            Record::Started { id, .. } if is_look(id) => {}
            Record::Ended { id, .. } if is_look(id) => self.callers.tell(record),
            Record::Shepherd { .. }
            | Record::Started { .. }
            | Record::Ended { .. }
            | Record::OutOfMemory { .. }
            | Record::Gone => self.ledger.add(record),
        }
    }

    fn is_done(&mut self, is_late: bool) -> bool {
        if is_late {
            self.callers.open_again();
        }
        let is_free = self.is_leaving && !self.ledger.is_owing();
        let is_unwanted = || is_late && !self.ledger.is_wanted();
        self.flock.is_over() && (is_free || is_unwanted())
    }
}

/// # Errors
/// What is in the way of namespaces, for a person to read.
fn numbers(summons: &Summons, is_apart: io::Result<()>) -> Result<Numbers, String> {
    let said = |error: io::Error| format!("it cannot have namespaces of its own: {error}");
    is_apart.map_err(said)?;
    if summons.namespaces {
        let numbers = Numbers::of_outside().map_err(said)?;
        setup::separate_mounts().map_err(said)?;
        return Ok(numbers);
    }
    prctl::set_child_subreaper(true)
        .map_err(|error| format!("it cannot keep its processes together: {error}"))?;
    Ok(Numbers::Ours)
}
