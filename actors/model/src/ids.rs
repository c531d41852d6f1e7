//! Names of things. Their order is meaningful, so that they can be keys.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A job within its cluster. One scheduler is one cluster, so the cluster's name is not part of it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub struct JobKey {
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

/// One attempt at running one instance: `role-environment-name-instance-UNIQUE`, a path component.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub String);

/// A host, by the name its agent goes by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub String);

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

impl JobKey {
    pub fn new(
        role: impl Into<String>,
        environment: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self { role: role.into(), environment: environment.into(), name: name.into() }
    }

    pub fn task(&self, instance: u32) -> TaskKey {
        TaskKey { job: self.clone(), instance }
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
        Self(name.to_owned())
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

impl TaskKey {
    /// The id of an attempt: no two attempts of an instance share it, even when the job was
    /// forgotten in between, because `born` differs then.
    pub fn task_id(&self, born: crate::machine::Timestamp, attempt: Attempt) -> TaskId {
        let JobKey { role, environment, name } = &self.job;
        let id =
            format!("{role}-{environment}-{name}-{}-{:x}-{}", self.instance, born.0, attempt.0);
        let safe =
            |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        TaskId(id.chars().map(safe).collect())
    }
}

/// What may name a role, an environment, a job, a tier: `^[\w\-.]+$`, at most 255 long.
pub fn is_identifier(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.len() <= 255 && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Timestamp;

    #[test]
    fn keys_are_read_back_as_they_are_written() {
        let task = JobKey::new("www-data", "prod", "hello.v2").task(3);
        assert_eq!(task.to_string().parse(), Ok(task));
        for bad in ["", "a/b", "a/b/", "a/b/c/d/e", "a//c", "a/b/c d"] {
            assert_eq!(bad.parse::<JobKey>(), Err(NotAKey), "{bad}");
        }
    }

    #[test]
    fn a_task_id_is_a_path_component() {
        let id =
            JobKey::new("www.data", "prod", "hello").task(3).task_id(Timestamp(255), Attempt(7));
        assert_eq!(id.0, "www-data-prod-hello-3-ff-7");
    }
}
