//! A host without a scheduler: somebody's own tasks, here and now, for as long as this lives.
//!
//! ```text
//! solo                      hears what becomes of the tasks, and tells whoever launched them
//!  └─ runners ▸ runner      as on any other host
//! ```

use std::{collections::BTreeMap, fs::File, path::PathBuf, sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Exited, GaveUp, Incarnation, Lifeline, Supervisor, To, Wake};
use airglow_model::{
    ids::{HostId, TaskId},
    restart::Intensity,
    retention::Retention,
    run::Event,
    spec::LoggerSpec,
    wire::{Capacity, Launch, RunState, TaskView},
};
use tokio::sync::watch;

use crate::{
    Host, Isolation, RunAs, StartError,
    known::{Known, Settings},
    lock,
    meter::Meter,
    records,
    runner::{Happened, Runner},
    uplink::{Report, Show},
};

/// What it takes to run tasks without a cluster.
pub struct AloneConfig {
    /// Nobody else's; what an earlier one left there is ended.
    pub data: PathBuf,
    /// What tasks hear this host is called.
    pub host: HostId,
    /// The program that is a [`zygote`](crate::zygote) when its argument is [`ZYGOTE`](crate::ZYGOTE).
    pub binary: PathBuf,
    pub run_as: RunAs,
    pub isolation: Isolation,
    /// For processes that do not say themselves what becomes of their output.
    pub logger: LoggerSpec,
}

/// Tasks end with it.
pub struct Alone {
    solo: Addr<Solo>,
    arbiter: Arbiter,
    known: Arc<Known>,
    /// Nobody else's as long as this is open.
    _lock: File,
}

/// How a task is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub state: RunState,
    pub message: String,
    pub view: TaskView,
}

struct Solo {
    known: Arc<Known>,
    runners: Option<Addr<Supervisor<Runner, TaskId>>>,
    launched: BTreeMap<TaskId, watch::Sender<Progress>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Begin {
    launch: Box<Launch>,
    progress: watch::Sender<Progress>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct End {
    task_id: TaskId,
    message: String,
    within: Option<Duration>,
}

/// End all of them. Says how many are not over yet.
#[derive(Message)]
#[rtype(result = "usize")]
struct EndAll;

const RUNNER_CRASHES: Intensity = Intensity { restarts: 5, period: Duration::from_secs(60) };

/// What tasks are given that are not over when everything ends.
const CLOSING: Duration = Duration::from_secs(5);

impl Alone {
    /// The tasks' actors get a thread of their own. Needs a running actix system.
    ///
    /// # Errors
    /// The folder cannot be used, or is used.
    pub fn start(config: AloneConfig) -> Result<Self, StartError> {
        let AloneConfig { data, host, binary, run_as, isolation, logger } = config;
        let lock = lock(&data)?;
        let known = Known::new(Settings {
            data,
            host,
            attributes: Default::default(),
            capacity: Some(Capacity::default()),
            binary,
            run_as,
            isolation,
            logger,
            retention: Retention::default(),
        })?;
        let known = Arc::new(known);
        records::end_by_force(&known);
        let arbiter = Arbiter::new();
        let solo = Solo { known: known.clone(), runners: None, launched: BTreeMap::new() };
        let solo = Solo::start_in_arbiter(&arbiter.handle(), |_| solo);
        Ok(Self { solo, arbiter, known, _lock: lock })
    }

    /// Its ports have to be those of its configuration, by name. Closed without a last word if it
    /// is not known any more what becomes of the task.
    pub fn launch(&self, launch: Launch) -> watch::Receiver<Progress> {
        let beginning = Progress {
            state: RunState::Starting,
            message: String::new(),
            view: TaskView::default(),
        };
        let (progress, seen) = watch::channel(beginning);
        self.solo.do_send(Begin { launch: Box::new(launch), progress });
        seen
    }

    /// Asks it to end, as its configuration says. `message`: why.
    pub fn kill(&self, task_id: &TaskId, message: &str) {
        self.end(task_id, message, None);
    }

    /// The same for those who cannot wait longer than that.
    pub fn kill_within(&self, task_id: &TaskId, message: &str, within: Duration) {
        self.end(task_id, message, Some(within));
    }

    fn end(&self, task_id: &TaskId, message: &str, within: Option<Duration>) {
        let (task_id, message) = (task_id.clone(), message.to_owned());
        self.solo.do_send(End { task_id, message, within });
    }

    /// Nothing of any task runs when this returns.
    pub async fn stop(self) {
        while let Ok(1..) = self.solo.send(EndAll).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.arbiter.stop();
        let known = self.known.clone();
        let swept = self.known.workers.run(move || {
            records::end_by_force(&known);
            known.sweep(std::iter::empty());
        });
        swept.await;
    }
}

impl Solo {
    fn tell(&self, id: &TaskId, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.launched.get(id) {
            progress.send_modify(change);
        }
    }

    fn report(&self, id: &TaskId, state: RunState, message: String) {
        self.tell(id, |progress| {
            progress.state = state;
            progress.message = message;
        });
        let folder = self.known.tasks.task(id).filter(|_| state.is_terminal());
        if let Some(Err(error)) = folder.map(|it| it.settle()) {
            tracing::warn!(task = %id, %error, "will be ended once more");
        }
    }

    fn ask_to_end(&self, task_id: TaskId, message: String, within: Option<Duration>) {
        let within_ms = within.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        let asked = Event::KillAsked { message, within_ms };
        if let Some(runners) = &self.runners {
            runners.do_send(To(task_id, Happened(vec![asked])));
        }
    }
}

impl Actor for Solo {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let exited = ctx.address().recipient().downgrade();
        let known = self.known.clone();
        let meter = Meter::start(
            Lifeline::new((0, 0), exited),
            known.workers.clone(),
            &known.data,
            known.usages.clone(),
        );
        let host = Arc::new(Host {
            known,
            meter,
            reports: ctx.address().recipient().downgrade(),
            shows: ctx.address().recipient().downgrade(),
        });
        let begin = move |lifeline, id: &TaskId| Runner::start(lifeline, host.clone(), id);
        let gave_up = ctx.address().recipient();
        self.runners = Some(Supervisor::new(RUNNER_CRASHES, gave_up, begin).start());
    }
}

impl Handler<Begin> for Solo {
    type Result = ();

    fn handle(&mut self, Begin { launch, progress }: Begin, _: &mut Self::Context) {
        let id = launch.task_id.clone();
        self.launched.insert(id.clone(), progress);
        let made = match self.known.tasks.task(&id) {
            Some(folder) => self.known.tasks.launch(&folder, &launch).map_err(|it| it.to_string()),
            None => Err(format!("`{id}` cannot be the name of a task")),
        };
        match (made, &self.runners) {
            (Ok(()), Some(runners)) => runners.do_send(Wake(id)),
            (Ok(()), None) => {}
            (Err(why), _) => {
                let message = format!("Failed to initialize sandbox: {why}");
                self.report(&id, RunState::Failed, message);
            }
        }
    }
}

impl Handler<End> for Solo {
    type Result = ();

    fn handle(&mut self, End { task_id, message, within }: End, _: &mut Self::Context) {
        self.ask_to_end(task_id, message, within);
    }
}

impl Handler<EndAll> for Solo {
    type Result = usize;

    fn handle(&mut self, _: EndAll, _: &mut Self::Context) -> usize {
        let alive = self.launched.iter().filter(|(_, it)| !it.borrow().state.is_terminal());
        let alive: Vec<_> = alive.map(|(id, _)| id.clone()).collect();
        for id in &alive {
            self.ask_to_end(id.clone(), "Told to shut down executor.".to_owned(), Some(CLOSING));
        }
        alive.len()
    }
}

impl Handler<Report> for Solo {
    type Result = ();

    fn handle(&mut self, Report { task_id, state, message }: Report, _: &mut Self::Context) {
        self.report(&task_id, state, message);
    }
}

impl Handler<Show> for Solo {
    type Result = ();

    fn handle(&mut self, Show { task_id, view }: Show, _: &mut Self::Context) {
        self.tell(&task_id, |progress| progress.view = *view);
    }
}

/// Nobody looks after this task any more, so it must not go on.
impl Handler<GaveUp<TaskId>> for Solo {
    type Result = ();

    fn handle(&mut self, GaveUp { on, last_words }: GaveUp<TaskId>, ctx: &mut Self::Context) {
        let ended = self.known.end_by_force(&on);
        ctx.spawn(ended.into_actor(self).map(move |(), this, _| {
            let message = format!("Its runner keeps crashing: {last_words}");
            this.report(&on, RunState::Lost, message);
        }));
    }
}

/// Of the meter, without which tasks run as well.
impl Handler<Exited<Incarnation>> for Solo {
    type Result = ();

    fn handle(&mut self, exited: Exited<Incarnation>, _: &mut Self::Context) {
        tracing::error!(?exited, "nothing is measured any more");
    }
}
