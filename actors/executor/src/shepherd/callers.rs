//! Those who give orders: the agent, and perhaps one that is about to end while the next is there.
//!
//! Nobody is waited for. A caller that does not read what it is told will find the bytes there, and
//! one that sends half a line is heard when the other half has come.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
};

use rustix::event::{PollFd, PollFlags};

use crate::order::{Order, Record};

/// An order that is longer is no order.
const ORDER_MAX: usize = 16 << 20;
const UNSAID_MAX: usize = 64 << 10;
/// More than these have to wait for one to go.
const CALLERS_MAX: usize = 16;

pub(super) struct Callers {
    listener: UnixListener,
    /// Cleared when nobody can be let in for want of something, so as not to try all the time.
    is_open: bool,
    present: Vec<Caller>,
}

struct Caller {
    stream: UnixStream,
    unread: Vec<u8>,
    /// What it is to be told as soon as it listens.
    unsaid: Vec<u8>,
}

impl Callers {
    pub(super) fn new(listener: OwnedFd) -> io::Result<Self> {
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        Ok(Self { listener, is_open: true, present: Vec::new() })
    }

    pub(super) fn wait_for<'a>(&'a self, waits: &mut Vec<PollFd<'a>>) {
        if self.is_open && self.present.len() < CALLERS_MAX {
            waits.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        waits.extend(self.present.iter().map(Caller::wait));
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.is_open
    }

    pub(super) fn open_again(&mut self) {
        self.is_open = true;
    }

    /// What they want, as far as they have said it.
    pub(super) fn hear(&mut self) -> Vec<Order> {
        while self.is_open && self.present.len() < CALLERS_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_open = false,
            }
        }
        let mut orders = Vec::new();
        self.present.iter_mut().for_each(Caller::speak);
        self.present.retain_mut(|it| it.hear(&mut orders).is_ok());
        orders
    }

    /// What happened while it waited to be let in has not been rung for.
    fn welcome(&mut self, mut stream: UnixStream) {
        if stream.set_nonblocking(true).is_ok() {
            stream.write_all(&[0]).ok();
            self.present.push(Caller { stream, unread: Vec::new(), unsaid: Vec::new() });
        }
    }

    /// What is not written down. Who does not listen for that long does not wait for it any more.
    pub(super) fn tell(&mut self, record: &Record) {
        let mut line = serde_json::to_vec(record).expect("a record can be written as JSON");
        line.push(b'\n');
        for caller in self.present.iter_mut().filter(|it| it.unsaid.len() < UNSAID_MAX) {
            caller.unsaid.extend_from_slice(&line);
            caller.speak();
        }
    }

    /// If one does not hear it, it has not yet heard an earlier one, and will look at the file.
    pub(super) fn ring(&self) {
        for caller in &self.present {
            (&caller.stream).write_all(&[0]).ok();
        }
    }
}

impl Caller {
    fn wait(&self) -> PollFd<'_> {
        let speaks = if self.unsaid.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::new(&self.stream, PollFlags::IN | speaks)
    }

    /// If it is gone, that will be heard.
    fn speak(&mut self) {
        while !self.unsaid.is_empty() {
            match self.stream.write(&self.unsaid) {
                Ok(written) => drop(self.unsaid.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// # Errors
    /// It is gone, or does not speak our language.
    fn hear(&mut self, orders: &mut Vec<Order>) -> io::Result<()> {
        let heard = self.read();
        let whole = self.unread.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let lines = self.unread[..whole].split(|it| *it == b'\n').filter(|it| !it.is_empty());
        // Orders that nobody understands are not worth losing those that somebody does.
        orders.extend(lines.filter_map(|it| serde_json::from_slice(it).ok()));
        self.unread.drain(..whole);
        self.unread.shrink_to(KEPT);
        if self.unread.len() > ORDER_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        heard
    }

    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; KEPT];
        for _ in 0..PIECES_AT_ONCE {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.unread.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const KEPT: usize = 4096;
/// Then it is others' turn.
const PIECES_AT_ONCE: usize = 64;
