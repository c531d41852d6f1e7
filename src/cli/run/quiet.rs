//! A terminal that does not show Ctrl-C as `^C`, which would push what is drawn down by a line.

use std::io;

use nix::{
    sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};

/// Until this is dropped.
pub(super) struct Quiet(Option<Termios>);

impl Quiet {
    pub(super) fn begin() -> Self {
        // Whoever is in the background would be stopped for it.
        let is_ours = tcgetpgrp(io::stdin()).is_ok_and(|it| it == getpgrp());
        let before = if is_ours { tcgetattr(io::stdin()).ok() } else { None };
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_flags.remove(LocalFlags::ECHOCTL);
            set(&quiet);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            set(before);
        }
    }
}

/// It is about looks only.
fn set(termios: &Termios) {
    tcsetattr(io::stdin(), SetArg::TCSANOW, termios).ok();
}
