//! One run of one process: starts its shepherd, or finds it, and says what becomes of it.
//!
//! The shepherd's folder is the truth, and this actor only reads it; so one that starts late, after
//! a crash or in the next life of the agent, says the same as one that was there all the time. A
//! run is started at most once, because its shepherd claims it ([`RunFolder::claim`]), and a run
//! that should not start any more is claimed for nobody.

use std::{
    io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use actix::{WeakAddr, prelude::*};
use airglow_kit::{Lifeline, now};
use airglow_model::{
    config::TaskConfig,
    process::Exit,
    run::{Event, RunId},
};
use nix::sys::signal::Signal;
use tokio::{
    net::unix::pipe,
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    SHEPHERD,
    folder::{Claim, RunFolder, TaskFolder},
    runner::{Happened, Runner, Tended},
    sandbox::Sandbox,
    workers::Workers,
};

/// What the processes of a task have in common.
pub(crate) struct Care {
    pub(crate) folder: TaskFolder,
    pub(crate) config: Arc<TaskConfig>,
    pub(crate) sandbox: Sandbox,
    pub(crate) workers: Workers,
    pub(crate) binary: PathBuf,
    pub(crate) runner: WeakAddr<Runner>,
    /// Closed when the runner is gone: whoever comes after it starts processes of its own.
    pub(crate) leash: watch::Receiver<()>,
}

pub(crate) struct Process {
    tending: Option<Tending>,
    wishes: watch::Sender<Option<Wish>>,
    _lifeline: Lifeline<RunId>,
}

/// What is wanted of a run. There is no way back.
#[derive(Clone, Copy, Debug, Eq, Message, Ord, PartialEq, PartialOrd)]
#[rtype(result = "()")]
pub(crate) enum Wish {
    /// That it ends by itself.
    Term,
    /// That it ends, and all that came of it.
    Kill,
}

/// How long a shepherd may take to begin, and, once asked, to end what is in its care.
const PATIENCE: Duration = Duration::from_secs(60);
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Process {
    pub(crate) fn start(lifeline: Lifeline<RunId>, care: Arc<Care>, id: &RunId) -> Addr<Self> {
        let (sender, wishes) = watch::channel(None);
        let tending = Tending {
            folder: care.folder.run(id),
            care,
            id: id.clone(),
            wishes,
            granted: None,
            is_started: false,
            is_ended: false,
            deadline: None,
        };
        Self { tending: Some(tending), wishes: sender, _lifeline: lifeline }.start()
    }
}

impl Actor for Process {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let tending = self.tending.take().expect("an actor is started once");
        if let Some(runner) = tending.care.runner.upgrade() {
            runner.do_send(Tended(tending.id.clone()));
        }
        let tended = tending.tend().into_actor(self);
        ctx.spawn(tended.map(|(), _, ctx| ctx.stop()));
    }
}

impl Handler<Wish> for Process {
    type Result = ();

    fn handle(&mut self, wish: Wish, _: &mut Self::Context) {
        self.wishes.send_if_modified(|it| {
            let is_new = *it < Some(wish);
            *it = (*it).max(Some(wish));
            is_new
        });
    }
}

struct Tending {
    care: Arc<Care>,
    id: RunId,
    folder: RunFolder,
    wishes: watch::Receiver<Option<Wish>>,
    granted: Option<Wish>,
    is_started: bool,
    is_ended: bool,
    /// When something should have happened that has not happened yet.
    deadline: Option<Instant>,
}

impl Tending {
    async fn tend(mut self) {
        if let Err(error) = self.watch().await {
            tracing::warn!(run = ?self.id, %error, "cannot be run");
            self.abandon(&error).await;
        }
    }

    /// If somebody runs it nevertheless, it is not for long; and then it is not said that nobody did.
    async fn abandon(&self, error: &io::Error) {
        if !self.forbid().unwrap_or(false) {
            self.end_by_force().await;
        }
        let claim = self.folder.claimed().ok().flatten();
        if self.is_ended {
            self.tell(Event::Gone { id: self.id.clone() });
        } else if self.is_started || matches!(claim, Some(Claim::Shepherd(_))) {
            self.say_ended(Exit::Lost, false);
        } else {
            self.say_ended(Exit::Unstarted(error.to_string()), false);
        }
    }

    async fn watch(&mut self) -> io::Result<()> {
        let bell = self.begin().await?;
        let mut leash = self.care.leash.clone();
        // Waiting for a turn to begin is not being late.
        self.deadline = Some(soon(PATIENCE));
        let mut is_gone = match self.folder.claimed()? {
            None => false,
            Some(Claim::Nobody) => true,
            Some(Claim::Shepherd(shepherd)) => !shepherd.is_alive(),
        };
        loop {
            let is_over = self.say_what_is_new()?;
            if is_over || is_gone {
                return if is_over { Ok(()) } else { self.finish().await };
            }
            if self.grant()? {
                return Ok(());
            }
            tokio::select! {
                () = rung(&bell) => is_gone = is_abandoned(&bell),
                _ = self.wishes.changed() => {}
                _ = leash.changed() => return Ok(()),
                () = passed(self.deadline) => if self.hurry().await? { return Ok(()) },
            }
        }
    }

    /// There is a shepherd when this returns, or there was one, or there soon will be.
    async fn begin(&self) -> io::Result<pipe::Receiver> {
        let open = || pipe::OpenOptions::new().open_receiver(self.folder.bell());
        if self.folder.claimed()?.is_some() {
            return open();
        }
        let (care, id, folder) = (self.care.clone(), self.id.clone(), self.folder.clone());
        let prepare = move || folder.make(&care.sandbox.order(&care.config.spec.task, &id)?);
        self.care.workers.run(prepare).await?;
        // Before anybody can ring it, so that nothing is missed.
        let bell = open()?;
        let (care, folder) = (self.care.clone(), self.folder.clone());
        self.care.workers.run(move || call_shepherd(&care, &folder)).await?;
        Ok(bell)
    }

    /// Whether there is no more to say.
    fn say_what_is_new(&mut self) -> io::Result<bool> {
        if !self.is_started
            && let Some(started) = self.folder.started()?
        {
            self.is_started = true;
            self.deadline = None;
            let (id, pid, at) = (self.id.clone(), started.main.pid, started.at);
            self.tell(Event::Started { id, pid, at });
        }
        if !self.is_ended
            && let Some(ended) = self.folder.ended()?
        {
            self.is_ended = true;
            let (id, leftover) = (self.id.clone(), ended.leftover);
            self.tell(Event::Ended { id, at: ended.at, exit: ended.exit, leftover });
            return Ok(!leftover);
        }
        Ok(false)
    }

    /// The shepherd is gone, perhaps before those who were in its care.
    async fn finish(&self) -> io::Result<()> {
        if !self.is_ended {
            self.forbid()?;
        }
        self.end_by_force().await;
        if self.is_ended {
            self.tell(Event::Gone { id: self.id.clone() });
        } else {
            self.say_ended(Exit::Lost, false);
        }
        Ok(())
    }

    /// Whether it has not begun, and now never will. Where it has begun there is nothing to be
    /// written, so that a full disk does not keep us from asking it to end.
    fn forbid(&self) -> io::Result<bool> {
        Ok(self.folder.claimed()?.is_none() && self.folder.claim(&Claim::Nobody)?)
    }

    /// Whether it was never started, and now will not be.
    fn grant(&mut self) -> io::Result<bool> {
        let wish = *self.wishes.borrow_and_update();
        let Some(wish) = wish.filter(|it| self.granted < Some(*it)) else { return Ok(false) };
        let signal = match wish {
            Wish::Term => Signal::SIGTERM,
            // What a shepherd understands as such.
            Wish::Kill => Signal::SIGUSR1,
        };
        if self.forbid()? {
            self.say_ended(Exit::Signal(signal as i32), false);
            return Ok(true);
        }
        if let Some(Claim::Shepherd(shepherd)) = self.folder.claimed()? {
            shepherd.signal(signal);
        }
        self.granted = Some(wish);
        if wish == Wish::Kill {
            self.deadline = Some(soon(KILL_PATIENCE));
        }
        Ok(false)
    }

    /// Whether there is nothing more to wait for.
    async fn hurry(&mut self) -> io::Result<bool> {
        self.deadline = Some(soon(KILL_PATIENCE));
        if self.forbid()? {
            self.say_ended(Exit::Lost, false);
            return Ok(true);
        }
        // It was not quick enough, either to begin or to end; we hear of it when it is gone.
        if !self.is_started || self.granted == Some(Wish::Kill) {
            self.end_by_force().await;
        }
        Ok(false)
    }

    /// Looks through all processes of the machine, which takes a while.
    async fn end_by_force(&self) {
        let folder = self.folder.clone();
        self.care.workers.run(move || folder.end_by_force()).await;
    }

    fn say_ended(&self, exit: Exit, leftover: bool) {
        self.tell(Event::Ended { id: self.id.clone(), at: now(), exit, leftover });
    }

    fn tell(&self, event: Event) {
        if let Some(runner) = self.care.runner.upgrade() {
            runner.do_send(Happened(event));
        }
    }
}

/// Starts the program that becomes the shepherd, which is nobody's child when this returns.
fn call_shepherd(care: &Care, folder: &RunFolder) -> io::Result<()> {
    let status = Command::new(&care.binary)
        .arg(SHEPHERD)
        .arg(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?
        .wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("the shepherd could not begin: {status}")))
    }
}

/// Until there is something to hear, or nobody left who could be heard.
async fn rung(bell: &pipe::Receiver) {
    if bell.readable().await.is_err() {
        tracing::error!("this runtime hears nothing any more");
        std::future::pending::<()>().await;
    }
}

fn is_abandoned(bell: &pipe::Receiver) -> bool {
    loop {
        match bell.try_read(&mut [0; 64]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn soon(wait: Duration) -> Instant {
    Instant::now() + wait
}
