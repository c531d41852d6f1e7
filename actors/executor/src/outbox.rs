//! What was reported and not yet acknowledged, on disk, so that it survives the agent.
//!
//! Lines are added at the end: a report, or how far reports were acknowledged. The file is written
//! anew when the agent starts, and when it has grown while nothing was owed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use airglow_kit::outbox::Outbox;
use airglow_model::wire::Status;
use serde::{Deserialize, Serialize};

pub(crate) struct Reports {
    pending: Outbox<Status>,
    path: PathBuf,
    file: File,
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
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut reported = Vec::new();
        let mut acknowledged = 0;
        // Half a line at the end was never said to anybody.
        for line in text.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
            match serde_json::from_str(line)? {
                Line::Reported(status) => reported.push(status),
                Line::Acknowledged(seq) => acknowledged = acknowledged.max(seq),
            }
        }
        reported.retain(|it: &Status| acknowledged < it.seq);
        let newest = reported.first().map_or(acknowledged, |it| it.seq - 1);
        let mut pending = Outbox::after(newest);
        for status in reported {
            pending.push(status);
        }
        let file = rewrite(path, newest, &pending)?;
        Ok(Self { pending, path: path.to_owned(), file, useless: 0 })
    }

    /// It counts as said from now on, whenever it can be said.
    pub(crate) fn push(&mut self, status: Status) -> Status {
        let seq = self.pending.push(status.clone());
        let status = Status { seq, ..status };
        self.write(&Line::Reported(status.clone()));
        status
    }

    /// The reports that are now known to have arrived.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Vec<Status> {
        let known = self.pending().filter(|it| it.seq <= seq).collect::<Vec<_>>();
        if known.is_empty() {
            return known;
        }
        self.pending.ack(seq);
        self.write(&Line::Acknowledged(seq));
        self.useless += known.len() + 1;
        if USELESS_MAX < self.useless && self.pending.pending().next().is_none() {
            match rewrite(&self.path, seq, &self.pending) {
                Ok(file) => (self.file, self.useless) = (file, 0),
                Err(error) => tracing::error!(%error, "cannot write the outbox anew"),
            }
        }
        known
    }

    /// What to say (again), oldest first.
    pub(crate) fn pending(&self) -> impl Iterator<Item = Status> {
        self.pending.pending().map(|(seq, status)| Status { seq, ..status.clone() })
    }

    /// If the disk is full it is said nevertheless, and will be said again by whoever comes next:
    /// every task reports its state when its runner starts.
    fn write(&mut self, line: &Line) {
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        if let Err(error) = written {
            tracing::error!(%error, "cannot write down what was reported");
        }
    }
}

fn rewrite(path: &Path, acknowledged: u64, pending: &Outbox<Status>) -> io::Result<File> {
    let mut text = serde_json::to_string(&Line::Acknowledged(acknowledged))? + "\n";
    for (seq, status) in pending.pending() {
        text += &serde_json::to_string(&Line::Reported(Status { seq, ..status.clone() }))?;
        text.push('\n');
    }
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)?;
    OpenOptions::new().append(true).open(path)
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
}
