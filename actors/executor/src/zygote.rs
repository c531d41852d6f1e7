//! The agent's side of the zygote: see `shepherd::birth`.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketFlags, SocketType, recv, sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize};

use crate::{order::Summons, shepherd::ZYGOTE};

/// Forks shepherds; started again when it has died. It ends with the last of these.
#[derive(Clone)]
pub(crate) struct Zygote(Arc<Mutex<Living>>);

/// What it says first: what tasks can have here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Abilities {
    pub(crate) namespaces: bool,
    /// Why not; else empty.
    pub(crate) why: String,
}

struct Living {
    binary: PathBuf,
    socket: OwnedFd,
    process: Child,
}

impl Zygote {
    /// Waits for its first word, which comes at once.
    pub(crate) fn start(binary: &Path) -> io::Result<(Self, Abilities)> {
        let (living, abilities) = Living::start(binary)?;
        Ok((Self(Arc::new(Mutex::new(living))), abilities))
    }

    /// # Errors
    /// There will be no shepherd. Without an error there may be none either: then `listener`, of
    /// which nobody must keep a copy, is closed, and whoever is connected to it, or tries, hears so.
    pub(crate) fn summon(&self, summons: &Summons, listener: OwnedFd) -> io::Result<()> {
        let text = serde_json::to_vec(summons)?;
        let mut living = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match living.send(&text, &listener) {
            Err(error) if is_dead(&error) => {
                tracing::warn!(%error, "the zygote has died, and is started again");
                *living = Living::start(&living.binary)?.0;
                living.send(&text, &listener)
            }
            sent => sent,
        }
    }
}

fn is_dead(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl Living {
    fn start(binary: &Path) -> io::Result<(Self, Abilities)> {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Nothing of this statement is left when it has ended, so the zygote alone has the other end.
        let process = Command::new(binary)
            .arg(ZYGOTE)
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()?;
        let living = Self { binary: binary.to_owned(), socket, process };
        let abilities = living.hear()?;
        Ok((living, abilities))
    }

    fn hear(&self) -> io::Result<Abilities> {
        let mut word = [0; 4096];
        let (length, _) = recv(&self.socket, &mut word, RecvFlags::empty())?;
        if length == 0 {
            return Err(io::Error::other(format!("{} is no zygote", self.binary.display())));
        }
        Ok(serde_json::from_slice(&word[..length])?)
    }

    fn send(&self, text: &[u8], listener: &OwnedFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [listener.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        loop {
            match sendmsg(&self.socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }
}

impl Drop for Living {
    /// Its shepherds live on.
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
