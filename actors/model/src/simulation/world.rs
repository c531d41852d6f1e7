//! The cluster and its clock: what happens next, and where what is said goes.

use std::{collections::BTreeMap, time::Duration};

use super::{
    action::{Action, Conduct},
    calendar::Calendar,
    computer::Computer,
    dice::Dice,
    network::{Link, Parcel},
    scheduler::{Ask, Kept, Mail, Out, Reader, Request, Scheduler, ToDrainer, ToPruner, ToSession},
};
use crate::{
    admission::{Refusal, Rules},
    ids::{HostId, JobKey, TaskId, TaskKey},
    instances::InstanceSet,
    machine::Timestamp,
    policy::Policy,
    record::{Change, Committed, Record, RecordKey},
    view::View,
    wire::RunState,
};

/// A whole cluster. Nothing in it happens but by [`World::step`], and the same seed and the same
/// actions lead to the same history.
pub struct World {
    pub(super) now: Timestamp,
    pub(super) dice: Dice,
    pub(super) calendar: Calendar<Due>,
    records: BTreeMap<RecordKey, Record>,
    seq: u64,
    pub(super) scheduler: Option<Scheduler>,
    pub(super) scheduler_life: u64,
    pub(super) out: Out,
    /// When the newest mail of each reader arrives.
    post: BTreeMap<Reader, Timestamp>,
    unwritten: Vec<(Vec<Change>, Mail)>,
    pub(super) writing: Vec<(Vec<Change>, Mail)>,
    pub(super) hosts: BTreeMap<HostId, Computer>,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) newest_link: u64,
    pub(super) conducts: BTreeMap<JobKey, Conduct>,
    pub(super) setup: Setup,
    pub(super) news: Vec<News>,
    pub(super) story: Option<String>,
}

/// What does not change while a world lasts.
#[derive(Clone, Debug)]
pub struct Setup {
    pub policy: Policy,
    pub instances_max: u32,
    /// How long messages between hosts and the scheduler are on their way, in milliseconds.
    pub latency_ms: (u64, u64),
    /// How long a commit takes, in milliseconds.
    pub commit_ms: (u64, u64),
    /// How long mail within the scheduler lies, in milliseconds.
    pub mail_ms: (u64, u64),
    /// How often hosts say what they have besides when they connect.
    pub inventory_every: Option<Duration>,
    pub begins_at: Timestamp,
    /// Whether what ended long ago is forgotten.
    pub prunes: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            instances_max: 4000,
            latency_ms: (1, 3),
            commit_ms: (1, 4),
            mail_ms: (0, 1),
            inventory_every: Some(Duration::from_secs(180)),
            begins_at: Timestamp(1_000_000),
            prunes: true,
        }
    }
}

/// What happened, for whoever watches.
#[derive(Clone, Debug)]
pub enum News {
    /// This is on the scheduler's disk.
    Committed(Box<Change>),
    /// A host has forgotten a run that ended, because the scheduler said that it may.
    Settled { host: HostId, task: TaskKey, id: TaskId, state: RunState },
    /// A request about a job, or a role's quota, was answered.
    Answered { about: String, answer: Result<InstanceSet, Refusal> },
    /// A run has begun on a host.
    Launched { host: HostId, task: TaskKey, id: TaskId },
}

/// Something on the calendar.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// In the scheduler's life of this number.
    Mail(u64, Mail),
    Written(u64),
    SchedulerStarts,
    Parcel(u64, Parcel),
    /// One side of a connection notices that it has ended.
    AgentNotices(u64),
    SchedulerNotices(u64),
    /// An agent in its life of this number.
    Dial(HostId, u64),
    Inventory(HostId, u64),
    AgentStarts(HostId),
    NetworkHeals(HostId, u64),
    /// A run goes on, if its host has not been off meanwhile.
    Run(HostId, u64, TaskId, RunState),
    Action(Box<Action>),
}

pub(super) const SILENCE: Duration = Duration::from_secs(15);

impl World {
    pub fn new(seed: u64, setup: Setup) -> Self {
        let mut world = Self {
            now: setup.begins_at,
            dice: Dice::new(seed),
            calendar: Calendar::new(),
            records: BTreeMap::new(),
            seq: 0,
            scheduler: None,
            scheduler_life: 0,
            out: Out::new(0),
            post: BTreeMap::new(),
            unwritten: Vec::new(),
            writing: Vec::new(),
            hosts: BTreeMap::new(),
            links: BTreeMap::new(),
            newest_link: 0,
            conducts: BTreeMap::new(),
            setup,
            news: Vec::new(),
            story: None,
        };
        world.calendar.enter(world.now, Due::SchedulerStarts);
        world
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn hosts(&self) -> &BTreeMap<HostId, Computer> {
        &self.hosts
    }

    /// What is on the scheduler's disk.
    pub fn records(&self) -> &BTreeMap<RecordKey, Record> {
        &self.records
    }

    /// What the scheduler knows, if there is one.
    pub fn view(&self) -> Option<&View> {
        self.scheduler.as_ref().map(|it| &it.view)
    }

    /// What a scheduler that starts now would know.
    pub fn view_from_disk(&self) -> View {
        let change = |(key, record): (&RecordKey, &Record)| Change {
            key: key.clone(),
            record: Some(record.clone()),
        };
        let mut view = View::of(&self.setup.policy.scheduling);
        let changes = self.records.iter().map(change).collect();
        view.apply(&Committed { seq: self.seq, changes });
        view
    }

    /// Puts into the view why those wait who do.
    pub fn explain(&mut self) {
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.explain(self.now);
        }
    }

    /// What has happened since this was asked for last.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// What happens at a certain time, unless it is done by then.
    pub fn plan(&mut self, at: Timestamp, action: Action) {
        self.calendar.enter(at, Due::Action(Box::new(action)));
    }

    /// When something happens next, if anything does.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.calendar.next_at()
    }

    /// The next thing happens.
    pub fn step(&mut self) {
        let Some((at, due)) = self.calendar.take() else { return };
        self.now = at.max(self.now);
        self.happen(due);
        self.answer_asks();
    }

    /// Everything happens that does until then.
    pub fn run_until(&mut self, end: Timestamp) {
        while self.next_at().is_some_and(|it| it <= end) {
            self.step();
        }
        self.now = end.max(self.now);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Mail(life, mail) => self.deliver(life, mail),
            Due::Written(life) => self.written(life),
            Due::SchedulerStarts => self.start_scheduler(),
            Due::Parcel(link, parcel) => self.arrive(link, parcel),
            Due::AgentNotices(link) => self.agent_notices(link),
            Due::SchedulerNotices(link) => self.scheduler_notices(link),
            Due::Dial(host, life) => self.dial(&host, life),
            Due::Inventory(host, life) => self.say_inventory(&host, life),
            Due::AgentStarts(host) => self.start_agent(&host),
            Due::NetworkHeals(host, cut) => self.heal(&host, cut),
            Due::Run(host, boot, id, state) => self.run_goes_on(&host, boot, &id, state),
            Due::Action(action) => self.act(*action),
        }
    }

    pub(super) fn deliver(&mut self, life: u64, mail: Mail) {
        if let Some(scheduler) = self.scheduler.as_mut().filter(|_| life == self.scheduler_life) {
            self.out.at(self.now);
            scheduler.read(mail, &mut self.out);
        }
    }

    pub(super) fn answer_asks(&mut self) {
        for ask in std::mem::take(&mut self.out.asks) {
            match ask {
                Ask::Send(mail) => self.send(mail),
                Ask::Later(at, mail) => {
                    self.calendar.enter(at, Due::Mail(self.scheduler_life, mail));
                }
                Ask::Commit(changes, then) => self.commit(changes, then),
                Ask::Say(link, message) => self.say(link, Parcel::Down(message)),
                Ask::HangUp(link) => self.hang_up(link),
                Ask::Inquire(inquiry) => {
                    let may_go = self.dice.chance(60);
                    let at = self.now + Duration::from_millis(self.dice.between((10, 5000)));
                    let advice = Mail::Drainer(ToDrainer::Advised(inquiry, may_go));
                    self.calendar.enter(at, Due::Mail(self.scheduler_life, advice));
                }
                Ask::ReadHistory => {
                    let history = self.history();
                    self.send(Mail::Pruner(ToPruner::Sweep(history)));
                }
                Ask::Answered(request, answer) => {
                    let about = match request {
                        Request::Job(job, _) => job.to_string(),
                        Request::Quota(role, _) => role,
                    };
                    self.tell(|| match &answer {
                        Ok(instances) => format!("{about}: as asked, {instances}"),
                        Err(refusal) => format!("{about}: {refusal}"),
                    });
                    self.news.push(News::Answered { about, answer });
                }
            }
        }
    }

    pub(super) fn send(&mut self, mail: Mail) {
        let arrives = self.now + Duration::from_millis(self.dice.between(self.setup.mail_ms));
        let at = self.post.entry(mail.reader()).or_default();
        *at = arrives.max(*at);
        self.calendar.enter(*at, Due::Mail(self.scheduler_life, mail));
    }

    fn commit(&mut self, changes: Vec<Change>, then: Mail) {
        self.unwritten.push((changes, then));
        if self.writing.is_empty() {
            self.write();
        }
    }

    /// What was asked for while the last commit was on its way is the next one.
    fn write(&mut self) {
        self.writing = std::mem::take(&mut self.unwritten);
        if !self.writing.is_empty() {
            let at = self.now + Duration::from_millis(self.dice.between(self.setup.commit_ms));
            self.calendar.enter(at, Due::Written(self.scheduler_life));
        }
    }

    fn written(&mut self, life: u64) {
        if life != self.scheduler_life || self.scheduler.is_none() {
            return;
        }
        for (changes, then) in std::mem::take(&mut self.writing) {
            self.keep(&changes);
            if let Some(scheduler) = &mut self.scheduler {
                scheduler.view.apply(&Committed { seq: self.seq, changes });
            }
            // Whoever asked hears of it a moment later than whoever looks at the view.
            let at = self.now + Duration::from_millis(self.dice.between(self.setup.mail_ms));
            self.calendar.enter(at, Due::Mail(life, then));
        }
        if let Some(scheduler) = &self.scheduler {
            scheduler.has_news(&mut self.out);
        }
        self.write();
    }

    /// What the store has of each job's ended runs.
    fn history(&self) -> BTreeMap<JobKey, Vec<Kept>> {
        let mut history: BTreeMap<JobKey, Vec<Kept>> = BTreeMap::new();
        for (key, record) in &self.records {
            if let (RecordKey::History(task, id), Record::History(run)) = (key, record) {
                let ended_at = run.events.last().map(|it| it.at).unwrap_or_default();
                let kept =
                    Kept { ended_at, task: task.clone(), id: id.clone(), config: run.config };
                history.entry(task.job.clone()).or_default().push(kept);
            }
        }
        history.values_mut().for_each(|it| it.sort_by_key(|it| it.ended_at));
        history
    }

    /// This has always been on the scheduler's disk.
    pub(super) fn install(&mut self, changes: &[Change]) {
        self.keep(changes);
    }

    fn keep(&mut self, changes: &[Change]) {
        self.seq += 1;
        for change in changes {
            self.tell_of(change);
            match &change.record {
                Some(record) => self.records.insert(change.key.clone(), record.clone()),
                None => self.records.remove(&change.key),
            };
            self.news.push(News::Committed(Box::new(change.clone())));
        }
    }

    fn start_scheduler(&mut self) {
        if self.scheduler.is_some() {
            return;
        }
        self.scheduler_life += 1;
        self.tell(|| "the scheduler starts".into());
        let view = self.view_from_disk();
        let (policy, instances_max) = (&self.setup.policy, self.setup.instances_max);
        let rules = Rules { instances_max, quota: policy.quota };
        let scheduler = Scheduler::new(view, policy, rules);
        self.out.at(self.now);
        scheduler.wake(&mut self.out);
        if self.setup.prunes {
            self.calendar
                .enter(self.now, Due::Mail(self.scheduler_life, Mail::Pruner(ToPruner::Tick)));
        }
        self.scheduler = Some(scheduler);
    }

    /// What is in memory is gone; of what is on its way to the disk, either all arrives or nothing.
    pub(super) fn crash_scheduler(&mut self, down: Duration) {
        if self.scheduler.take().is_none() {
            return;
        }
        self.tell(|| format!("the scheduler crashes, and comes back in {down:?}"));
        let writing = std::mem::take(&mut self.writing);
        if self.dice.chance(50) {
            writing.iter().for_each(|(changes, _)| self.keep(changes));
        }
        self.unwritten.clear();
        self.post.clear();
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.links.get_mut(&link).expect("it is there").scheduler_listens = false;
            self.break_link(link);
        }
        self.calendar.enter(self.now + down, Due::SchedulerStarts);
    }

    /// What jobs of this name do once they run.
    pub fn conduct(&mut self, job: JobKey, conduct: Conduct) {
        self.conducts.insert(job, conduct);
    }

    /// Mail to a session, which came over the network.
    pub(super) fn hand_over(&mut self, link: u64, word: ToSession) {
        if self.scheduler.is_some() {
            self.send(Mail::Session(link, word));
        }
    }
}
