//! Whether the kernel has killed processes of the task for want of memory.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use airglow_model::process::Exit;

use crate::order::Record;

pub(super) struct Memory {
    /// The counter's file, if memory is limited.
    events: Option<File>,
    kills: u64,
    is_suspect: bool,
}

impl Memory {
    pub(super) fn watch(events: Option<&Path>) -> Self {
        let events = events.and_then(|it| File::open(it).ok());
        let mut memory = Self { events, kills: 0, is_suspect: false };
        // Of what was killed under a shepherd before us, others tell.
        memory.kills = memory.count().unwrap_or(0);
        memory
    }

    /// Killed by somebody, or the shell that waited for whoever was.
    pub(super) fn suspect(&mut self, exit: &Exit) {
        self.is_suspect |= matches!(exit, Exit::Signal(9) | Exit::Code(137));
    }

    pub(super) fn news(&mut self, is_asked: bool) -> Option<Record> {
        if !std::mem::take(&mut self.is_suspect) && !is_asked {
            return None;
        }
        let kills = self.count()?;
        let is_news = kills > self.kills;
        self.kills = kills;
        is_news.then_some(Record::OutOfMemory { kills })
    }

    fn count(&self) -> Option<u64> {
        let mut text = [0; 512];
        let length = self.events.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(&text[..length]).ok()?;
        text.lines().find_map(|it| it.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}
