//! What a task's shepherds have written down, read as it is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use airglow_kit::now;
use airglow_model::{process::Exit, run::RunId};

use crate::{folder::TaskFolder, lines, order::Record, pids::Identity};

/// All that was read so far, as far as it still matters.
#[derive(Debug, Default)]
pub(crate) struct Register {
    reader: Reader,
    pub(crate) shepherd: Option<Identity>,
    /// Whether that one's end is everybody's end.
    pub(crate) has_namespaces: bool,
    /// Runs that have not ended, and their main processes.
    alive: BTreeMap<RunId, Identity>,
    /// Of each process the newest run that was ever started. Those before it have ended.
    newest: BTreeMap<Arc<str>, u32>,
    pub(crate) has_leftover: bool,
    /// How many of its processes were ended for want of memory, as far as that was told.
    pub(crate) memory_kills: u64,
}

/// Where in the file of the shepherd that is there now we are.
#[derive(Debug, Default)]
struct Reader {
    file: Option<File>,
    offset: u64,
    is_corrupt: bool,
}

/// How far a run is, as far as its shepherd knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    Unknown,
    Alive,
    Ended,
}

impl Register {
    /// Of all shepherds that the task ever had, and everything that they said.
    pub(crate) fn read(folder: &TaskFolder) -> io::Result<(Self, Vec<Record>)> {
        let (mut register, mut records) = (Self::default(), Vec::new());
        for path in folder.past_records() {
            records.extend(register.read_on(&path)?);
            register.forget_shepherd();
        }
        records.extend(register.read_on(&folder.record())?);
        Ok((register, records))
    }

    /// Not all of it can be understood, so nobody knows what runs.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.reader.is_corrupt
    }

    /// What was added since. A record that does not exist yet is an empty one.
    pub(crate) fn read_on(&mut self, path: &Path) -> io::Result<Vec<Record>> {
        let records = self.reader.read(path)?;
        for record in &records {
            self.note(record);
        }
        Ok(records)
    }

    fn note(&mut self, record: &Record) {
        match record {
            // One that came later has gone away again.
            Record::Shepherd { .. } if self.shepherd.is_some() => {}
            Record::Shepherd { identity, namespaces } => {
                self.shepherd = Some(*identity);
                self.has_namespaces = *namespaces;
            }
            Record::Started { id, main, .. } => {
                self.alive.insert(id.clone(), *main);
                self.know(id);
            }
            Record::Ended { id, leftover, .. } => {
                self.alive.remove(id);
                self.know(id);
                self.has_leftover |= leftover;
            }
            Record::Gone => self.has_leftover = false,
            Record::OutOfMemory { kills } => self.memory_kills = *kills,
        }
    }

    fn know(&mut self, id: &RunId) {
        let newest = self.newest.entry(id.process.clone()).or_insert(id.run);
        *newest = (*newest).max(id.run);
    }

    pub(crate) fn standing(&self, id: &RunId) -> Standing {
        if self.alive.contains_key(id) {
            Standing::Alive
        } else if self.newest.get(&id.process).is_some_and(|newest| id.run <= *newest) {
            Standing::Ended
        } else {
            Standing::Unknown
        }
    }

    pub(crate) fn alive(&self) -> &BTreeMap<RunId, Identity> {
        &self.alive
    }

    /// Writes, in the place of a shepherd that is gone, what it may have died of and how those runs
    /// ended that it could not write of any more, and makes room for the next one's record.
    pub(crate) fn close(
        &mut self,
        folder: &TaskFolder,
        (runs, exit): (&BTreeSet<RunId>, &Exit),
        memory_kills: u64,
    ) -> io::Result<Vec<Record>> {
        let lost = |id: &RunId| {
            let (id, exit) = (id.clone(), exit.clone());
            Record::Ended { id, at: now(), exit, leftover: false }
        };
        let gone = self.has_leftover.then_some(Record::Gone);
        let kills = Record::OutOfMemory { kills: memory_kills };
        let kills = (self.memory_kills < memory_kills).then_some(kills);
        let records: Vec<_> = kills.into_iter().chain(runs.iter().map(lost)).chain(gone).collect();
        let mut text = Vec::new();
        for record in &records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        let mut options = OpenOptions::new();
        let path = folder.record();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = file.open(&path)?;
        // It may have ended in the middle of a line.
        file.set_len(self.reader.offset)?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        file.write_all(&text)?;
        folder.archive_record()?;
        for record in &records {
            self.note(record);
        }
        self.forget_shepherd();
        Ok(records)
    }

    fn forget_shepherd(&mut self) {
        self.reader = Reader::default();
        self.shepherd = None;
        self.has_namespaces = false;
    }
}

impl Reader {
    fn read(&mut self, path: &Path) -> io::Result<Vec<Record>> {
        if self.file.is_none() {
            match File::open(path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let more = file.read_at(&mut piece, self.offset + text.len() as u64)?;
            text.extend(&piece[..more]);
            // What was added meanwhile is followed by a bell.
            if more < piece.len() {
                break;
            }
        }
        let mut records = Vec::new();
        for line in lines::whole(&text) {
            self.offset += line.len() as u64;
            match serde_json::from_slice(line) {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::error!(?path, %error, "a shepherd's record makes no sense");
                    self.is_corrupt = true;
                }
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use airglow_model::{ids::TaskId, machine::Timestamp, process::Exit};

    use super::*;
    use crate::folder::Tasks;

    fn id(run: u32) -> RunId {
        RunId { process: "p".into(), run }
    }

    fn started(run: u32) -> Record {
        let main = Identity::of(1).unwrap();
        Record::Started { id: id(run), main, at: Timestamp(1) }
    }

    fn write(folder: &TaskFolder, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(folder.record()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(record: &Record) -> String {
        serde_json::to_string(record).unwrap() + "\n"
    }

    #[test]
    fn what_a_shepherd_could_not_write_any_more_is_written_in_its_place() {
        let data = tempfile::tempdir().unwrap();
        let folder = Tasks::below(data.path()).unwrap().task(&TaskId("t".into())).unwrap();
        std::fs::create_dir(folder.path()).unwrap();
        let identity = Identity::of(1).unwrap();
        write(&folder, &line(&Record::Shepherd { identity, namespaces: false }));
        let (mut register, records) = Register::read(&folder).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(register.standing(&id(0)), Standing::Unknown);
        write(&folder, &(line(&started(0)) + "{\"record\":\"ended\","));
        assert_eq!(register.read_on(&folder.record()).unwrap(), [started(0)]);
        assert_eq!(register.standing(&id(0)), Standing::Alive);
        let runs = [id(0), id(1)].into();
        let lost = register.close(&folder, (&runs, &Exit::Lost), 3).unwrap();
        assert_eq!((lost.len(), &lost[0]), (3, &Record::OutOfMemory { kills: 3 }));
        assert!(register.shepherd.is_none());
        write(&folder, &line(&started(2)));
        assert_eq!(register.read_on(&folder.record()).unwrap(), [started(2)]);
        let (again, records) = Register::read(&folder).unwrap();
        assert_eq!(records.len(), 6);
        for register in [&register, &again] {
            let standings = [0, 1, 2, 3].map(|it| register.standing(&id(it)));
            let expected = [Standing::Ended, Standing::Ended, Standing::Alive, Standing::Unknown];
            assert_eq!(standings, expected);
            assert_eq!(register.memory_kills, 3);
        }
        // It was told.
        assert_eq!(register.close(&folder, (&[].into(), &Exit::Lost), 3).unwrap(), []);
    }
}
