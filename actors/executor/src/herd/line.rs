//! A connection to a shepherd: orders go out, and what comes in only says that there is news.

use std::{future::pending, io, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    time::{Instant, sleep_until, timeout},
};

use crate::order::Order;

pub(super) struct Line(UnixStream);

pub(super) enum Sound {
    Bell,
    End,
}

/// A shepherd that takes longer to hear something does not hear anything any more.
const HEARING_PATIENCE: Duration = Duration::from_secs(10);

impl Line {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    pub(super) async fn say(&mut self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        timeout(HEARING_PATIENCE, self.0.write_all(&line)).await?
    }

    /// The next one. Silence, if there is no line.
    pub(super) async fn sound(line: Option<&Self>) -> Sound {
        let Some(Self(stream)) = line else { return pending().await };
        loop {
            if stream.readable().await.is_err() {
                return Sound::End;
            }
            match stream.try_read(&mut [0; 64]) {
                Ok(0) => return Sound::End,
                Ok(_) => return Sound::Bell,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Sound::End,
            }
        }
    }
}

pub(super) async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

pub(super) fn soon(wait: Duration) -> Instant {
    Instant::now() + wait
}
