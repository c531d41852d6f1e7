//! What the database is written to: a file of our own, or, to find out whether that is wise, nothing.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use redb::StorageBackend;

/// The file itself. Whoever opened it has locked it; the lock ends with the last handle on it.
#[derive(Debug)]
pub(crate) struct Disk(pub(crate) File);

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

/// The file as it would be: what is written to it stays in memory.
///
/// redb writes to a file as soon as it opens it, before it knows whether the file is sound, and
/// repairs what it can. Opening a rehearsal first shows where that would end, and leaves a damaged
/// file as it was found, for whoever wants to rescue it.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// Beyond this, nothing of the file shows any more.
    file_len: u64,
    /// Blocks of [`BLOCK`] bytes, by number.
    blocks: BTreeMap<u64, Box<[u8]>>,
}

const BLOCK: u64 = 4096;

impl Rehearsal {
    pub(crate) fn of(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let written = Written { len, file_len: len, blocks: BTreeMap::new() };
        Ok(Self { file, written: Mutex::new(written) })
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        // A panic of redb's is one of the things to be found out; what was written stays true.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as it is in the file; zeros where the file has nothing.
    fn original(&self, block: u64, file_len: u64) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; as_len(BLOCK)].into_boxed_slice();
        let start = block * BLOCK;
        let there = as_len(file_len.saturating_sub(start).min(BLOCK));
        self.file.read_exact_at(&mut bytes[..there], start)?;
        Ok(bytes)
    }
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        if written.len < offset + out.len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (block, within, piece) in pieces(offset, out.len()) {
            match written.blocks.get(&block) {
                Some(bytes) => out[piece].copy_from_slice(&bytes[within]),
                None => {
                    out[piece].copy_from_slice(&self.original(block, written.file_len)?[within]);
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        written.len = len;
        if len < written.file_len {
            written.file_len = len;
        }
        written.blocks.split_off(&len.div_ceil(BLOCK));
        if let Some(last) = written.blocks.get_mut(&(len / BLOCK)) {
            last[as_len(len % BLOCK)..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        for (block, within, piece) in pieces(offset, data.len()) {
            if !written.blocks.contains_key(&block) {
                let bytes = self.original(block, written.file_len)?;
                written.blocks.insert(block, bytes);
            }
            let bytes = written.blocks.get_mut(&block).expect("it was put there just now");
            bytes[within].copy_from_slice(&data[piece]);
        }
        written.len = written.len.max(offset + data.len() as u64);
        Ok(())
    }
}

type Within = std::ops::Range<usize>;

/// The blocks that `length` bytes at `offset` touch: which, where in it, and where in the bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, Within, Within)> {
    let end = offset + length as u64;
    (offset / BLOCK..end.div_ceil(BLOCK)).map(move |block| {
        let from = offset.max(block * BLOCK);
        let to = end.min((block + 1) * BLOCK);
        let within = as_len(from - block * BLOCK)..as_len(to - block * BLOCK);
        (block, within, as_len(from - offset)..as_len(to - offset))
    })
}

fn as_len(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a piece of memory is no longer than memory")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_rehearsal_reads_like_the_file_and_leaves_it_alone() {
        let mut file = tempfile::tempfile().unwrap();
        let original: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&original).unwrap();
        let rehearsal = Rehearsal::of(file.try_clone().unwrap()).unwrap();
        let mut mirror = original.clone();
        let look = |at: usize, len: usize| {
            let mut out = vec![0; len];
            rehearsal.read(at as u64, &mut out).unwrap();
            out
        };
        assert_eq!(look(0, 10_000), mirror);

        rehearsal.write(4000, &[7; 5000]).unwrap();
        mirror[4000..9000].fill(7);
        assert_eq!(look(3990, 6010), mirror[3990..]);

        // Cut short and grown again: the old content must not come back.
        rehearsal.set_len(5000).unwrap();
        rehearsal.set_len(9000).unwrap();
        mirror[5000..].fill(0);
        assert_eq!(look(0, 9000), mirror[..9000]);
        assert!(rehearsal.read(8999, &mut [0; 2]).is_err());

        rehearsal.write(9000, &[9; 3000]).unwrap();
        assert_eq!((rehearsal.len().unwrap(), look(11_999, 1)), (12_000, vec![9]));
        let mut still = vec![0; 10_000];
        file.read_exact_at(&mut still, 0).unwrap();
        assert_eq!(still, original);
    }
}
