//! The closed set of things that the store keeps, and the names under which it keeps them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    access::{Pass, User},
    audit::Entry,
    config::TaskConfig,
    cron::Timetable,
    host::Host,
    ids::{
        ConfigId, HostId, JobKey, MachineId, NotAKey, TaskId, TaskKey, UpdateKey, is_identifier,
    },
    job::Job,
    joining::{Removal, Tokens},
    quota::Quota,
    task::{Run, Task},
    update::{InstanceEvent, Update},
    webhook::{Notice, NoticeId},
};

/// The version of everything below. A store of a newer one is refused, of an older one migrated.
pub const SCHEMA: u32 = 1;

/// Where a record lives. Every record has one owner, and only that entity writes it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub enum RecordKey {
    Job(JobKey),
    Config(JobKey, ConfigId),
    Task(TaskKey),
    /// An ended attempt of an instance.
    History(TaskKey, TaskId),
    Host(HostId),
    /// A role's.
    Quota(String),
    Update(UpdateKey),
    /// The events of its instances, in lots.
    UpdateEvents(UpdateKey, u32),
    /// What a webhook is still to be told. The scribe writes it, the courier deletes it.
    Notice(NoticeId),
    /// Somebody's deed, by its number.
    Audit(u64),
    /// The timetable of a job that runs by the clock.
    Cron(JobKey),
    /// The configuration that its next run gets.
    Template(JobKey),
    /// How often a scheduler has begun to lead.
    Term,
    /// Who may join; the cluster has one.
    Tokens,
    /// That this machine may not come back.
    Removal(MachineId),
    /// Who may use the API.
    User(String),
    /// What a user shows instead of a password, by its id.
    Pass(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Job(Job),
    Config(Arc<TaskConfig>),
    Task(Task),
    History(Run),
    Host(Host),
    Quota(Quota),
    Update(Box<Update>),
    UpdateEvents(Arc<[InstanceEvent]>),
    Notice(Notice),
    Audit(Entry),
    Cron(Timetable),
    Template(Arc<TaskConfig>),
    Term(u64),
    Tokens(Tokens),
    Removal(Removal),
    User(User),
    Pass(Pass),
}

/// One record's new content, or its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub key: RecordKey,
    pub record: Option<Record>,
}

/// What one transaction made true, in the order of all transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    pub seq: u64,
    pub changes: Vec<Change>,
}

impl RecordKey {
    /// Whether that is what belongs there.
    pub fn is_for(&self, record: &Record) -> bool {
        match self {
            Self::Job(_) => matches!(record, Record::Job(_)),
            Self::Config(..) => matches!(record, Record::Config(_)),
            Self::Task(_) => matches!(record, Record::Task(_)),
            Self::History(..) => matches!(record, Record::History(_)),
            Self::Host(_) => matches!(record, Record::Host(_)),
            Self::Quota(_) => matches!(record, Record::Quota(_)),
            Self::Update(_) => matches!(record, Record::Update(_)),
            Self::UpdateEvents(..) => matches!(record, Record::UpdateEvents(_)),
            Self::Notice(_) => matches!(record, Record::Notice(_)),
            Self::Audit(_) => matches!(record, Record::Audit(_)),
            Self::Cron(_) => matches!(record, Record::Cron(_)),
            Self::Template(_) => matches!(record, Record::Template(_)),
            Self::Term => matches!(record, Record::Term(_)),
            Self::Tokens => matches!(record, Record::Tokens(_)),
            Self::Removal(_) => matches!(record, Record::Removal(_)),
            Self::User(_) => matches!(record, Record::User(_)),
            Self::Pass(_) => matches!(record, Record::Pass(_)),
        }
    }
}

/// `kind/…`, unique and sorted by what belongs together. Identifiers hold no `/`.
impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "job/{job}"),
            Self::Config(job, ConfigId(number)) => write!(f, "config/{job}/{number:010}"),
            Self::Task(TaskKey { job, instance }) => write!(f, "task/{job}/{instance:010}"),
            Self::History(TaskKey { job, instance }, id) => {
                write!(f, "history/{job}/{instance:010}/{id}")
            }
            Self::Host(host) => write!(f, "host/{host}"),
            Self::Quota(role) => write!(f, "quota/{role}"),
            Self::Update(update) => write!(f, "update/{update}"),
            // Its name sorts after its update, which is read first.
            Self::UpdateEvents(update, lot) => write!(f, "updated/{update}/{lot:010}"),
            Self::Notice(id) => write!(f, "notice/{id}"),
            Self::Audit(number) => write!(f, "audit/{number:020}"),
            Self::Cron(job) => write!(f, "cron/{job}"),
            Self::Template(job) => write!(f, "template/{job}"),
            Self::Term => write!(f, "cluster/term"),
            Self::Tokens => f.write_str("tokens/"),
            Self::Removal(machine) => write!(f, "removal/{machine}"),
            Self::User(name) => write!(f, "user/{name}"),
            Self::Pass(id) => write!(f, "pass/{id}"),
        }
    }
}

/// Exactly what [`RecordKey`] is displayed as.
impl FromStr for RecordKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (kind, name) = text.split_once('/').ok_or(NotAKey)?;
        Ok(match kind {
            "job" => Self::Job(name.parse()?),
            "config" => {
                let (job, number) = name.rsplit_once('/').ok_or(NotAKey)?;
                Self::Config(job.parse()?, ConfigId(number.parse().map_err(|_| NotAKey)?))
            }
            "task" => Self::Task(name.parse()?),
            "history" => {
                let (task, id) = name.rsplit_once('/').ok_or(NotAKey)?;
                Self::History(task.parse()?, TaskId(id.into()))
            }
            "host" => Self::Host(name.into()),
            "update" => Self::Update(name.parse()?),
            "updated" => {
                let (update, lot) = name.rsplit_once('/').ok_or(NotAKey)?;
                Self::UpdateEvents(update.parse()?, lot.parse().map_err(|_| NotAKey)?)
            }
            "quota" if is_identifier(name) => Self::Quota(name.to_owned()),
            "notice" => Self::Notice(name.parse()?),
            "audit" => Self::Audit(name.parse().map_err(|_| NotAKey)?),
            "cron" => Self::Cron(name.parse()?),
            "template" => Self::Template(name.parse()?),
            "cluster" if name == "term" => Self::Term,
            "tokens" if name.is_empty() => Self::Tokens,
            "removal" if is_identifier(name) => Self::Removal(name.into()),
            "user" if is_identifier(name) => Self::User(name.to_owned()),
            "pass" if is_identifier(name) => Self::Pass(name.to_owned()),
            _ => return Err(NotAKey),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_as_they_are_written() {
        let job = JobKey::new("www-data", "prod", "hello.v2");
        let task = job.task(7);
        let id = crate::ids::UpdateId::random([7; 16]);
        let update = UpdateKey { job: job.clone(), id };
        for key in [
            RecordKey::Job(job.clone()),
            RecordKey::Config(job.clone(), ConfigId(12)),
            RecordKey::Cron(job.clone()),
            RecordKey::Template(job),
            RecordKey::Task(task.clone()),
            RecordKey::History(task, TaskId("www-data-prod-hello-v2-7-ff-1".into())),
            RecordKey::Host("rack-1.example.org".into()),
            RecordKey::Quota("www-data".into()),
            RecordKey::Update(update.clone()),
            RecordKey::UpdateEvents(update, 3),
            RecordKey::Notice(NoticeId { seq: 70, index: 3 }),
            RecordKey::Audit(12),
            RecordKey::Term,
            RecordKey::Tokens,
            RecordKey::Removal("m1".into()),
            RecordKey::User("ada".into()),
            RecordKey::Pass("0123abcd".into()),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for bad in [
            "",
            "job",
            "job/a/b",
            "task/a/b/c",
            "config/a/b/c/x",
            "quota/a/b",
            "song/a",
            "audit/x",
            "cluster/x",
            "tokens/x",
        ] {
            assert_eq!(bad.parse::<RecordKey>(), Err(NotAKey), "{bad}");
        }
    }
}
