//! What people type to say which job, which instances, or which jobs of all.

use std::{fmt, str::FromStr};

use airglow_model::{
    ids::{JobKey, is_identifier},
    instances::InstanceSet,
};

/// `CLUSTER/ROLE/ENV/NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FullKey {
    pub(crate) cluster: String,
    pub(crate) job: JobKey,
}

/// `CLUSTER/ROLE/ENV/NAME[/INSTANCES]`; without instances, all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct InstanceSpec {
    pub(crate) key: FullKey,
    pub(crate) instances: Option<InstanceSet>,
}

/// `CLUSTER/ROLE/ENV/NAME/INSTANCE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OneInstance {
    pub(crate) key: FullKey,
    pub(crate) instance: u32,
}

/// `CLUSTER[/ROLE[/ENV[/NAME]]]` with shell wildcards; what is missing is `*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) cluster: String,
    pub(crate) role: String,
    pub(crate) environment: String,
    pub(crate) name: String,
}

/// `CLUSTER/ROLE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RoleKey {
    pub(crate) cluster: String,
    pub(crate) role: String,
}

/// `[CLUSTER/]HOST`; without a cluster, the only one there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HostKey {
    pub(crate) cluster: Option<String>,
    pub(crate) host: String,
}

impl FullKey {
    fn parse(text: &str) -> Option<Self> {
        let (cluster, job) = text.split_once('/')?;
        let job = job.parse().ok()?;
        is_identifier(cluster).then(|| Self { cluster: cluster.to_owned(), job })
    }
}

impl FromStr for FullKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!("Job key must be a CLUSTER/ROLE/ENV/NAME tuple, and \"{text}\" is not")
        })
    }
}

impl FromStr for InstanceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Instance specifier must be non-empty".into());
        }
        let error =
            || "Instance specifier must be a CLUSTER/ROLE/ENV/JOB/INSTANCES tuple".to_owned();
        if let Some(key) = FullKey::parse(text) {
            return Ok(Self { key, instances: None });
        }
        let (key, instances) = text.rsplit_once('/').ok_or_else(error)?;
        let key = FullKey::parse(key).ok_or_else(error)?;
        let instances = match instances {
            "" => None,
            some => Some(some.parse().map_err(|_| {
                format!("\"{some}\" is not a list of instances such as 0-2,5, lowest first")
            })?),
        };
        Ok(Self { key, instances })
    }
}

impl FromStr for OneInstance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "Task instance must be a CLUSTER/ROLE/ENV/NAME/INSTANCE tuple with one number, and \"{text}\" is not"
            )
        };
        let (key, instance) = text.rsplit_once('/').ok_or_else(error)?;
        let key = FullKey::parse(key).ok_or_else(error)?;
        Ok(Self { key, instance: instance.parse().map_err(|_| error())? })
    }
}

impl FromStr for RoleKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((cluster, role)) if is_identifier(cluster) && is_identifier(role) => {
                Ok(Self { cluster: cluster.to_owned(), role: role.to_owned() })
            }
            _ => Err(format!("Role argument must be a CLUSTER/NAME pair, and \"{text}\" is not")),
        }
    }
}

impl FromStr for HostKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (cluster, host) = match text.split_once('/') {
            Some((cluster, host)) if is_identifier(cluster) => (Some(cluster.to_owned()), host),
            Some(_) => return Err(format!("Host must be HOST or CLUSTER/HOST, not \"{text}\"")),
            None => (None, text),
        };
        if host.is_empty() || host.contains('/') {
            return Err(format!("Host must be HOST or CLUSTER/HOST, not \"{text}\""));
        }
        Ok(Self { cluster, host: host.to_owned() })
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/').map(str::to_owned);
        let mut part = || parts.next().filter(|it| !it.is_empty()).unwrap_or_else(|| "*".into());
        let pattern = Self { cluster: part(), role: part(), environment: part(), name: part() };
        if parts.next().is_some() {
            return Err(format!(
                "Job pattern must have at most four parts, CLUSTER/ROLE/ENV/NAME, and \"{text}\" has more"
            ));
        }
        Ok(pattern)
    }
}

impl Pattern {
    pub(crate) fn matches(&self, job: &JobKey) -> bool {
        glob(&self.role, &job.role)
            && glob(&self.environment, &job.environment)
            && glob(&self.name, &job.name)
    }
}

impl From<&FullKey> for Pattern {
    fn from(FullKey { cluster, job }: &FullKey) -> Self {
        Self {
            cluster: cluster.clone(),
            role: job.role.clone(),
            environment: job.environment.clone(),
            name: job.name.clone(),
        }
    }
}

/// Shell wildcards: `*`, `?` and `[a-z]`. Names are ASCII, and short.
fn glob(pattern: &str, text: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], rest) => rest.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
            ([b'?', rest @ ..], [_, text @ ..]) => matches(rest, text),
            ([b'[', set @ ..], [first, text @ ..]) => match set.iter().position(|&c| c == b']') {
                Some(end) => in_set(&set[..end], *first) && matches(&set[end + 1..], text),
                None => false,
            },
            ([literal, rest @ ..], [first, text @ ..]) => literal == first && matches(rest, text),
            (_, []) => false,
        }
    }
    matches(pattern.as_bytes(), text.as_bytes())
}

fn in_set(set: &[u8], c: u8) -> bool {
    let (set, negated) = match set {
        [b'!' | b'^', rest @ ..] => (rest, true),
        _ => (set, false),
    };
    let mut rest = set;
    let mut found = false;
    while let Some((&low, after)) = rest.split_first() {
        match after {
            [b'-', high, after @ ..] => {
                found |= (low..=*high).contains(&c);
                rest = after;
            }
            _ => {
                found |= low == c;
                rest = after;
            }
        }
    }
    found != negated
}

impl fmt::Display for FullKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.job)
    }
}

impl fmt::Display for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.role)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.cluster, self.role, self.environment, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_exactly_four_parts() {
        let key: FullKey = "devcluster/www-data/prod/hello".parse().unwrap();
        assert_eq!(key.to_string(), "devcluster/www-data/prod/hello");
        assert_eq!(key.job, JobKey::new("www-data", "prod", "hello"));
        for bad in ["", "a", "a/b/c", "a/b/c/d/0", "a//c/d", "a/b/c/", "a b/c/d/e"] {
            assert!(bad.parse::<FullKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn instances_follow_the_key() {
        let read = |text: &str| {
            text.parse::<InstanceSpec>()
                .map(|it| it.instances.map_or_else(|| "all".into(), |set| set.to_string()))
        };
        assert_eq!(read("c/r/e/n").unwrap(), "all");
        assert_eq!(read("c/r/e/n/").unwrap(), "all");
        assert_eq!(read("c/r/e/n/4,1-2,0-0").unwrap(), "0-2,4");
        assert_eq!(read("").unwrap_err(), "Instance specifier must be non-empty");
        assert_eq!(
            read("c/r/e").unwrap_err(),
            "Instance specifier must be a CLUSTER/ROLE/ENV/JOB/INSTANCES tuple"
        );
        for bad in ["c/r/e/n/4-1", "c/r/e/n/1-0", "c/r/e/n/x", "c/r/e/n/0/1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_instance_is_one_number() {
        assert_eq!("c/r/e/n/3".parse::<OneInstance>().unwrap().instance, 3);
        for bad in ["c/r/e/n", "c/r/e/n/", "c/r/e/n/0-1", "c/r/e/n/0,1"] {
            assert!(bad.parse::<OneInstance>().is_err(), "{bad}");
        }
    }

    #[test]
    fn roles_and_hosts_are_somewhere() {
        let role: RoleKey = "west/www-data".parse().unwrap();
        assert_eq!((role.to_string().as_str(), role.role.as_str()), ("west/www-data", "www-data"));
        for bad in ["", "west", "west/", "/www", "west/www/prod"] {
            let why = bad.parse::<RoleKey>().unwrap_err();
            assert!(why.starts_with("Role argument must be a CLUSTER/NAME pair"), "{why}");
        }
        let host = |text: &str| text.parse::<HostKey>().map(|it| (it.cluster, it.host));
        assert_eq!(host("a.example.com"), Ok((None, "a.example.com".into())));
        assert_eq!(host("west/a1"), Ok((Some("west".into()), "a1".into())));
        for bad in ["", "west/", "/a1", "west/a1/b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_are_shell_patterns() {
        let job = JobKey::new("www-data", "prod", "hello_v2");
        let matches = |text: &str| text.parse::<Pattern>().unwrap().matches(&job);
        for good in
            ["c", "c/", "*/www-*", "c/*/prod/h*2", "c/www-data/pro[a-d]", "c/???-data", "c/*/[!x]*"]
        {
            assert!(matches(good), "{good}");
        }
        for bad in ["c/www", "c/*/devel", "c/*/*/hello", "c/*/pro[!d]", "c/[", "c/?"] {
            assert!(!matches(bad), "{bad}");
        }
        assert!("c/r/e/n/0".parse::<Pattern>().is_err());
        assert_eq!("c/r".parse::<Pattern>().unwrap().to_string(), "c/r/*/*");
    }
}
