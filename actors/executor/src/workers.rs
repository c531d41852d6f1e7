//! A few threads for what would block: starting programs, above all.
//!
//! A thousand tasks that arrive at once should neither hold up an actor nor get a thread each.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use tokio::sync::oneshot;

#[derive(Clone)]
pub(crate) struct Workers {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

const THREADS: usize = 4;

impl Workers {
    /// They end when the last of us is dropped and everything is done.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = queue.clone();
            std::thread::Builder::new().name("worker".into()).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// # Panics
    /// If the job does: its caller's fault, so its caller's end.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + 'static {
        let (done, result) = oneshot::channel();
        let job = move || drop(done.send(job()));
        self.jobs.send(Box::new(job)).expect("workers wait as long as they may be asked");
        async { result.await.expect("the job did not panic") }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a job of a worker panicked");
        }
    }
}
