//! Names of things. Their order is meaningful, so that they can be keys.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{hash::fnv1a, machine::Timestamp};

/// A job within its cluster. One scheduler is one cluster, so the cluster's name is not part of it.
///
/// Every instance, effect and message names its job, so the name is shared: a clone costs a count.
#[derive(Clone, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobKey(Arc<JobName>);

/// What a job's key is made of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub struct JobName {
    pub role: String,
    pub environment: String,
    pub name: String,
}

/// A task instance's slot: it outlives the attempts that fill it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    pub job: JobKey,
    pub instance: u32,
}

/// One attempt at running one instance: `role-environment-name-instance-UNIQUE`, a path component
/// of at most 223 characters. Only the end of it is to be relied on.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Arc<str>);

/// A host, by the name its agent goes by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub Arc<str>);

/// A machine, whatever its agent is called. Random, made once for each data folder.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineId(pub Arc<str>);

/// Which of a job's configurations: they are numbered from 1 in the order in which they came.
#[derive(
    Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ConfigId(pub u32);

/// Which attempt of an instance: grows with each, so that an older one's news is recognised.
#[derive(
    Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Attempt(pub u32);

/// One update of a job. Random, so that an update is never taken for another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UpdateId(pub Arc<str>);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub struct UpdateKey {
    pub job: JobKey,
    pub id: UpdateId,
}

impl JobKey {
    pub fn new(
        role: impl Into<String>,
        environment: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        let (role, environment, name) = (role.into(), environment.into(), name.into());
        Self(Arc::new(JobName { role, environment, name }))
    }

    pub fn task(&self, instance: u32) -> TaskKey {
        TaskKey { job: self.clone(), instance }
    }
}

impl Deref for JobKey {
    type Target = JobName;

    fn deref(&self) -> &JobName {
        &self.0
    }
}

impl PartialEq for JobKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Hash for JobKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Ord for JobKey {
    /// Most comparisons are between keys of one job that share its name.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for JobKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobKey({self})")
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.role, self.environment, self.name)
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.instance)
    }
}

impl fmt::Display for UpdateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UpdateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.id)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for HostId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl MachineId {
    pub fn random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }

    /// Stands for the machine of that name whose certificate names none, as older ones do not.
    pub fn unnamed(host: &HostId) -> Self {
        Self(format!("unnamed-{host}").into())
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for MachineId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

/// The text is not `role/environment/name`, or `role/environment/name/instance`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAKey;

impl FromStr for JobKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.split('/');
        let mut part = || parts.next().filter(|it| is_identifier(it)).ok_or(NotAKey);
        let key = Self::new(part()?, part()?, part()?);
        parts.next().map_or(Ok(key), |_| Err(NotAKey))
    }
}

impl FromStr for TaskKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (job, instance) = text.rsplit_once('/').ok_or(NotAKey)?;
        Ok(Self { job: job.parse()?, instance: instance.parse().map_err(|_| NotAKey)? })
    }
}

impl FromStr for UpdateKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (job, id) = text.rsplit_once('/').ok_or(NotAKey)?;
        Ok(Self { job: job.parse()?, id: id.parse()? })
    }
}

impl FromStr for UpdateId {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        is_identifier(text).then(|| Self(text.into())).ok_or(NotAKey)
    }
}

impl UpdateId {
    /// By 16 random bytes, written as a UUID of version 4.
    pub fn random(bytes: [u8; 16]) -> Self {
        let mut bits = u128::from_be_bytes(bytes);
        bits = bits & !(0xf << 76) | 0x4 << 76;
        bits = bits & !(0x3 << 62) | 0x2 << 62;
        let hex = format!("{bits:032x}");
        let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|it| &hex[it]);
        Self(format!("{a}-{b}-{c}-{d}-{e}").into())
    }
}

impl TaskKey {
    /// The id of an attempt: no two attempts of an instance share it, even when the job was
    /// forgotten in between, because `born` differs then. No two jobs do, because a hash of the
    /// job's name is part of it: `a.b` and `a-b` look the same in a path.
    pub fn task_id(&self, born: Timestamp, attempt: Attempt) -> TaskId {
        let JobName { role, environment, name } = &*self.job;
        let safe =
            |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        let job = format!("{role}-{environment}-{name}");
        let job: String = job.chars().map(safe).take(JOB_IN_ID_MAX).collect();
        let hash = fnv1a(self.job.to_string().into_bytes()) >> 32;
        TaskId(format!("{job}-{}-{hash:08x}{:x}-{}", self.instance, born.0, attempt.0).into())
    }
}

impl TaskId {
    /// What all attempts of one slot have in common, and those of no other, be it of the same
    /// instance after the first was forgotten.
    pub fn slot(&self) -> &str {
        self.0.rsplit_once('-').map_or(&*self.0, |(slot, _)| slot)
    }
}

/// How much of a job's name its tasks' ids show.
const JOB_IN_ID_MAX: usize = 176;

/// What may name a role, an environment, a job, a tier: `^[\w\-.]+$`, at most 255 long, and not
/// `.` or `..`, which would be lost from the paths that it is part of.
pub fn is_identifier(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_path = matches!(text, "" | "." | "..");
    !is_path && text.len() <= 255 && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_read_back_as_they_are_written() {
        let task = JobKey::new("www-data", "prod", "hello.v2").task(3);
        assert_eq!(task.to_string().parse(), Ok(task));
        for bad in ["", "a/b", "a/b/", "a/b/c/d/e", "a//c", "./b/c", "a/../c", "a/b/c d"] {
            assert_eq!(bad.parse::<JobKey>(), Err(NotAKey), "{bad}");
        }
    }

    #[test]
    fn a_task_id_is_a_path_component() {
        let id =
            JobKey::new("www.data", "prod", "hello").task(3).task_id(Timestamp(255), Attempt(7));
        assert_eq!(&*id.0, "www-data-prod-hello-3-c54a4777ff-7");
        let long = "x".repeat(255);
        let longest = JobKey::new(&long, &long, &long).task(u32::MAX);
        assert_eq!(longest.task_id(Timestamp(u64::MAX), Attempt(u32::MAX)).0.len(), 223);
    }

    #[test]
    fn the_attempts_of_a_slot_are_known_by_their_ids() {
        let task = JobKey::new("www", "prod", "hello").task(3);
        let id = |born, attempt| task.task_id(Timestamp(born), Attempt(attempt));
        assert_eq!(id(255, 7).slot(), id(255, 12).slot());
        assert_ne!(id(255, 7).slot(), id(256, 7).slot());
    }

    #[test]
    fn jobs_whose_names_look_alike_in_a_path_share_no_task_id() {
        let id = |role, environment, name| {
            JobKey::new(role, environment, name).task(3).task_id(Timestamp(255), Attempt(7))
        };
        let ids =
            [id("a", "b", "c.d"), id("a", "b", "c-d"), id("a", "b-c", "d"), id("a-b", "c", "d")];
        let unlike: BTreeSet<_> = ids.iter().collect();
        assert_eq!(unlike.len(), ids.len(), "{ids:?}");
    }
}
