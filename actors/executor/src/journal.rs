//! What happened to a task on this host, so that whoever starts again can know it.
//!
//! One event a line. Reading it back is stepping through it again, so a journal that makes no sense
//! cannot be read. The last line may be half a one, if the agent ended while writing it; what it
//! would have said has then not happened, because nobody acts before it is written.

use std::{io, path::Path};

use airglow_model::{
    machine::{Machine, Timestamp},
    run::{Event, Run},
};

use crate::lines::{self, Lines};

pub(crate) struct Journal {
    lines: Lines,
}

/// When it was noticed, and what.
type Entry = (Timestamp, Event);

/// What `run` has become.
pub(crate) fn read(path: &Path, run: Run) -> io::Result<Run> {
    read_whole_lines(path, run).map(|(run, _)| run)
}

impl Journal {
    /// What `run` has become, and where to write what becomes of it next.
    pub(crate) fn open(path: &Path, run: Run) -> io::Result<(Run, Self)> {
        let (run, length) = read_whole_lines(path, run)?;
        Ok((run, Self { lines: Lines::open(path, length)? }))
    }

    /// # Errors
    /// It could not be written now, and will be with the next.
    pub(crate) fn append(&mut self, at: Timestamp, events: &[&Event]) -> io::Result<()> {
        self.lines.append_all(events.iter().map(|event| (at, event)))
    }
}

fn read_whole_lines(path: &Path, mut run: Run) -> io::Result<(Run, u64)> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((run, 0)),
        Err(error) => return Err(error),
    };
    let mut length = 0;
    for line in lines::whole(&text) {
        let (at, event): Entry = serde_json::from_slice(line)?;
        run = run.step(at, &event).map_err(|it| io::Error::other(it.to_string()))?;
        length += line.len() as u64;
    }
    Ok((run, length))
}

#[cfg(test)]
mod tests {
    use airglow_model::{conduct::Conduct, process::Exit, run::RunId};

    use super::*;

    fn run() -> Run {
        let task = serde_json::json!({
            "name": "t", "processes": [{ "name": "a", "cmdline": "" }],
            "resources": { "cpu": 1.0, "ram": 1, "disk": 1 },
        });
        Run::new(&serde_json::from_value(task).unwrap(), &Conduct::default()).unwrap()
    }

    #[test]
    fn a_task_is_read_back_as_it_was_written_but_for_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut expected, mut journal) = Journal::open(&path, run()).unwrap();
        let id = || RunId { process: "a".into(), run: 0 };
        let at = Timestamp(5);
        let ended = Event::Ended { id: id(), at, exit: Exit::Signal(9), leftover: true };
        for event in [Event::Prepared, Event::Started { id: id(), pid: 7, at }, ended] {
            expected = expected.step(at, &event).unwrap();
            journal.append(at, &[&event]).unwrap();
        }
        let gone = Event::Gone;
        journal.lines.on_a_full_disk(9, |it| it.append(&(at, &gone)).unwrap_err());
        let (found, mut journal) = Journal::open(&path, run()).unwrap();
        assert_eq!(found, expected);
        journal.append(at, &[&Event::Gone]).unwrap();
        let next = expected.step(at, &Event::Gone).unwrap();
        assert_eq!(read(&path, run()).unwrap(), next);
    }

    #[test]
    fn a_journal_that_makes_no_sense_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "[1,{\"event\":\"prepared\"}]\n[2,{\"event\":\"prepared\"}]\n")
            .unwrap();
        let error = read(&path, run()).unwrap_err().to_string();
        assert_eq!(error, "prepared does not apply to something active");
    }
}
