//! What was reported and not yet acknowledged, on disk, so that it survives the agent.
//!
//! Lines are added at the end: a report, or how far reports were acknowledged. The file is written
//! anew when the agent starts, and when it has grown while nothing was owed. A report keeps its
//! number whatever becomes of others.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
};

use airglow_model::wire::Status;
use serde::{Deserialize, Serialize};

use crate::{
    folder::write_private,
    lines::{self, Lines},
};

pub(crate) struct Reports {
    /// By number.
    pending: VecDeque<Status>,
    /// The number of the newest report there ever was.
    newest: u64,
    path: PathBuf,
    lines: Lines,
    /// How much of it nobody needs.
    useless: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Reported(Status),
    Acknowledged(u64),
}

/// How many lines may be there in vain.
const USELESS_MAX: usize = 10_000;

impl Reports {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (pending, newest) = read(&text);
        // There may be no room for another one, or only now and then.
        let lines = rewrite(path, newest, &pending).or_else(|error| {
            tracing::warn!(%error, "cannot write the outbox anew, and goes on with the old one");
            Lines::open(path, lines::whole(&text).map(|it| it.len() as u64).sum())
        })?;
        Ok(Self { pending, newest, path: path.to_owned(), lines, useless: 0 })
    }

    /// It counts as said from now on, whenever it can be said.
    pub(crate) fn push(&mut self, status: Status) -> Status {
        self.newest += 1;
        let status = Status { seq: self.newest, ..status };
        self.pending.push_back(status.clone());
        self.write(&Line::Reported(status.clone()));
        status
    }

    /// The reports that are now known to have arrived. News of what was never said are ignored.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Vec<Status> {
        let count = self.pending.partition_point(|it| it.seq <= seq);
        if count == 0 || self.newest < seq {
            return Vec::new();
        }
        let known = self.pending.drain(..count).collect::<Vec<_>>();
        self.write(&Line::Acknowledged(seq));
        self.useless += known.len() + 1;
        if USELESS_MAX < self.useless && self.pending.is_empty() {
            match rewrite(&self.path, seq, &self.pending) {
                Ok(lines) => (self.lines, self.useless) = (lines, 0),
                Err(error) => tracing::error!(%error, "cannot write the outbox anew"),
            }
        }
        known
    }

    /// What to say (again), oldest first.
    pub(crate) fn pending(&self) -> impl Iterator<Item = Status> {
        self.pending.iter().cloned()
    }

    /// If the disk is full it is said nevertheless, and will be said again by whoever comes next:
    /// every task reports its state when its runner starts.
    fn write(&mut self, line: &Line) {
        if let Err(error) = self.lines.append(line) {
            tracing::error!(%error, "cannot write down what was reported");
        }
    }
}

/// What is still to be said, and the newest number. Half a line at the end was never said to
/// anybody. One that makes no sense is no reason not to start, because whatever is not said here
/// the runners will say again.
fn read(text: &[u8]) -> (VecDeque<Status>, u64) {
    let (mut pending, mut newest) = (VecDeque::new(), 0);
    for line in lines::whole(text) {
        match serde_json::from_slice(line) {
            Ok(Line::Reported(status)) => {
                newest = newest.max(status.seq);
                pending.push_back(status);
            }
            Ok(Line::Acknowledged(seq)) => {
                newest = newest.max(seq);
                pending.retain(|it: &Status| seq < it.seq);
            }
            Err(error) => tracing::error!(%error, "a line of the outbox makes no sense"),
        }
    }
    (pending, newest)
}

fn rewrite(path: &Path, newest: u64, pending: &VecDeque<Status>) -> io::Result<Lines> {
    let acknowledged = pending.front().map_or(newest, |it| it.seq - 1);
    let mut text = serde_json::to_string(&Line::Acknowledged(acknowledged))? + "\n";
    for status in pending {
        text += &serde_json::to_string(&Line::Reported(status.clone()))?;
        text.push('\n');
    }
    let unfinished = path.with_extension("unfinished");
    write_private(&unfinished, text.as_bytes())?;
    fs::rename(&unfinished, path)?;
    Lines::open(path, text.len() as u64)
}

#[cfg(test)]
mod tests {
    use airglow_model::{
        ids::{Attempt, JobKey, TaskId},
        machine::Timestamp,
        wire::RunState,
    };

    use super::*;

    fn status(message: &str) -> Status {
        Status {
            seq: 0,
            task: JobKey::new("r", "e", "n").task(0),
            attempt: Attempt(1),
            task_id: TaskId("t".into()),
            state: RunState::Running,
            message: message.into(),
            at: Timestamp(1),
        }
    }

    fn pending(reports: &Reports) -> String {
        let told = reports.pending().map(|it| format!("{}{}", it.seq, it.message));
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reports_survive_until_they_are_acknowledged_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let mut reports = Reports::open(&path).unwrap();
        for message in ["a", "b", "c"] {
            reports.push(status(message));
        }
        assert_eq!(reports.acknowledge(1).len(), 1);
        let mut reports = Reports::open(&path).unwrap();
        assert_eq!(pending(&reports), "2b 3c");
        assert_eq!(reports.acknowledge(3).len(), 2);
        assert_eq!(reports.acknowledge(3).len(), 0);
        let mut reports = Reports::open(&path).unwrap();
        assert_eq!(reports.push(status("d")).seq, 4);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"repor").unwrap();
        assert_eq!(pending(&Reports::open(&path).unwrap()), "4d");
    }
    #[test]
    fn numbers_stay_whatever_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let mut reports = Reports::open(&path).unwrap();
        reports.push(status("a"));
        reports.lines.on_a_full_disk(9, |lines| lines.append(&1).unwrap_err());
        reports.push(status("b"));
        reports.push(status("c"));
        let text = fs::read_to_string(&path).unwrap();
        let is_kept = |it: &&str| !it.contains("\"b\"");
        let torn = text.lines().filter(is_kept).collect::<Vec<_>>().join("\n");
        fs::write(&path, torn + "\nno sense\n{\"reported\":").unwrap();
        // No room for a new one.
        fs::create_dir(path.with_extension("unfinished")).unwrap();
        let mut reports = Reports::open(&path).unwrap();
        assert_eq!(pending(&reports), "1a 3c");
        assert_eq!(reports.acknowledge(9).len(), 0);
        assert_eq!(reports.acknowledge(2).len(), 1);
        reports.push(status("d"));
        assert_eq!(pending(&Reports::open(&path).unwrap()), "3c 4d");
    }
}
