//! Who may do what.
//!
//! What somebody may do is a list of grants, each of some verbs and of the jobs for which they are
//! granted, as in Aurora: a verb that is granted without jobs is granted for all of them, and reading
//! is free to everybody who is known. The whole answer is [`Grants::allow`]; who asks it, and for
//! which request, is the API's affair.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ids::JobKey;

#[cfg(test)]
mod tests;

/// Something that can be done to a cluster.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Hash)]
pub enum Verb {
    Read,
    Create,
    Kill,
    Restart,
    Add,
    Update,
    Cron,
    /// Say how much a role may have.
    Quota,
    /// Take hosts out of service, and back.
    Hosts,
    /// Everything, and what nobody else may: users, history, the cluster itself.
    Admin,
}

/// What something is done to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum On<'a> {
    Job(&'a JobKey),
    Role(&'a str),
    Cluster,
}

/// `VERB[,VERB…][:ROLE[/ENVIRONMENT[/NAME]]]`: `*` are all verbs about jobs, and in a name it stands
/// for any characters. Or `read-only`, or `admin`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Grant {
    verbs: Verbs,
    /// Without any: everywhere.
    jobs: Option<Pattern>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Verbs {
    /// Those about jobs.
    All,
    These(Vec<Verb>),
}

/// One to three parts. What is not said is anything.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pattern(Vec<String>);

/// All that somebody was granted.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(pub Vec<Grant>);

/// Why a text is no grant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotAGrant(String);

const READ_ONLY: &str = "read-only";
const ADMIN: &str = "admin";
const ALL: &str = "*";

impl Verb {
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Create,
        Self::Kill,
        Self::Restart,
        Self::Add,
        Self::Update,
        Self::Cron,
        Self::Quota,
        Self::Hosts,
        Self::Admin,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Add => "add",
            Self::Update => "update",
            Self::Cron => "cron",
            Self::Quota => "quota",
            Self::Hosts => "hosts",
            Self::Admin => ADMIN,
        }
    }

    /// Whether it is done to jobs, so that it can be granted for some of them.
    fn is_about_jobs(self) -> bool {
        match self {
            Self::Read
            | Self::Create
            | Self::Kill
            | Self::Restart
            | Self::Add
            | Self::Update
            | Self::Cron => true,
            Self::Quota | Self::Hosts | Self::Admin => false,
        }
    }
}

impl Grants {
    pub fn admin() -> Self {
        Self(vec![Grant { verbs: Verbs::These(vec![Verb::Admin]), jobs: None }])
    }

    pub fn read_only() -> Self {
        Self(vec![Grant { verbs: Verbs::These(vec![Verb::Read]), jobs: None }])
    }

    /// Reading is for everybody who was granted anything at all.
    pub fn allow(&self, verb: Verb, on: On<'_>) -> bool {
        match verb {
            Verb::Read => !self.0.is_empty(),
            Verb::Create
            | Verb::Kill
            | Verb::Restart
            | Verb::Add
            | Verb::Update
            | Verb::Cron
            | Verb::Quota
            | Verb::Hosts
            | Verb::Admin => self.0.iter().any(|it| it.allows(verb, on)),
        }
    }

    pub fn are_admin(&self) -> bool {
        self.allow(Verb::Admin, On::Cluster)
    }
}

impl Grant {
    fn allows(&self, verb: Verb, on: On<'_>) -> bool {
        let Self { verbs, jobs } = self;
        let has = match verbs {
            Verbs::All => verb.is_about_jobs(),
            Verbs::These(these) => these.contains(&verb) || these.contains(&Verb::Admin),
        };
        has && match (jobs, on) {
            (None, _) => true,
            (Some(pattern), On::Job(job)) => {
                pattern.takes(&[&job.role, &job.environment, &job.name])
            }
            (Some(pattern), On::Role(role)) => pattern.takes(&[role]),
            (Some(_), On::Cluster) => false,
        }
    }
}

impl Pattern {
    /// Whoever is granted one environment is not granted the role.
    fn takes(&self, parts: &[&str]) -> bool {
        let free = |it: &String| it == ALL;
        let (said, beyond) = self.0.split_at(self.0.len().min(parts.len()));
        said.iter().zip(parts).all(|(pattern, part)| fits(pattern, part)) && beyond.iter().all(free)
    }
}

/// Whether `*` in the pattern can stand for something that makes it the text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<_> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verbs {
            Verbs::All => f.write_str(ALL)?,
            Verbs::These(these) if these[..] == [Verb::Read] && self.jobs.is_none() => {
                f.write_str(READ_ONLY)?;
            }
            Verbs::These(these) => {
                let names: Vec<_> = these.iter().map(|it| it.name()).collect();
                f.write_str(&names.join(","))?;
            }
        }
        match &self.jobs {
            Some(Pattern(parts)) => write!(f, ":{}", parts.join("/")),
            None => Ok(()),
        }
    }
}

impl FromStr for Grant {
    type Err = NotAGrant;

    fn from_str(text: &str) -> Result<Self, NotAGrant> {
        let (verbs, jobs) = match text.split_once(':') {
            Some((verbs, jobs)) => (verbs, Some(jobs)),
            None => (text, None),
        };
        let verbs = match verbs {
            ALL => Verbs::All,
            READ_ONLY => Verbs::These(vec![Verb::Read]),
            named => Verbs::These(named.split(',').map(verb).collect::<Result<_, _>>()?),
        };
        let jobs = jobs.map(pattern).transpose()?;
        if let (Verbs::These(these), Some(Pattern(parts))) = (&verbs, &jobs) {
            let of_role = parts.len() == 1;
            let may = |it: &Verb| it.is_about_jobs() || *it == Verb::Quota && of_role;
            if let Some(wrong) = these.iter().find(|it| !may(it)) {
                let name = wrong.name();
                return Err(NotAGrant(format!("'{name}' cannot be granted for some jobs only")));
            }
        }
        Ok(Self { verbs, jobs })
    }
}

fn verb(name: &str) -> Result<Verb, NotAGrant> {
    let found = Verb::ALL.into_iter().find(|it| it.name() == name);
    found.ok_or_else(|| {
        let known: Vec<_> = Verb::ALL.iter().map(|it| it.name()).collect();
        let known = known.join(", ");
        NotAGrant(format!("there is no verb '{name}'; there are {known}, read-only and *"))
    })
}

fn pattern(text: &str) -> Result<Pattern, NotAGrant> {
    let parts: Vec<_> = text.split('/').map(str::to_owned).collect();
    let fine = |it: &String| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*');
        !it.is_empty() && it.chars().all(known)
    };
    if parts.len() > 3 || !parts.iter().all(fine) {
        let detail = "names no jobs; ROLE, ROLE/ENVIRONMENT and ROLE/ENVIRONMENT/NAME do, with * \
                      for anything";
        return Err(NotAGrant(format!("'{text}' {detail}")));
    }
    Ok(Pattern(parts))
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(Grant::to_string).collect();
        f.write_str(&all.join(" "))
    }
}

impl fmt::Display for NotAGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAGrant {}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

impl TryFrom<String> for Grant {
    type Error = NotAGrant;

    fn try_from(text: String) -> Result<Self, NotAGrant> {
        text.parse()
    }
}
