//! A connection to a shepherd: orders go out, and what comes in says that there is news, or what is
//! not written down.

use std::{future::pending, io, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    lines,
    order::{Order, Record},
};

pub(super) struct Line {
    stream: UnixStream,
    /// The beginning of something.
    unheard: Vec<u8>,
}

pub(super) enum Sound {
    /// There may be news, and these are not written down.
    Bell(Vec<Record>),
    End,
}

/// A shepherd that takes longer to hear something does not hear anything any more.
const HEARING_PATIENCE: Duration = Duration::from_secs(10);

impl Line {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, unheard: Vec::new() }
    }

    pub(super) async fn say(&mut self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        timeout(HEARING_PATIENCE, self.stream.write_all(&line)).await?
    }

    /// The next one. Silence, if there is no line.
    pub(super) async fn sound(line: Option<&mut Self>) -> Sound {
        let Some(line) = line else { return pending().await };
        let mut piece = [0; 1024];
        loop {
            if line.stream.readable().await.is_err() {
                return Sound::End;
            }
            match line.stream.try_read(&mut piece) {
                Ok(0) => return Sound::End,
                Ok(length) => return Sound::Bell(line.hear(&piece[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Sound::End,
            }
        }
    }

    fn hear(&mut self, piece: &[u8]) -> Vec<Record> {
        self.unheard.extend(piece.iter().filter(|it| **it != BELL));
        let whole = self.unheard.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let words: Vec<_> = self.unheard.drain(..whole).collect();
        lines::whole(&words).filter_map(|it| serde_json::from_slice(it).ok()).collect()
    }
}

const BELL: u8 = 0;

pub(super) async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

pub(super) fn soon(wait: Duration) -> Instant {
    Instant::now() + wait
}

#[cfg(test)]
mod tests {
    use airglow_model::{machine::Timestamp, process::Exit, run::RunId};

    use super::*;

    #[actix::test]
    async fn what_is_said_is_heard_however_it_comes_and_whatever_rings_meanwhile() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut line = Line::new(ours);
        let ended = |run| {
            let id = RunId { process: ".health".into(), run };
            Record::Ended { id, at: Timestamp(1), exit: Exit::Code(0), leftover: false }
        };
        let text = |run| serde_json::to_string(&ended(run)).unwrap() + "\n";
        let (first, second, third) = (text(1), text(2), text(3));
        let pieces = ["\0\0", &first[..9], "\0", &first[9..], &format!("\0{second}\0{third}\0")];
        let mut heard = Vec::new();
        for piece in pieces {
            assert_eq!(theirs.try_write(piece.as_bytes()).unwrap(), piece.len());
            let Sound::Bell(records) = Line::sound(Some(&mut line)).await else { panic!() };
            heard.push(records);
        }
        let expected = [vec![], vec![], vec![], vec![ended(1)], vec![ended(2), ended(3)]];
        assert_eq!(heard, expected);
        drop(theirs);
        assert!(matches!(Line::sound(Some(&mut line)).await, Sound::End));
    }
}
