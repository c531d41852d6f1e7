//! How long this host has heard from no scheduler that leads, and when its tasks may not go on
//! without one any more.
//!
//! A scheduler that does not hear from a host replaces what runs there, each job after as long as
//! its policy says. Nobody can tell the host so. If there is to be an end to both running, the host
//! has to bring it about by itself.
//!
//! Clocks that are set play no part in it: it is counted since the machine was switched on, and so
//! it is known to the next agent as well. Over another boot nothing has run on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::folder::write_private;

pub(crate) struct Isolation {
    /// `None`: they go on for ever.
    limit: Option<Duration>,
    heard: Moment,
    /// That is on disk.
    written: Option<Moment>,
    path: PathBuf,
    /// What was to be ended has been told so.
    is_over: bool,
}

/// So long after which boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Moment {
    boot: String,
    uptime: Duration,
}

/// In the folder that it is given.
const FILE: &str = "heard.json";

/// A part of the limit: what is on disk is no older than that, so an agent that was killed ends its
/// tasks earlier by no more.
const PARTS: u32 = 20;

impl Isolation {
    /// Counts on from when the agent before this one was last spoken to.
    pub(crate) fn open(folder: &Path, limit: Option<Duration>) -> io::Result<Self> {
        Ok(Self::begin(folder, limit, Moment::now()?))
    }

    fn begin(folder: &Path, limit: Option<Duration>, now: Moment) -> Self {
        let path = folder.join(FILE);
        let written: Option<Moment> = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).ok(),
            Err(_) => None,
        };
        let heard = written.clone().filter(|it| it.boot == now.boot && it.uptime <= now.uptime);
        Self { limit, heard: heard.unwrap_or(now), written, path, is_over: false }
    }

    /// How often it should be looked at.
    pub(crate) fn pace(&self) -> Option<Duration> {
        let part = self.limit? / PARTS;
        Some(part.clamp(Duration::from_millis(100), Duration::from_secs(10)))
    }

    /// A scheduler that leads has spoken.
    pub(crate) fn heard(&mut self) {
        if let (Some(_), Ok(now)) = (self.limit, Moment::now()) {
            self.heard_at(now);
        }
    }

    fn heard_at(&mut self, now: Moment) {
        self.is_over = false;
        let Some(limit) = self.limit else { return };
        let is_known = self.written.as_ref().is_some_and(|it| {
            it.boot == now.boot && now.uptime.saturating_sub(it.uptime) < limit / PARTS
        });
        self.heard = now;
        if is_known {
            return;
        }
        match write(&self.path, &self.heard) {
            Ok(()) => self.written = Some(self.heard.clone()),
            // The one that is there is older, so tasks would end too early rather than too late.
            Err(error) => tracing::warn!(%error, "cannot write down when a scheduler was heard"),
        }
    }

    /// Why everything here is to end, if it is so now; said once until somebody is heard again.
    pub(crate) fn verdict(&mut self) -> Option<String> {
        self.verdict_at(&Moment::now().ok()?)
    }

    fn verdict_at(&mut self, now: &Moment) -> Option<String> {
        let limit = self.limit.filter(|_| !self.is_over)?;
        let silence = now.uptime.saturating_sub(self.heard.uptime);
        if silence < limit {
            return None;
        }
        self.is_over = true;
        let secs = limit.as_secs_f64();
        Some(format!(
            "This host has heard from no scheduler for {secs} s, and its tasks may go on without one \
             for no longer"
        ))
    }
}

impl Moment {
    fn now() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let uptime = fs::read_to_string("/proc/uptime")?;
        let secs = uptime.split(' ').next().and_then(|it| it.parse().ok());
        let secs = secs.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { boot, uptime: Duration::from_secs_f64(secs) })
    }
}

fn write(path: &Path, moment: &Moment) -> io::Result<()> {
    let draft = path.with_extension("unfinished");
    write_private(&draft, &serde_json::to_vec(moment)?)?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(100);

    fn at(secs: u64) -> Moment {
        Moment { boot: "first".into(), uptime: Duration::from_secs(secs) }
    }

    #[test]
    fn silence_has_an_end_that_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut it = Isolation::begin(folder.path(), Some(LIMIT), at(1000));
        assert_eq!(it.verdict_at(&at(1099)), None);
        it.heard_at(at(1099));
        assert_eq!(it.verdict_at(&at(1198)), None);
        let why = it.verdict_at(&at(1199)).unwrap();
        assert!(why.contains("for 100 s"), "{why}");
        assert_eq!(it.verdict_at(&at(1300)), None, "it has been said");
        it.heard_at(at(1400));
        assert!(it.verdict_at(&at(1500)).is_some());
    }

    #[test]
    fn without_a_limit_nothing_ends_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut it = Isolation::begin(folder.path(), None, at(0));
        it.heard_at(at(1));
        assert_eq!(it.verdict_at(&at(1_000_000_000)), None);
        assert_eq!(it.pace(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_agent_that_was_killed_gives_its_tasks_no_more_time() {
        let folder = tempfile::tempdir().unwrap();
        let begin = |now| Isolation::begin(folder.path(), Some(LIMIT), now);
        let mut first = begin(at(10));
        // Not every word is written down.
        for secs in 10..=18 {
            first.heard_at(at(secs));
        }
        let mut second = begin(at(60));
        assert_eq!(second.verdict_at(&at(109)), None);
        assert!(second.verdict_at(&at(118)).is_some(), "no later than it should");
        let rebooted = Moment { boot: "second".into(), uptime: Duration::from_secs(5) };
        let mut third = begin(rebooted.clone());
        assert_eq!(third.heard, rebooted);
        third.heard_at(rebooted.clone());
        assert_eq!(begin(rebooted.clone()).written, Some(rebooted));
    }

    #[test]
    fn this_machine_has_been_on_for_a_while() {
        let (first, second) = (Moment::now().unwrap(), Moment::now().unwrap());
        assert_eq!(first.boot, second.boot);
        assert!(Duration::ZERO < first.uptime && first.uptime <= second.uptime);
    }
}
