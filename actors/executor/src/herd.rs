//! The agent's end of the line to a task's shepherd, without which nothing of the task runs.
//!
//! The shepherd is summoned when the task's place is made, and found again by whoever comes after
//! us, since it outlives the agent. What it has written down is the truth, and is read from the
//! beginning by each of us; so one that comes late says the same as one that was there all the time,
//! and what was said twice is ignored by the task's machine.
//!
//! A line that ends is a shepherd that is gone. Then everything of the task ends by force, what was
//! running is lost, and that is added to the record in the dead one's place before there may be
//! another shepherd: no run has two.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::Lifeline;
use airglow_model::{
    ids::TaskId,
    process::Exit,
    run::{Event, RunId},
};
use nix::sys::signal::Signal;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    care::Care,
    order::{Order, Start},
};

mod line;
mod look;
mod register;
mod succession;
mod telling;

pub(crate) use look::Look;
pub(crate) use register::Register;

use line::{Line, Sound, passed, soon};
use look::Looks;
use register::Standing;

/// One for each task. To be told a [`Word`].
pub(crate) struct Herd {
    tending: Option<Tending>,
    words: mpsc::UnboundedSender<Word>,
    _lifeline: Lifeline<TaskId>,
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum Word {
    /// Make the task's place, and have a shepherd there.
    Prepare,
    /// See to it that this run is started, once, and say how far it is.
    Tend { start: Box<Start>, progress: watch::Sender<Progress> },
    /// Run something that looks at the task from within, and say what it says.
    Look(Look),
    /// It should have started by now.
    Late(RunId),
    /// Nobody watches this run any more.
    End(RunId),
    /// Ask everything to end. Those of these that have not been started will not be.
    Term(Vec<RunId>),
    /// End everything. Those of these that have not been started will not be.
    Kill(Vec<RunId>),
    /// The task is over.
    Leave,
}

/// The same as [`Word::Leave`], for one of many: who is gone already need not come back for that.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

/// How far a run is, for whoever watches over it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// Nobody was told yet.
    Waiting,
    /// The shepherd was told.
    Ordered,
    Started,
    /// Or it never will start.
    Ended,
}

/// How long a shepherd may take to end what it was told to end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Herd {
    pub(crate) fn start(
        lifeline: Lifeline<TaskId>,
        care: Arc<Care>,
        is_successor: bool,
    ) -> Addr<Self> {
        let (sender, words) = mpsc::unbounded_channel();
        let tending = Tending {
            care,
            words,
            register: Register::default(),
            line: None,
            ordered: BTreeSet::new(),
            unwanted: BTreeMap::new(),
            watchers: BTreeMap::new(),
            looks: Looks::new(),
            deadline: None,
            is_leaving: false,
            is_successor,
        };
        Self { tending: Some(tending), words: sender, _lifeline: lifeline }.start()
    }
}

impl Actor for Herd {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let tending = self.tending.take().expect("an actor is started once");
        let tended = tending.tend().into_actor(self);
        ctx.spawn(tended.map(|(), _, ctx| ctx.stop()));
    }
}

impl Handler<Word> for Herd {
    type Result = ();

    fn handle(&mut self, word: Word, _: &mut Self::Context) {
        // Whoever does not listen any more has nothing left to do.
        self.words.send(word).ok();
    }
}

impl Handler<Leave> for Herd {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) {
        self.handle(Word::Leave, ctx);
    }
}

struct Tending {
    care: Arc<Care>,
    words: mpsc::UnboundedReceiver<Word>,
    register: Register,
    line: Option<Line>,
    /// Runs that the shepherd was told to start, by us or, for all we know, by one of us before.
    ordered: BTreeSet<RunId>,
    /// Runs that should end, or not begin, and by which signal.
    unwanted: BTreeMap<RunId, Signal>,
    watchers: BTreeMap<RunId, watch::Sender<Progress>>,
    looks: Looks,
    /// When something should have ended.
    deadline: Option<Instant>,
    is_leaving: bool,
    /// Of one that crashed, and that was told what we were not.
    is_successor: bool,
}

impl Tending {
    async fn tend(mut self) {
        let mut leash = self.care.leash.clone();
        self.begin().await;
        while !(self.is_leaving && self.line.is_none()) {
            tokio::select! {
                // What was said before the end is heard before it: it may be that we should leave.
                biased;
                word = self.words.recv() => match word {
                    Some(word) => self.hear(word).await,
                    None => return,
                },
                sound = Line::sound(self.line.as_mut()) => match sound {
                    Sound::Bell(seen) => self.attend_to(seen).await,
                    Sound::End => self.finish().await,
                },
                run = self.looks.forsaken() => self.order(&Order::KillRun { run }).await,
                _ = leash.changed(), if !self.is_leaving => return,
                () = passed(self.deadline) => self.end_by_force().await,
            }
        }
        self.care.vacate().await;
    }

    async fn hear(&mut self, word: Word) {
        match word {
            Word::Prepare => self.prepare().await,
            Word::Tend { start, progress } => self.start(*start, progress).await,
            Word::Look(look) => self.look(look).await,
            Word::Late(run) => self.late(&run).await,
            Word::End(run) => self.end(run).await,
            Word::Term(runs) => self.ask_to_end(runs, Signal::SIGTERM).await,
            Word::Kill(runs) => self.ask_to_end(runs, Signal::SIGKILL).await,
            Word::Leave => self.leave().await,
        }
    }

    async fn prepare(&mut self) {
        let (care, is_attached) = (self.care.clone(), self.line.is_some());
        match self.care.known.workers.run(move || care.prepare(is_attached)).await {
            Ok(stream) => {
                if let Some(stream) = stream {
                    self.attend(stream);
                }
                self.tell(Event::Prepared);
            }
            Err(why) => self.tell(Event::NotPrepared { why }),
        }
    }

    async fn start(&mut self, start: Start, progress: watch::Sender<Progress>) {
        let id = start.run.clone();
        self.watchers.insert(id.clone(), progress);
        match self.register.standing(&id) {
            Standing::Alive => return self.progressed(&id, Progress::Started),
            Standing::Ended => return self.progressed(&id, Progress::Ended),
            Standing::Unknown => {}
        }
        let unwanted = self.unwanted.get(&id).copied();
        if let Some(signal) = unwanted.filter(|_| !self.ordered.contains(&id)) {
            return self.say_ended(id, Exit::Signal(signal as i32));
        }
        if let Err(error) = self.be_attached().await {
            return self.say_ended(id, Exit::Unstarted(error.to_string()));
        }
        self.ordered.insert(id.clone());
        self.order(&Order::Start(start)).await;
        self.progressed(&id, Progress::Ordered);
        match unwanted {
            Some(Signal::SIGKILL) => self.order(&Order::Kill).await,
            Some(_) => self.order(&Order::Term).await,
            None => {}
        }
    }

    async fn ask_to_end(&mut self, runs: Vec<RunId>, signal: Signal) {
        self.unwanted.extend(runs.into_iter().map(|run| (run, signal)));
        if signal == Signal::SIGKILL {
            self.deadline = Some(soon(KILL_PATIENCE));
            self.order(&Order::Kill).await;
        } else {
            self.order(&Order::Term).await;
        }
    }

    async fn late(&mut self, run: &RunId) {
        if self.ordered.contains(run) && self.register.standing(run) == Standing::Unknown {
            tracing::warn!(task = %self.care.id, ?run, "is not started by its shepherd");
            self.end_by_force().await;
        }
    }

    async fn look(&mut self, look: Look) {
        if self.line.is_none() {
            return look.fail("The task has no shepherd.");
        }
        match self.looks.begin(look, &self.care) {
            Ok(start) => self.order(&Order::Start(start)).await,
            Err(error) => tracing::warn!(task = %self.care.id, %error, "cannot look"),
        }
    }

    async fn end(&mut self, run: RunId) {
        if self.ordered.contains(&run) || self.register.standing(&run) == Standing::Alive {
            self.order(&Order::KillRun { run }).await;
        } else {
            self.say_ended(run, Exit::Lost);
        }
    }

    async fn leave(&mut self) {
        self.is_leaving = true;
        self.deadline = Some(soon(KILL_PATIENCE));
        self.order(&Order::Leave).await;
    }

    async fn order(&mut self, order: &Order) {
        let Some(line) = &mut self.line else { return };
        if let Err(error) = line.say(order).await {
            tracing::debug!(task = %self.care.id, %error, "not ordered");
            // If it has ended we will hear of that.
            if error.kind() == io::ErrorKind::TimedOut {
                self.deadline = Some(Instant::now());
            }
        }
    }
}
