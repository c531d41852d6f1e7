//! Where shepherds come from.
//!
//! A program of its own, which an agent starts once: it is small, so forking it is quick, and it has
//! one thread, so forking it is safe, neither of which can be said of the agent. Its children are
//! shepherds without another `exec`, and live on when it ends, which it does with the agent: their
//! socket tells it.

use std::{
    fs::File,
    io::{self, IoSliceMut, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    unistd::setsid,
};
use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send},
    pipe::{PipeFlags, pipe_with},
};

use super::{
    raw::{self, Side},
    setup, tend,
};
use crate::{order::Summons, pids::Identity, zygote::Abilities};

/// What the program is called with to be one.
pub const ZYGOTE: &str = "zygote";

/// A message longer than this is none of the agent's.
const SUMMONS_MAX: usize = 64 * 1024;

/// Forks a shepherd for every task that the agent, whose socket is our standard input, has. To be
/// called before anything else is started: it needs to be the only thread.
pub fn zygote() -> ExitCode {
    raw::close_inherited();
    match Zygote::new().and_then(|mut it| it.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

struct Zygote {
    /// Our own numbers, to go back to from a new namespace.
    numbers: Option<File>,
    buffer: Vec<u8>,
}

impl Zygote {
    fn new() -> io::Result<Self> {
        // Whoever interrupts the agent at a terminal does not mean us. Who leads a group already was
        // started by hand.
        setsid().ok();
        raw::ignore_children()?;
        // Learnt once, for all children: it says which numbers are of this life of the machine, and
        // they will not see its first process any more.
        Identity::of(rustix::process::getpid().as_raw_nonzero().get());
        let numbers = File::open("/proc/self/ns/pid").ok();
        Ok(Self { numbers, buffer: vec![0; SUMMONS_MAX] })
    }

    /// Until the agent is gone.
    fn serve(&mut self) -> io::Result<()> {
        let why = self.try_namespaces().err().map(|it| it.to_string());
        let abilities = Abilities { namespaces: why.is_none(), why: why.unwrap_or_default() };
        match send(io::stdin(), &serde_json::to_vec(&abilities)?, SendFlags::NOSIGNAL) {
            // The agent has gone already.
            Err(Errno::PIPE) => return Ok(()),
            sent => sent?,
        };
        while let Some((summons, listener)) = self.hear()? {
            if let Err(error) = self.bear(summons, listener) {
                complain(&error);
            }
        }
        Ok(())
    }

    /// `None` when there is no agent any more, which then wants none of what it has summoned.
    fn hear(&mut self) -> io::Result<Option<(Summons, OwnedFd)>> {
        loop {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            let received =
                match recvmsg(io::stdin(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                    Err(Errno::INTR) => continue,
                    // It has left without hearing our first word.
                    Err(Errno::CONNRESET) => return Ok(None),
                    received => received?,
                };
            if received.bytes == 0 || is_agent_gone()? {
                return Ok(None);
            }
            let listener = control.drain().find_map(|it| match it {
                RecvAncillaryMessage::ScmRights(mut files) => files.next(),
                RecvAncillaryMessage::ScmCredentials(_) | _ => None,
            });
            let summons = serde_json::from_slice(&self.buffer[..received.bytes]);
            match (summons, listener) {
                (Ok(summons), Some(listener)) => return Ok(Some((summons, listener))),
                (Err(error), _) => complain(&error.into()),
                (Ok(_), None) => complain(&io::Error::other("a summons came without a socket")),
            }
        }
    }

    /// # Errors
    /// There is no shepherd. Whoever waits for it hears it from the socket, which is closed.
    fn bear(&mut self, summons: Summons, listener: OwnedFd) -> io::Result<()> {
        let is_apart = if summons.namespaces { self.separate() } else { Ok(()) };
        let side = raw::fork_alone();
        if matches!(side, Ok(Side::Child)) {
            (self.numbers, self.buffer) = (None, Vec::new());
            tend(summons, listener, is_apart);
        }
        if summons.namespaces && is_apart.is_ok() {
            self.rejoin();
        }
        side?;
        Ok(())
    }

    /// The next child is the first of a namespace.
    fn separate(&self) -> io::Result<()> {
        if self.numbers.is_none() {
            return Err(io::Error::other("/proc/self/ns/pid cannot be opened"));
        }
        Ok(unshare(CloneFlags::CLONE_NEWPID)?)
    }

    /// Ends rather than to put the next task into the namespace of this one.
    fn rejoin(&self) {
        let numbers = self.numbers.as_ref().expect("who has none does not separate");
        if let Err(error) = setns(numbers, CloneFlags::CLONE_NEWPID) {
            complain(&error.into());
            raw::vanish();
        }
    }

    /// # Errors
    /// Tasks cannot have namespaces here, and why.
    fn try_namespaces(&self) -> io::Result<()> {
        let (report, result) = pipe_with(PipeFlags::CLOEXEC)?;
        self.separate()?;
        let side = raw::fork_alone();
        if matches!(side, Ok(Side::Child)) {
            let mut result = File::from(result);
            if let Err(error) = setup::separate_mounts() {
                write!(result, "{error}").ok();
            }
            raw::vanish();
        }
        self.rejoin();
        side?;
        drop(result);
        let why = io::read_to_string(File::from(report))?;
        if why.is_empty() { Ok(()) } else { Err(io::Error::other(why)) }
    }
}

fn is_agent_gone() -> io::Result<bool> {
    let stdin = io::stdin();
    let stdin = stdin.as_fd();
    let mut agent = [PollFd::new(&stdin, PollFlags::empty())];
    poll(&mut agent, Some(&Timespec::default()))?;
    Ok(agent[0].revents().contains(PollFlags::HUP))
}

/// Where the agent's own words go.
fn complain(error: &io::Error) {
    writeln!(io::stderr(), "airglow {ZYGOTE}: {error}").ok();
}
