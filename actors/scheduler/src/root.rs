//! The supervision tree, on threads of its own. It stands while this scheduler decides; when and
//! whether that is, [`crate::reigns`] says.
//!
//! ```text
//! mesh thread            the mesh's listener; other schedulers are answered here
//! scheduler thread       the tree itself; rest_for_one, 3 restarts in 60 s
//! ├─ scribe              a thread of the store's. If it fails the process has to end: there is
//! │                      no going on without a disk, and what was acknowledged is on it. Where
//! │                      schedulers share their records it speaks for a replica of theirs
//! ├─ entities            one thread, one for all: they hold each other's addresses
//! │    ├─ jobs hosts tasks updates crons   a supervisor each; 5 crashes in 60 s on one key → left
//! │    │                                   alone
//! │    ├─ matchmaker drainer overseer admission herald lookout switchboard gatekeeper
//! │    └─ ward           says who was left alone
//! ├─ links               one thread: the sessions, which speak JSON and TLS
//! └─ upkeep              one thread: what takes its time, and nobody waits for
//!      ├─ pruner surveyor archivist
//!      └─ courier
//! ```

use std::{
    convert::Infallible, error::Error, fmt, path::PathBuf, rc::Rc, sync::Arc, time::Duration,
};

use actix::prelude::*;
use airglow_kit::{
    Branch, Fate, Fell, GaveUp, Grown, Incarnation, Key, Lifeline, Supervisor, To, Tree, Wake,
    identity::Authority, now,
};
use airglow_model::{
    admission::Rules,
    cron,
    host::{Contact, Event},
    policy::Policy,
    pruning::Keep,
    restart::Intensity,
    sla,
    view::{Note, Quarantine, View},
};
use airglow_store::{Feed, ReadModel, Scribe, Store};
use tokio::sync::oneshot;

use crate::{
    Failure, Stats,
    admission::Admission,
    archivist::{self, Archivist},
    courier::Courier,
    cron::{Crons, Links as CronLinks, Lookout},
    drainer::{Around, Drainer},
    entity::{Entity, Role, Shared},
    gatekeeper::{self, Gatekeeper},
    herald::Herald,
    host,
    hosts::{Arrived, Exchange, Sessions, Switchboard},
    job,
    lines::{Entities, Lines},
    matchmaker::Matchmaker,
    messages::Happened,
    overseer::Overseer,
    peers::{Gate, House},
    pruner::{Pruner, Work},
    surveyor::{Surveyor, Surveys},
    task,
    term::{self, Term},
    update,
};

const OF_ENTITIES: Intensity = Intensity { restarts: 5, period: Duration::from_secs(60) };
const OF_BRANCHES: Intensity = Intensity { restarts: 3, period: Duration::from_secs(60) };

/// What the branches are made from, each time that they are.
#[derive(Clone)]
pub(crate) struct Soil {
    pub(crate) cluster: String,
    /// Where hosts find it, and who else there is.
    pub(crate) house: Arc<House>,
    pub(crate) rules: Rules,
    pub(crate) policy: Policy,
    pub(crate) sla: sla::Rules,
    pub(crate) view: ReadModel,
    pub(crate) feed: Feed,
    pub(crate) scribe: Scribe,
    pub(crate) store: Store,
    pub(crate) keep: Keep,
    pub(crate) stats: Stats,
    pub(crate) surveys: Surveys,
    pub(crate) lines: Lines,
    pub(crate) authority: Arc<Authority>,
    /// The digest of a token from before there were generations.
    pub(crate) former: Option<String>,
    /// The scheduler's folder.
    pub(crate) data: PathBuf,
}

/// What is made anew whenever this scheduler begins to decide, around the scribe that it has then.
pub(crate) type Plant = Box<dyn Fn(Scribe) -> Soil + Send>;

/// Lets everything grow that decides, and stand until `until` comes to something, or until it cannot
/// stand any more.
pub(crate) async fn stand<T>(
    soil: Soil,
    gate: &mut Gate,
    until: impl Future<Output = T>,
    grown: impl FnOnce(),
) -> Result<T, Failure> {
    // If it cannot be written, the store has failed or the reign is over, and `until` says so.
    term::begin(&soil.scribe, &soil.view).await.ok();
    let lines = soil.lines.clone();
    let (gave_up, hopeless) = oneshot::channel();
    let branches = vec![
        branch("entities", &soil, entities),
        branch("links", &soil, links),
        branch("upkeep", &soil, upkeep),
    ];
    drop(soil);
    let tree = Tree::new(OF_BRANCHES, branches, move |why| drop(gave_up.send(why))).start();
    tree.send(Grown).await.ok();
    grown();
    let end = tokio::select! {
        it = until => Ok(it),
        Ok(why) = hopeless => Err(Failure(why)),
        never = let_in(gate, &lines) => match never {},
    };
    // If the tree has given up, it has felled itself. The lines are cut after it: an actor whose
    // last address is dropped ends, and to a tree that still stands that is a crash.
    tree.send(Fell).await.ok();
    drop(tree);
    lines.cut();
    end
}

async fn let_in(gate: &mut Gate, lines: &Lines) -> Infallible {
    loop {
        let (peer, link) = gate.arrival().await;
        // While the branches are being restarted nobody is at home; the host comes again.
        if let Some(sessions) = lines.sessions() {
            sessions.do_send(Arrived(peer, link));
        }
    }
}

fn branch<F>(name: &'static str, soil: &Soil, grow: fn(Soil, Fate) -> F) -> Branch
where
    F: Future<Output = ()> + 'static,
{
    let soil = soil.clone();
    Branch::new(name, move |fate| grow(soil.clone(), fate))
}

/// Whatever was asked for before is in the view after this, unless the store has failed, and that
/// ends the process.
async fn is_caught_up(soil: &Soil) -> bool {
    let is_caught_up = async || soil.scribe.commit(Vec::new()).await.is_ok();
    if !is_caught_up().await {
        return false;
    }
    // Supervisors that are new have left nobody alone.
    if soil.view.read(|it| it.quarantined.is_empty()) {
        return true;
    }
    soil.scribe.note(Note::Pardoned);
    is_caught_up().await
}

async fn entities(soil: Soil, fate: Fate) {
    if !is_caught_up(&soil).await || !gatekeeper::decide(&soil).await {
        return;
    }
    let (view, scribe) = (soil.view.clone(), soil.scribe.clone());
    let ward = Ward { scribe: scribe.clone(), _lifeline: fate.lifeline() }.start();
    let nursery = Nursery {
        view: view.clone(),
        scribe: scribe.clone(),
        ward,
        stats: soil.stats.clone(),
        fate: fate.clone(),
    };

    // They need to know each other before they are there.
    let (for_tasks, for_hosts, for_jobs) = (Context::new(), Context::new(), Context::new());
    let (tasks, hosts, jobs) = (for_tasks.address(), for_hosts.address(), for_jobs.address());
    let for_updates = Context::new();
    let updates = for_updates.address();
    let herald =
        Herald::new(scribe.clone(), tasks.clone(), soil.stats.clone(), fate.lifeline()).start();
    let policy = soil.policy.clone();
    let of_matchmaker = Matchmaker::new(
        (view.clone(), scribe),
        tasks.clone(),
        policy,
        soil.stats.clone(),
        fate.lifeline(),
    );
    let matchmaker = of_matchmaker.start();
    let switchboard = Switchboard::new(hosts.clone(), soil.policy.hosts, fate.lifeline()).start();
    let of_tasks = task::Links {
        view: view.clone(),
        matchmaker: matchmaker.clone(),
        switchboard: switchboard.clone(),
        stats: soil.stats.clone(),
    };
    nursery.raise(for_tasks, of_tasks);
    let around = Around::new(&soil, tasks.clone(), hosts.clone(), updates.clone());
    let drainer = Drainer::new(around, fate.lifeline()).start();
    let of_hosts = host::Links {
        view: view.clone(),
        tasks: tasks.clone(),
        matchmaker: matchmaker.clone(),
        drainer: drainer.clone(),
        switchboard: switchboard.clone(),
    };
    nursery.raise(for_hosts, of_hosts);
    nursery.raise(for_jobs, job::Links { view: view.clone(), herald: herald.clone() });
    let of_updates = update::Links { jobs: jobs.clone(), drainer, stats: soil.stats.clone() };
    nursery.raise(for_updates, of_updates);
    let crons = nursery.raise_crons(&soil, &jobs);
    Overseer::new(view.clone(), soil.feed, updates.clone(), fate.lifeline()).start();
    wake_hosts(&view, soil.policy.hosts.unreachable_after, &hosts);
    view.read(|view| wake(view, &jobs, &tasks));
    let (books, scribe) = ((view, soil.scribe.clone()), soil.scribe);
    let gatekeeper = Gatekeeper::new(books.clone(), fate.lifeline()).start();
    let entities = (jobs.clone(), crons);
    let admission = Admission::new(books, soil.rules, entities, herald, fate.lifeline()).start();
    soil.lines.have(Entities {
        admission,
        matchmaker,
        switchboard,
        tasks,
        jobs,
        hosts,
        updates,
        gatekeeper,
        scribe,
    });
}

/// None of them is connected yet.
fn wake_hosts(view: &ReadModel, patience: Duration, hosts: &Addr<host::Hosts>) {
    let disconnected = || Event::Disconnected { patience };
    view.read(|view| {
        for (id, host) in &view.hosts {
            match host.host.contact {
                Contact::Up { .. } => hosts.do_send(To(id.clone(), Happened(disconnected()))),
                Contact::Unknown
                | Contact::Away { .. }
                | Contact::Unreachable { .. }
                | Contact::Removed { .. } => {
                    hosts.do_send(Wake(id.clone()));
                }
            }
        }
    });
}

/// Every other one who has something to do, be it to wait. An instance that simply runs is woken by
/// whatever happens to it next.
fn wake(view: &View, jobs: &Addr<job::Jobs>, tasks: &Addr<task::Tasks>) {
    for (key, job) in &view.jobs {
        let restless = job.tasks.values().filter(|it| is_restless(*it, view));
        restless.for_each(|it| tasks.do_send(Wake(it.key.clone())));
        if job.job.generation > 0 {
            jobs.do_send(Wake(key.clone()));
        }
    }
}

/// The cluster's clock may be another one than before.
fn wake_crons(view: &View, clock: &cron::Zone, crons: &Addr<Crons>) {
    let scheduled = view.jobs.iter().filter_map(|(key, job)| Some((key, job.cron.as_ref()?)));
    for (key, timetable) in scheduled {
        let is_theirs = timetable.rule.zone.is_some() || timetable.zone == *clock;
        if is_theirs {
            crons.do_send(Wake(key.clone()));
        } else {
            let event = cron::Event::Rezoned(clock.clone());
            crons.do_send(To(key.clone(), Happened(event)));
        }
    }
}

/// It has something to ask for, a deadline, or missed something.
fn is_restless<M: Role>(entity: &M, view: &View) -> bool {
    entity.deadline().is_some() || !entity.effects().is_empty() || entity.overheard(view).is_some()
}

async fn links(soil: Soil, fate: Fate) {
    let Some(entities) = soil.lines.entities() else { return };
    let Entities { switchboard, tasks, hosts, .. } = entities;
    let Soil { cluster, house, view, scribe, lines, stats, authority, .. } = soil;
    let term = Term::new(view.read(|it| it.term), scribe.clone());
    let exchange = Exchange {
        cluster,
        house,
        term,
        view,
        scribe,
        tasks,
        hosts,
        switchboard,
        stats,
        authority,
    };
    lines.have_sessions(Sessions::new(exchange, fate.lifeline()).start());
}

async fn upkeep(soil: Soil, fate: Fate) {
    let Some(entities) = soil.lines.entities() else { return };
    let archivist = Archivist::new(archivist::Work::of(&soil), fate.lifeline());
    soil.lines.have_archivist(archivist.start());
    let Soil { view, feed, scribe, store, keep, policy, lines, stats, surveys, sla, .. } = soil;
    let books = (view.clone(), store.clone());
    Surveyor::new(books, surveys, sla.refresh, fate.lifeline()).start();
    let books = (feed, scribe.clone(), store.clone());
    let courier = Courier::new(policy.webhooks, books, stats.clone(), fate.lifeline());
    lines.have_courier(courier.start());
    let work = Work::new((keep, policy.audit), (view, scribe, store), entities, stats);
    lines.have_pruner(Pruner::new(work, fate.lifeline()).start());
}

/// Makes the parents of entities.
struct Nursery {
    view: ReadModel,
    scribe: Scribe,
    ward: Addr<Ward>,
    stats: Stats,
    fate: Fate,
}

impl Nursery {
    fn raise<M: Role>(&self, ctx: Context<Supervisor<Entity<M>, M::Key>>, links: M::Links) {
        let (view, scribe) = (self.view.clone(), self.scribe.clone());
        let parent = ctx.address().recipient().downgrade();
        let stats = self.stats.clone();
        let shared = Rc::new(Shared { view, scribe, links, stats, parent });
        let start = move |lifeline, key: &_| Entity::start(lifeline, key, Rc::clone(&shared));
        let ward = self.ward.clone().recipient();
        ctx.run(Supervisor::new(OF_ENTITIES, ward, start).sharing(&self.fate));
    }

    fn raise_crons(&self, soil: &Soil, jobs: &Addr<job::Jobs>) -> Addr<Crons> {
        let for_crons = Context::new();
        let (crons, view) = (for_crons.address(), self.view.clone());
        let books = (view.clone(), soil.feed.clone());
        let lookout = Lookout::new(books, crons.clone(), self.fate.lifeline()).start();
        let (jobs, stats) = (jobs.clone(), self.stats.clone());
        let links = CronLinks { view, jobs, crons: crons.clone(), lookout, stats };
        self.raise(for_crons, links);
        self.view.read(|view| wake_crons(view, &soil.policy.clock, &crons));
        crons
    }
}

/// Shows who was left alone. They are tried again when the branch is started again.
struct Ward {
    scribe: Scribe,
    _lifeline: Lifeline<Incarnation>,
}

impl Actor for Ward {
    type Context = Context<Self>;
}

impl<K: Key + fmt::Display> Handler<GaveUp<K>> for Ward {
    type Result = ();

    fn handle(&mut self, GaveUp { on, last_words }: GaveUp<K>, _: &mut Self::Context) {
        let why = Quarantine { since: now(), reason: last_words };
        self.scribe.note(Note::Quarantined { key: on.to_string(), why });
    }
}

/// An error and what it came from.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&it| it.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
