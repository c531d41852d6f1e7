//! Who did what to whom, when, and what came of it.
//!
//! What somebody wants is on disk before it is carried out, and what came of it before the answer
//! goes out. So an entry without an outcome is of a scheduler that was killed in the middle: whether
//! it was done is seen from the things themselves.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{HostId, JobKey, NotAKey},
    machine::Timestamp,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub user: String,
    /// The address that the request came from.
    pub peer: String,
    /// What was to be done: `kill`.
    pub verb: String,
    pub target: Target,
    /// More of what was to be done, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// What whoever did it had to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub outcome: Outcome,
}

/// What somebody did something to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    Job(JobKey),
    Host(HostId),
    Role(String),
    Cluster,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    UnderWay,
    Done { at: Timestamp },
    Refused { at: Timestamp, why: String },
}

/// Which entries somebody wants to see. All that is given has to fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub role: Option<String>,
    pub environment: Option<String>,
    pub name: Option<String>,
    pub host: Option<String>,
    pub user: Option<String>,
}

/// How much of it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    pub count: u64,
    pub age: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self { count: 100_000, age: Duration::from_secs(90 * 24 * 60 * 60) }
    }
}

impl Keep {
    /// Of `count` entries, whether the one that `older` others precede may go.
    pub fn may_go(&self, now: Timestamp, at: Timestamp, older: u64, count: u64) -> bool {
        older + self.count < count || at + self.age <= now
    }
}

impl Filter {
    /// Everything about this job.
    pub fn of_job(job: &JobKey) -> Self {
        Self {
            role: Some(job.role.clone()),
            environment: Some(job.environment.clone()),
            name: Some(job.name.clone()),
            ..Self::default()
        }
    }

    /// Everything about this host.
    pub fn of_host(host: &HostId) -> Self {
        Self { host: Some(host.to_string()), ..Self::default() }
    }

    /// The only target that fits, if no other can.
    pub fn target(&self) -> Option<Target> {
        match (&self.host, &self.role, &self.environment, &self.name) {
            (Some(host), None, None, None) => Some(Target::Host(host.as_str().into())),
            (None, Some(role), Some(environment), Some(name)) => {
                Some(Target::Job(JobKey::new(role, environment, name)))
            }
            _ => None,
        }
    }

    pub fn takes(&self, entry: &Entry) -> bool {
        let is = |asked: &Option<String>, it: Option<&str>| {
            asked.as_deref().is_none_or(|asked| it == Some(asked))
        };
        let target = &entry.target;
        let job = target.job();
        is(&self.role, target.role())
            && is(&self.environment, job.map(|it| it.environment.as_str()))
            && is(&self.name, job.map(|it| it.name.as_str()))
            && is(&self.host, target.host().map(|it| &*it.0))
            && is(&self.user, Some(&entry.user))
    }
}

impl Target {
    pub fn job(&self) -> Option<&JobKey> {
        match self {
            Self::Job(job) => Some(job),
            Self::Host(_) | Self::Role(_) | Self::Cluster => None,
        }
    }

    pub fn host(&self) -> Option<&HostId> {
        match self {
            Self::Host(host) => Some(host),
            Self::Job(_) | Self::Role(_) | Self::Cluster => None,
        }
    }

    /// The one that is meant, or that a job belongs to.
    pub fn role(&self) -> Option<&str> {
        match self {
            Self::Job(job) => Some(&job.role),
            Self::Role(role) => Some(role),
            Self::Host(_) | Self::Cluster => None,
        }
    }
}

/// `kind/name`, each target its own.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "job/{job}"),
            Self::Host(host) => write!(f, "host/{host}"),
            Self::Role(role) => write!(f, "role/{role}"),
            Self::Cluster => f.write_str("cluster"),
        }
    }
}

/// Whatever somebody asked for, a name of nothing included.
impl FromStr for Target {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        match text.split_once('/') {
            Some(("job", job)) => {
                let mut parts = job.splitn(3, '/').map(str::to_owned);
                let mut part = || parts.next().ok_or(NotAKey);
                Ok(Self::Job(JobKey::new(part()?, part()?, part()?)))
            }
            Some(("host", host)) => Ok(Self::Host(host.into())),
            Some(("role", role)) => Ok(Self::Role(role.to_owned())),
            None if text == "cluster" => Ok(Self::Cluster),
            _ => Err(NotAKey),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|NotAKey| "expected a job, a host, a role or the cluster")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &str, user: &str) -> Entry {
        Entry {
            at: Timestamp(5),
            user: user.into(),
            peer: "127.0.0.1".into(),
            verb: "kill".into(),
            target: target.parse().unwrap(),
            details: String::new(),
            message: None,
            outcome: Outcome::UnderWay,
        }
    }

    #[test]
    fn targets_are_read_back_as_they_are_written() {
        for text in ["job/www/prod/web", "host/a1", "role/www", "cluster", "job/a b/c/d/e"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for bad in ["", "job/www", "song/x", "cluster/x"] {
            assert_eq!(bad.parse::<Target>(), Err(NotAKey), "{bad}");
        }
        let written = serde_json::to_value(entry("job/www/prod/web", "ada")).unwrap();
        assert_eq!(written["target"], "job/www/prod/web");
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let job = JobKey::new("www", "prod", "web");
        let by = |user: &str| Filter { user: Some(user.into()), ..Filter::default() };
        let of_role = Filter { role: Some("www".into()), ..Filter::default() };
        let named = Filter { name: Some("web".into()), ..Filter::default() };
        let entries = [
            entry("job/www/prod/web", "ada"),
            entry("job/www/prod/api", "ada"),
            entry("role/www", "bob"),
            entry("host/a1", "bob"),
            entry("cluster", "ada"),
        ];
        for (filter, taken) in [
            (Filter::default(), "#####"),
            (Filter::of_job(&job), "#...."),
            (Filter::of_host(&"a1".into()), "...#."),
            (of_role, "###.."),
            (named, "#...."),
            (by("ada"), "##..#"),
            (Filter { host: Some("a1".into()), ..by("ada") }, "....."),
        ] {
            let marks = entries.iter().map(|it| if filter.takes(it) { '#' } else { '.' });
            assert_eq!(marks.collect::<String>(), taken, "{filter:?}");
        }
        assert_eq!(Filter::of_job(&job).target(), Some(Target::Job(job)));
        assert_eq!(by("ada").target(), None);
    }

    #[test]
    fn the_oldest_go_when_they_are_too_many_or_too_old() {
        let keep = Keep { count: 2, age: Duration::from_millis(10) };
        let may_go = |at, older, count| keep.may_go(Timestamp(20), Timestamp(at), older, count);
        assert!(may_go(19, 0, 3) && !may_go(19, 1, 3), "the third oldest and the rest stay");
        assert!(may_go(10, 0, 1) && !may_go(11, 0, 1), "age counts whatever the number");
    }
}
