//! Finds out what is due, has it done, and tells what came of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, now};
use airglow_model::{ids::TaskId, retention::Disk};
use tokio::time::Instant;

use super::{
    Measured, Roots, Told, Trees, Unwatch, Usages, Watch, pace, reasons,
    sample::{Before, Sample, Subject, Totals, sample},
    space,
    stroll::{Stroll, Strolls, Turn},
    walk::Walked,
};
use crate::{
    cgroups::{Group, Limits},
    workers::Workers,
};

pub(crate) struct Meter {
    workers: Workers,
    data: PathBuf,
    usages: Usages,
    watched: BTreeMap<TaskId, Watched>,
    scan: Scan,
    strolling: Strolling,
    /// How much was free, and when.
    space: Option<(Instant, Disk)>,
    is_ticking: bool,
    _lifeline: Lifeline<Incarnation>,
}

struct Watched {
    sandbox: PathBuf,
    limits: Limits,
    disk_reserved: u64,
    group: Option<Arc<Group>>,
    roots: Arc<Roots>,
    told: Told,
    has_told: HasTold,
    last: Option<(Instant, Totals)>,
    disk: DiskUse,
}

#[derive(Default)]
struct HasTold {
    memory: bool,
    disk: bool,
}

/// As of the last walk.
struct DiskUse {
    used: u64,
    walked_at: Option<Instant>,
    due: Instant,
    is_walking: bool,
}

struct Scan {
    due: Instant,
    is_running: bool,
}

#[derive(Default)]
struct Strolling {
    waiting: Strolls,
    is_out: bool,
    rests_until: Option<Instant>,
    /// The disk is filling up: there is no rest until all have been walked.
    is_urgent: bool,
}

impl Meter {
    pub(crate) fn start(
        lifeline: Lifeline<Incarnation>,
        workers: Workers,
        data: &Path,
        usages: Usages,
    ) -> Addr<Self> {
        // Those of an earlier incarnation will be watched again, or not.
        usages.lock().clear();
        let meter = Self {
            workers,
            data: data.to_owned(),
            usages,
            watched: BTreeMap::new(),
            scan: Scan { due: Instant::now(), is_running: false },
            strolling: Strolling::default(),
            space: None,
            is_ticking: false,
            _lifeline: lifeline,
        };
        meter.start()
    }

    fn tick_later(&mut self, ctx: &mut Context<Self>) {
        self.is_ticking = !self.watched.is_empty();
        if self.is_ticking {
            ctx.run_later(pace::TICK, Self::tick);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.look_at_disk(now);
        self.queue_walks(now);
        self.stroll(now, ctx);
        if self.scan.due <= now && !self.scan.is_running {
            self.scan(ctx);
        }
        self.tick_later(ctx);
    }

    fn scan(&mut self, ctx: &mut Context<Self>) {
        self.scan.is_running = true;
        let subject = |(id, it): (&TaskId, &Watched)| Subject {
            id: id.clone(),
            group: it.group.clone(),
            roots: it.roots.clone(),
        };
        let subjects: Vec<_> = self.watched.iter().map(subject).collect();
        let sampled = self.workers.run(move || sample(&subjects));
        ctx.spawn(sampled.into_actor(self).map(|sample, this, _| this.scanned(sample)));
    }

    fn scanned(&mut self, sample: Sample) {
        self.scan =
            Scan { due: Instant::now() + pace::until_next_scan(sample.took), is_running: false };
        let at = now();
        let mut usages = self.usages.lock();
        for (id, totals) in sample.tasks {
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            let Some(measured) = usages.get_mut(&id) else { continue };
            let before = Before {
                totals: watched.last.as_ref().map(|it| &it.1),
                passed: watched.last.as_ref().map_or(Duration::ZERO, |it| sample.at - it.0),
            };
            measured.usage = Some(totals.usage(at, watched.disk.used, &before));
            measured.processes = totals.usages(&before);
            watched.last = Some((sample.at, totals));
        }
        drop(usages);
        self.watched.values_mut().for_each(Watched::tell_of_memory);
    }

    fn look_at_disk(&mut self, now: Instant) {
        let Ok(space) = space(&self.data) else { return };
        let before = self.space.replace((now, space));
        self.strolling.is_urgent |=
            before.is_some_and(|(then, before)| pace::is_filling_up(before, space, now - then));
    }

    fn queue_walks(&mut self, now: Instant) {
        for (id, watched) in &mut self.watched {
            if watched.disk.is_due(now, self.strolling.is_urgent) {
                watched.disk.is_walking = true;
                self.strolling.waiting.push(Stroll {
                    id: id.clone(),
                    sandbox: watched.sandbox.clone(),
                    enough: watched.enough(),
                    walk: None,
                });
            }
        }
    }

    fn stroll(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let strolling = &mut self.strolling;
        let is_resting = strolling.rests_until.is_some_and(|it| now < it);
        if strolling.is_out || is_resting || strolling.waiting.is_empty() {
            return;
        }
        strolling.is_out = true;
        let waiting = std::mem::take(&mut strolling.waiting);
        let turn = self.workers.run(move || waiting.take_turn());
        ctx.spawn(turn.into_actor(self).map(|turn, this, ctx| this.strolled(turn, ctx)));
    }

    fn strolled(&mut self, turn: Turn, ctx: &mut Context<Self>) {
        let Turn { mut left, ended, took } = turn;
        for (id, walked) in ended {
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            watched.walked(walked);
            if let Some(usage) = self.usages.lock().get_mut(&id).and_then(|it| it.usage.as_mut()) {
                usage.disk = watched.disk.used;
            }
        }
        let rest = pace::rest(took, self.strolling.is_urgent);
        let strolling = &mut self.strolling;
        left.append(std::mem::take(&mut strolling.waiting));
        left.keep(|id| self.watched.contains_key(id));
        strolling.is_urgent &= !left.is_empty();
        strolling.waiting = left;
        strolling.is_out = false;
        strolling.rests_until = Some(Instant::now() + rest);
        if !strolling.waiting.is_empty() {
            ctx.run_later(rest, |this, ctx| this.stroll(Instant::now(), ctx));
        }
    }
}

impl DiskUse {
    /// While the disk is filling up one may have made another gigabyte every second.
    fn is_due(&self, now: Instant, is_urgent: bool) -> bool {
        let was_long_ago = self.walked_at.is_none_or(|it| it + pace::TICK <= now);
        !self.is_walking && (self.due <= now || is_urgent && was_long_ago)
    }
}

impl Watched {
    fn walked(&mut self, walked: Option<Walked>) {
        let took = walked.map_or(Duration::ZERO, |it| it.took);
        let now = Instant::now();
        self.disk = DiskUse {
            used: walked.map_or(0, |it| it.used),
            walked_at: Some(now),
            due: now + pace::until_next_walk(took),
            is_walking: false,
        };
        let why = reasons::disk_full(self.disk_reserved, self.disk.used);
        if let Some(why) = why.filter(|_| !self.has_told.disk) {
            self.has_told.disk = true;
            (self.told)(why);
        }
    }

    fn enough(&self) -> u64 {
        if self.disk_reserved == 0 { u64::MAX } else { self.disk_reserved }
    }

    fn tell_of_memory(&mut self) {
        let Some((_, totals)) = &self.last else { return };
        if 0 < totals.oom_kills && !self.has_told.memory {
            self.has_told.memory = true;
            let (reserved, allowed) = (self.limits.ram, self.limits.memory());
            (self.told)(reasons::out_of_memory(reserved, allowed, totals.ram_peak));
        }
    }
}

impl Actor for Meter {
    type Context = Context<Self>;
}

impl Handler<Watch> for Meter {
    type Result = ();

    fn handle(&mut self, watch: Watch, ctx: &mut Self::Context) {
        let Watch { task_id, task, sandbox, limits, disk: disk_reserved, group, told } = watch;
        let before = self.watched.remove(&task_id);
        let (roots, last, disk) = match before {
            Some(before) => (before.roots, before.last, before.disk),
            None => (Arc::default(), None, DiskUse::new()),
        };
        let group = group.map(Arc::new);
        let has_told = HasTold::default();
        let watched =
            Watched { sandbox, limits, disk_reserved, group, roots, told, has_told, last, disk };
        self.watched.insert(task_id.clone(), watched);
        let measured =
            Measured { task, limits, disk_reserved, usage: None, processes: BTreeMap::new() };
        self.usages.lock().entry(task_id).or_insert(measured);
        if !self.is_ticking {
            self.tick_later(ctx);
        }
    }
}

impl DiskUse {
    fn new() -> Self {
        Self { used: 0, walked_at: None, due: Instant::now(), is_walking: false }
    }
}

impl Handler<Trees> for Meter {
    type Result = ();

    fn handle(&mut self, Trees { task_id, roots }: Trees, _: &mut Self::Context) {
        if let Some(watched) = self.watched.get_mut(&task_id) {
            watched.roots = Arc::new(roots);
        }
    }
}

impl Handler<Unwatch> for Meter {
    type Result = ();

    fn handle(&mut self, Unwatch(id): Unwatch, _: &mut Self::Context) {
        self.watched.remove(&id);
        self.usages.lock().remove(&id);
    }
}
