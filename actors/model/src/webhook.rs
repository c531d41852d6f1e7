//! Who is told what happens: programs of others, by HTTP, whatever becomes of us meanwhile.
//!
//! A notice is a record that is made by the very transaction that it is about, so that no crash
//! lies between the two, and that is deleted when its receiver has said that it has it. It is
//! therefore delivered at least once, and has an id by which receivers know what they had already.
//! Those of one job to one receiver go one after the other, in the order of what happened; who is
//! next is said by a [`Queue`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::Ports,
    ids::{JobKey, NotAKey, TaskKey, UpdateKey},
    machine::Timestamp,
    record::{Change, Record, RecordKey},
    task::{Run, Status, Task},
    update::{self, Update},
    view::View,
};

mod queue;
#[cfg(test)]
mod tests;

pub use queue::Queue;

/// A receiver, as an operator wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Unique.
    pub name: String,
    pub url: String,
    pub headers: Vec<(String, Secret)>,
    pub filter: Filter,
    pub pace: Pace,
}

/// What a receiver wants to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub kinds: BTreeSet<Kind>,
    /// Of tasks; `None`: any.
    pub statuses: Option<BTreeSet<Status>>,
    /// `None`: anybody's.
    pub roles: Option<BTreeSet<String>>,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Task,
    Update,
}

/// How a receiver is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How many notices are on their way to it, each of another job.
    pub at_once: usize,
    /// How long to wait after it did not take one. Doubled each time, up to the second.
    pub retry_after: (Duration, Duration),
    /// How many may wait for it. Beyond that the oldest are dropped.
    pub waiting_max: usize,
    /// How long one may wait for it.
    pub age_max: Duration,
}

/// Not for anybody's eyes.
#[derive(Clone, PartialEq)]
pub struct Secret(pub String);

/// The number of the transaction that it is about, and which of that one's notices it is. Later
/// ones are greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub struct NoticeId {
    pub seq: u64,
    pub index: u32,
}

/// Something that happened and that a receiver has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The receiver's name.
    pub hook: String,
    /// When it happened.
    pub at: Timestamp,
    pub job: JobKey,
    pub news: News,
}

/// What a receiver is told, as the API's words. The order of fields is what it gets to see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum News {
    Task(TaskNews),
    Update(UpdateNews),
}

/// An instance's run has come into another state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskNews {
    pub task: TaskState,
    /// `None`: the run has only just come to be.
    pub old_state: Option<Status>,
}

/// An update has come into another state, or begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateNews {
    pub update: UpdateName,
    pub status: update::Status,
    pub old_status: Option<update::Status>,
    /// Why, if that was said.
    pub message: String,
    /// Who asked for it; nobody did if it is empty.
    pub user: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateName {
    pub role: String,
    pub environment: String,
    pub name: String,
    pub id: String,
}

/// A run as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    pub role: String,
    pub environment: String,
    pub name: String,
    pub instance: u32,
    pub task_id: String,
    pub status: Status,
    pub active: bool,
    pub since: Timestamp,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Ports::is_empty")]
    pub ports: Ports,
    pub failures: u32,
    pub attempt: u32,
    pub config: u32,
}

/// Finds out what transactions have to tell, before they are written. Several may be written at
/// once, while the view knows none of them.
#[derive(Debug)]
pub struct Announcer<'a> {
    hooks: &'a [Hook],
    view: &'a View,
    /// As they will be when what was announced before is true.
    tasks: BTreeMap<TaskKey, Option<Task>>,
    /// How many of their events are known.
    updates: BTreeMap<UpdateKey, usize>,
}

/// Something that happened, before it is known who wants to hear of it.
struct Happened {
    at: Timestamp,
    job: JobKey,
    news: News,
}

impl Default for Filter {
    fn default() -> Self {
        Self { kinds: [Kind::Task, Kind::Update].into(), statuses: None, roles: None }
    }
}

impl Filter {
    fn takes(&self, Happened { job, news, .. }: &Happened) -> bool {
        let is_kind = match news {
            News::Task(TaskNews { task, .. }) => {
                self.kinds.contains(&Kind::Task)
                    && self.statuses.as_ref().is_none_or(|all| all.contains(&task.status))
            }
            News::Update(_) => self.kinds.contains(&Kind::Update),
        };
        is_kind && self.roles.as_ref().is_none_or(|all| all.contains(&job.role))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            at_once: 8,
            retry_after: (Duration::from_secs(1), Duration::from_secs(60)),
            waiting_max: 100_000,
            age_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl<'a> Announcer<'a> {
    pub fn new(hooks: &'a [Hook], view: &'a View) -> Self {
        Self { hooks, view, tasks: BTreeMap::new(), updates: BTreeMap::new() }
    }

    /// The records that have to be written with `changes`, which will be transaction `seq`.
    pub fn announce(&mut self, seq: u64, changes: &[Change]) -> Vec<Change> {
        let happened: Vec<_> = changes.iter().flat_map(|it| self.happened(it)).collect();
        for Change { key, record } in changes {
            match (key, record) {
                (RecordKey::Task(key), Some(Record::Task(task))) => {
                    self.tasks.insert(key.clone(), Some(task.clone()));
                }
                (RecordKey::Task(key), _) => _ = self.tasks.insert(key.clone(), None),
                (RecordKey::Update(key), Some(Record::Update(update))) => {
                    self.updates.insert(key.clone(), update.events.len());
                }
                _ => {}
            }
        }
        let wanted = happened.iter().flat_map(|it| {
            let hooks = self.hooks.iter().filter(|hook| hook.filter.takes(it));
            hooks.map(|hook| it.notice(&hook.name))
        });
        let change = |(index, notice)| Change {
            key: RecordKey::Notice(NoticeId { seq, index }),
            record: Some(Record::Notice(notice)),
        };
        (0..).zip(wanted).map(change).collect()
    }

    fn happened(&self, Change { key, record }: &Change) -> Vec<Happened> {
        match (key, record) {
            (RecordKey::Task(key), Some(Record::Task(Task { run: Some(run), .. })))
            | (RecordKey::History(key, _), Some(Record::History(run))) => {
                let before = match self.tasks.get(key) {
                    Some(task) => task.as_ref(),
                    None => self.view.task_of(key),
                };
                moves(key, run, before.and_then(|it| it.run.as_ref()))
            }
            (RecordKey::Update(key), Some(Record::Update(update))) => {
                let before = self.updates.get(key).copied();
                let of_view = || self.view.updates.get(key).map(|it| it.update.events.len());
                turns(update, before.or_else(of_view).unwrap_or(0))
            }
            _ => vec![],
        }
    }
}

/// The states that an update has come into after so many others.
fn turns(
    Update { key: UpdateKey { job, id }, events, .. }: &Update,
    known: usize,
) -> Vec<Happened> {
    let states = events.iter().map(|it| it.status);
    let old = std::iter::once(None).chain(states.map(Some));
    let each = events.iter().zip(old).skip(known);
    each.map(|(event, old_status)| Happened {
        at: event.at,
        job: job.clone(),
        news: News::Update(UpdateNews {
            update: UpdateName {
                role: job.role.clone(),
                environment: job.environment.clone(),
                name: job.name.clone(),
                id: id.to_string(),
            },
            status: event.status,
            old_status,
            message: event.message.clone(),
            user: event.by.clone(),
        }),
    })
    .collect()
}

/// The states that a run has come into since its slot's was like `before`.
fn moves(key: &TaskKey, run: &Run, before: Option<&Run>) -> Vec<Happened> {
    let known = before.filter(|it| it.id == run.id).map_or(0, |it| it.events.len());
    let states = run.events.iter().map(|it| it.status);
    let old = std::iter::once(None).chain(states.map(Some));
    let each = run.events.iter().zip(old).skip(known);
    each.map(|(event, old_state)| Happened {
        at: event.at,
        job: key.job.clone(),
        news: News::Task(TaskNews {
            task: TaskState {
                status: event.status,
                active: event.status.is_active(),
                since: event.at,
                message: event.message.clone(),
                ..TaskState::new(key, run)
            },
            old_state,
        }),
    })
    .collect()
}

impl TaskState {
    fn new(TaskKey { job, instance }: &TaskKey, run: &Run) -> Self {
        let at = run.state.placement();
        Self {
            role: job.role.clone(),
            environment: job.environment.clone(),
            name: job.name.clone(),
            instance: *instance,
            task_id: run.id.to_string(),
            status: run.state.status(),
            active: run.state.status().is_active(),
            since: Timestamp::default(),
            created_at: run.events.first().map(|it| it.at).unwrap_or_default(),
            message: String::new(),
            host: at.map(|it| it.host.to_string()),
            ports: at.map(|it| it.ports.clone()).unwrap_or_default(),
            failures: run.failures,
            attempt: run.attempt.0,
            config: run.config.0,
        }
    }
}

impl Happened {
    fn notice(&self, hook: &str) -> Notice {
        Notice {
            hook: hook.to_owned(),
            at: self.at,
            job: self.job.clone(),
            news: self.news.clone(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// As they are sorted.
impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:06}", self.seq, self.index)
    }
}

impl FromStr for NoticeId {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (seq, index) = text.split_once('-').ok_or(NotAKey)?;
        let (seq, index) = (seq.parse(), index.parse());
        Ok(Self { seq: seq.map_err(|_| NotAKey)?, index: index.map_err(|_| NotAKey)? })
    }
}
