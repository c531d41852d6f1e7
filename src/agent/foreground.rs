//! Something that lives in this process, on a thread with a runtime of its own, and is told to end by
//! whoever started it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};

/// Whoever drops it waits for the thread's end, so has to have told it to end before.
pub(super) struct Foreground {
    interrupts: Arc<AtomicU32>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Foreground {
    /// Comes back with what `live` says when it is ready; `live` should drop the sender then.
    ///
    /// # Errors
    /// What it came to instead, which is why `unstarted`.
    pub(super) fn start<T: Send + 'static, F: Future<Output = Result<()>> + 'static>(
        name: &str,
        unstarted: &'static str,
        live: impl FnOnce(mpsc::Sender<T>) -> F + Send + 'static,
    ) -> Result<(Self, T)> {
        let (ready, started) = mpsc::channel();
        let interrupts = Arc::new(AtomicU32::new(0));
        let counted = interrupts.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            actix_rt::System::new().block_on(async move {
                count_interrupts(&counted)?;
                live(ready).await
            })
        })?;
        match started.recv() {
            Ok(said) => Ok((Self { interrupts, thread: Some(thread) }, said)),
            // It hung up without a word.
            Err(mpsc::RecvError) => Err(joined(thread).err().context(unstarted)?),
        }
    }

    /// How often the user asked for the end with Ctrl-C, or somebody else with SIGTERM.
    pub(super) fn interrupts(&self) -> u32 {
        self.interrupts.load(Ordering::Relaxed)
    }

    /// It cannot go on; [`Foreground::join`] says why.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn join(&mut self) -> Result<()> {
        self.thread.take().map_or(Ok(()), joined)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// From now on, instead of ending.
fn count_interrupts(count: &Arc<AtomicU32>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signals, count) = (signal(kind)?, count.clone());
        actix_rt::spawn(async move {
            while signals.recv().await.is_some() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    Ok(())
}

fn joined(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
