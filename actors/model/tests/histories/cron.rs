//! Jobs that run by the clock, in clusters whose scheduler crashes: whatever happens, each time at
//! which one is due is settled once, and each run that is settled as started was started once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use airglow_model::{
    config::TaskConfig,
    cron::{CatchUp, Collision, Fate, Firing, Order, Rule, Timetable, Zone},
    ids::{HostId, JobKey, TaskKey},
    machine::Timestamp,
    record::{Change, Record, RecordKey},
    resources::{Attributes, Resources},
    simulation::{Action, Conduct, Dice, Doomed, News},
    spec::{JobSpec, Limits},
    task::Task,
    wire::Capacity,
};
use serde_json::json;

use crate::{
    asked,
    audit::{Auditor, Verdict},
    world,
};

const HISTORIES: u64 = 150;
const BEGIN: u64 = 1_000_000;
const MINUTE: u64 = 60_000;

fn key() -> JobKey {
    JobKey::new("www", "prod", "cron")
}

#[test]
fn each_time_is_settled_once_in_all_histories() {
    if let Some(seed) = asked("AIRGLOW_HISTORY") {
        return run(seed).unwrap();
    }
    let all = asked("AIRGLOW_HISTORIES").unwrap_or(HISTORIES);
    let failed: Vec<_> = (0..all).filter_map(|seed| Some((seed, run(seed).err()?))).collect();
    let Some((seed, why)) = failed.first() else { return };
    panic!("{} fail, the first is {seed}: {why}", failed.len());
}

fn run(seed: u64) -> Verdict {
    let mut dice = Dice::new(seed ^ 0xc407);
    let mut world = world(seed);
    if asked("AIRGLOW_HISTORY").is_some() {
        world.narrate();
    }
    let mut books = Books::default();
    let mut auditor = Auditor::default();
    let lasts = dice.between((10, 40)) * MINUTE;
    for (at, action) in actions(&mut dice, lasts) {
        world.plan(at, action);
    }
    // When it is descheduled, and all that it started has ended.
    let calm = Timestamp(BEGIN + lasts + 10 * MINUTE);
    world.plan(calm, Action::Deschedule { job: key() });
    let end = calm + Duration::from_secs(60 * 60);
    while world.next_at().is_some_and(|it| it <= end) {
        world.step();
        for news in world.take_news() {
            if let News::Committed(change) = &news {
                books.committed(world.now(), change)?;
            }
            auditor.hear(&world, news)?;
        }
    }
    let verdict = books.rest(calm).and_then(|()| auditor.rests(&world));
    if asked("AIRGLOW_HISTORY").is_some() {
        println!("{}", world.take_story());
    }
    verdict
}

fn actions(dice: &mut Dice, lasts: u64) -> Vec<(Timestamp, Action)> {
    let mut actions = Vec::new();
    for name in ["h0", "h1"] {
        let resources = Resources { cpu_milli: 4000, ram_mb: 4096, disk_mb: 4096, gpus: 0 };
        let id = HostId::from(name);
        let attributes = Attributes::from([("host".to_owned(), BTreeSet::from([name.to_owned()]))]);
        let capacity = Capacity { resources, ports: vec![], ..Capacity::default() };
        actions.push((Timestamp(BEGIN), Action::AddHost { id, attributes, capacity }));
    }
    actions.push((Timestamp(BEGIN + 3000), schedule(dice)));
    for _ in 0..dice.between((2, 20)) {
        let at = Timestamp(BEGIN + 5000 + dice.below(lasts));
        // Around full minutes is where something may be due.
        let at =
            if dice.chance(60) { Timestamp(at.0 / MINUTE * MINUTE + dice.below(200)) } else { at };
        let down = Duration::from_millis(*dice.pick(&[50, 1000, 50_000, 200_000]).expect("four"));
        let host = HostId::from(["h0", "h1"][usize::from(dice.chance(50))]);
        let action = match dice.below(10) {
            0..=3 => Action::CrashScheduler { down },
            4 => Action::Crash(Doomed::Cron(key())),
            5 => Action::Crash(Doomed::Job(key())),
            6 => Action::StartCron { job: key() },
            7 => Action::CutOff { host, how_long: down },
            8 => Action::Kill { job: key(), instances: None },
            _ => schedule(dice),
        };
        actions.push((at, action));
    }
    actions
}

fn schedule(dice: &mut Dice) -> Action {
    let schedule = *dice.pick(&["* * * * *", "*/2 * * * *", "3/5 * * * *"]).expect("three");
    let pick =
        |dice: &mut Dice, many: usize| usize::try_from(dice.below(many as u64)).expect("few");
    let collision = [Collision::KillExisting, Collision::CancelNew][pick(dice, 2)];
    let catch_up = [CatchUp::None, CatchUp::Latest, CatchUp::All][pick(dice, 3)];
    let rule = Rule { schedule: schedule.parse().unwrap(), zone: None, collision, catch_up };
    let config = Arc::new(template());
    let instances = u32::try_from(dice.between((1, 3))).expect("few");
    let order = Box::new(Order { config, instances, rule, zone: Zone::UTC, by: "ada".into() });
    let lasts_ms = Some((1000, *dice.pick(&[5000, 90_000, 200_000]).expect("three")));
    let conduct = Conduct { lasts_ms, fails_percent: 10, ..Conduct::default() };
    Action::Schedule { job: key(), order, conduct }
}

fn template() -> TaskConfig {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": "cron",
        "cron_schedule": "* * * * *", "max_task_failures": 2,
        "task": {
            "name": "t", "processes": [{ "name": "p", "cmdline": "true" }],
            "resources": { "cpu": 0.5, "ram": 64 << 20, "disk": 16 << 20 },
        },
    }))
    .unwrap();
    spec.check(&Limits::usual("c")).unwrap().config
}

/// What the store was told of the one job, and when.
#[derive(Default)]
struct Books {
    timetable: Option<Timetable>,
    /// Which runs its job has started, and which its timetable says so of.
    fired: BTreeSet<u32>,
    started: BTreeSet<u32>,
    /// Times that are settled, and for how far there is nothing more to settle.
    settled: BTreeSet<Timestamp>,
    due: BTreeSet<Timestamp>,
    tasks: BTreeMap<TaskKey, Task>,
}

impl Books {
    fn committed(&mut self, now: Timestamp, Change { key, record }: &Change) -> Verdict {
        match (key, record) {
            (RecordKey::Task(key), Some(Record::Task(task))) => {
                self.tasks.insert(key.clone(), task.clone());
            }
            (RecordKey::Task(key), None) => _ = self.tasks.remove(key),
            (RecordKey::Job(_), Some(Record::Job(job))) => {
                let fired = job.fired.map_or(0, |it| it.number);
                if fired > 0 && self.fired.insert(fired) {
                    let active = self.tasks.values().filter(|it| it.is_active()).count();
                    if active > 0 {
                        return Err(format!("{now:?}: run {fired} starts beside {active} others"));
                    }
                }
            }
            (RecordKey::Cron(_), Some(Record::Cron(timetable))) => self.turned(timetable)?,
            (_, _) => {}
        }
        Ok(())
    }

    /// A timetable has become this.
    fn turned(&mut self, it: &Timetable) -> Verdict {
        let new = it.fired - self.timetable.as_ref().map_or(0, |it| it.fired);
        let new = it.firings.len() - usize::try_from(new).expect("few");
        let last = self.timetable.as_ref().and_then(|it| it.firings.last()).cloned();
        if let Some((last, now)) = last.zip(new.checked_sub(1).map(|index| &it.firings[index]))
            && last.until != now.until
        {
            // More was missed, right after what was.
            let at = Timestamp(last.until.unwrap_or(last.at).0 + 1);
            self.tell(it, &Firing { at, ..now.clone() })?;
        }
        for firing in &it.firings[new..] {
            self.tell(it, firing)?;
        }
        if let Some(old) = &self.timetable {
            let same = old.rule.schedule == it.rule.schedule;
            if it.dealt < old.dealt {
                return Err(format!("it goes back from {:?} to {:?}", old.dealt, it.dealt));
            }
            // Whoever is given another schedule owes nothing by the old one.
            let all = it.zone.all(&old.rule.schedule, old.dealt);
            if same {
                self.due.extend(all.take_while(|at| *at <= it.dealt));
            }
        }
        self.timetable = Some(it.clone());
        Ok(())
    }

    fn tell(&mut self, it: &Timetable, firing: &Firing) -> Verdict {
        if let Fate::Started { number, .. } = firing.fate
            && !self.started.insert(number)
        {
            return Err(format!("run {number} is told twice"));
        }
        if firing.by.is_some() {
            return Ok(());
        }
        let until = firing.until.unwrap_or(firing.at);
        let before = Timestamp(firing.at.0 - 1);
        let times: Vec<_> =
            it.zone.all(&it.rule.schedule, before).take_while(|at| *at <= until).collect();
        // A schedule may have been replaced while a run waited; its time is that of the old one.
        let times = if times.is_empty() { vec![firing.at] } else { times };
        match times.iter().find(|at| !self.settled.insert(**at)) {
            Some(at) => Err(format!("{at:?} is settled twice: {firing:?}")),
            None => Ok(()),
        }
    }

    /// It has been descheduled `at` that time, some time after the last that went wrong.
    fn rest(&self, at: Timestamp) -> Verdict {
        let coming = self.timetable.as_ref().and_then(|it| it.coming());
        let expected: BTreeSet<_> = self
            .started
            .iter()
            .copied()
            .chain(coming.map(|it| it.number).filter(|it| self.fired.contains(it)))
            .collect();
        if self.fired != expected {
            return Err(format!("told {:?}, started {:?}", self.started, self.fired));
        }
        let coming = coming.map(|it| it.at);
        let open: Vec<_> = self
            .due
            .iter()
            .filter(|it| !self.settled.contains(it) && coming != Some(**it))
            .collect();
        if !open.is_empty() {
            return Err(format!("never settled until {at:?}: {open:?}"));
        }
        Ok(())
    }
}
