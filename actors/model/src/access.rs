//! Who is known to a cluster: users, and the passes that they show instead of their passwords.
//!
//! Of passwords and passes only hashes are here, so whoever reads the database can use neither. A
//! pass may be limited to less than its user may do, never to more: both have to allow what it is
//! used for, at that moment. While there are no users nobody has to say who they are.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    ids::is_identifier,
    machine::Timestamp,
    permission::{Grants, On, Verb},
    record::{Change, Record, RecordKey},
};

#[cfg(test)]
mod tests;

/// What is left of a secret. It is never shown.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(pub String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    /// Whoever has none can use the passes that were made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Hash>,
    pub grants: Grants,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// What a pass came from, and so what else it is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A login by password: it ends with the password, and can do what its user can.
    Session,
    /// Made for a program.
    Token,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// The part of it that is no secret.
    pub id: String,
    pub user: String,
    pub purpose: Purpose,
    pub hash: Hash,
    /// What it is limited to, if not to what its user may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Grants>,
    /// What it is for, in its maker's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Timestamp,
    /// Not to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    pub users: BTreeMap<String, User>,
    pub passes: BTreeMap<String, Pass>,
}

/// What somebody wants to be otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    AddUser(User),
    RemoveUser {
        name: String,
    },
    SetPassword {
        name: String,
        password: Hash,
    },
    SetGrants {
        name: String,
        grants: Grants,
    },
    Issue(Pass),
    Revoke {
        user: String,
        id: String,
    },
    /// A pass was shown.
    Used {
        id: String,
    },
}

/// Why it stays as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    BadName(String),
    UserExists(String),
    NoSuchUser(String),
    NoSuchPass { user: String, id: String },
    FirstIsNoAdmin,
    LastAdmin(String),
    GrantsNothing,
    TooManyPasses { user: String, most: usize },
}

/// A user's sessions beyond these end, oldest first; more tokens are refused.
const SESSIONS_MAX: usize = 50;
const TOKENS_MAX: usize = 200;

/// How old a last use may be before it is written down anew.
const USE_NOTED_EVERY_MS: u64 = 10 * 60 * 1000;

impl User {
    pub fn may(&self, verb: Verb, on: On<'_>) -> bool {
        self.grants.allow(verb, on)
    }
}

impl Pass {
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Whether its use is to be written down again.
    pub fn is_used_anew(&self, now: Timestamp) -> bool {
        self.used_at.is_none_or(|it| it.0 + USE_NOTED_EVERY_MS <= now.0)
    }
}

impl Accounts {
    /// While nobody is known, nobody has to say who they are.
    pub fn are_none(&self) -> bool {
        self.users.is_empty()
    }

    pub fn apply(&mut self, key: &RecordKey, record: Option<&Record>) {
        match (key, record) {
            (RecordKey::User(name), Some(Record::User(user))) => {
                self.users.insert(name.clone(), user.clone());
            }
            (RecordKey::User(name), None) => drop(self.users.remove(name)),
            (RecordKey::Pass(id), Some(Record::Pass(pass))) => {
                self.passes.insert(id.clone(), pass.clone());
            }
            (RecordKey::Pass(id), None) => drop(self.passes.remove(id)),
            (key, record) => unreachable!("{key} is no place for {record:?}"),
        }
    }

    /// What has to be written for it to be so.
    pub fn decide(&self, now: Timestamp, wish: Wish) -> Result<Vec<Change>, Refusal> {
        match wish {
            Wish::AddUser(user) => self.add(user),
            Wish::RemoveUser { name } => {
                self.known(&name)?;
                self.leaves_an_admin(&name)?;
                let passes = self.of(&name).map(without).collect::<Vec<_>>();
                Ok([vec![Change { key: RecordKey::User(name), record: None }], passes].concat())
            }
            Wish::SetPassword { name, password } => {
                let user = User { password: Some(password), ..self.known(&name)?.clone() };
                let sessions = self.of(&name).filter(|it| it.purpose == Purpose::Session);
                Ok([vec![with(user)], sessions.map(without).collect()].concat())
            }
            Wish::SetGrants { name, grants } => {
                let user = self.known(&name)?.clone();
                if grants.0.is_empty() {
                    return Err(Refusal::GrantsNothing);
                }
                if !grants.are_admin() {
                    self.leaves_an_admin(&name)?;
                }
                Ok(vec![with(User { grants, ..user })])
            }
            Wish::Issue(pass) => self.issue(now, pass),
            Wish::Revoke { user, id } => match self.passes.get(&id) {
                Some(pass) if pass.user == user => Ok(vec![without(pass)]),
                Some(_) | None => Err(Refusal::NoSuchPass { user, id }),
            },
            Wish::Used { id } => {
                let pass = self.passes.get(&id).filter(|it| it.is_used_anew(now));
                let noted = |pass: &Pass| Pass { used_at: Some(now), ..pass.clone() };
                Ok(pass.map(noted).map(issued).into_iter().collect())
            }
        }
    }

    fn add(&self, user: User) -> Result<Vec<Change>, Refusal> {
        if !is_identifier(&user.name) {
            return Err(Refusal::BadName(user.name));
        }
        if self.users.contains_key(&user.name) {
            return Err(Refusal::UserExists(user.name));
        }
        if user.grants.0.is_empty() {
            return Err(Refusal::GrantsNothing);
        }
        if self.are_none() && !user.grants.are_admin() {
            return Err(Refusal::FirstIsNoAdmin);
        }
        Ok(vec![with(user)])
    }

    /// What has expired goes with the next that is made, whoever's it was.
    fn issue(&self, now: Timestamp, pass: Pass) -> Result<Vec<Change>, Refusal> {
        self.known(&pass.user)?;
        let user = pass.user.clone();
        let mut like: Vec<_> =
            self.of(&user).filter(|it| it.purpose == pass.purpose && it.is_valid(now)).collect();
        let expired = self.passes.values().filter(|it| !it.is_valid(now));
        let mut changes: Vec<_> = expired.map(without).collect();
        match pass.purpose {
            Purpose::Token if like.len() >= TOKENS_MAX => {
                return Err(Refusal::TooManyPasses { user, most: TOKENS_MAX });
            }
            Purpose::Token => {}
            Purpose::Session => {
                like.sort_by_key(|it| it.created_at);
                let surplus = (like.len() + 1).saturating_sub(SESSIONS_MAX);
                changes.extend(like[..surplus].iter().map(|it| without(it)));
            }
        }
        changes.push(issued(pass));
        Ok(changes)
    }

    fn known(&self, name: &str) -> Result<&User, Refusal> {
        self.users.get(name).ok_or_else(|| Refusal::NoSuchUser(name.to_owned()))
    }

    /// Somebody has to be left who could make others.
    fn leaves_an_admin(&self, without: &str) -> Result<(), Refusal> {
        let others = self.users.values().filter(|it| it.name != without);
        let last = self.users.get(without).is_some_and(|it| it.grants.are_admin())
            && !others.into_iter().any(|it| it.grants.are_admin());
        if last { Err(Refusal::LastAdmin(without.to_owned())) } else { Ok(()) }
    }

    fn of(&self, user: &str) -> impl Iterator<Item = &Pass> {
        self.passes.values().filter(move |it| it.user == user)
    }
}

fn with(user: User) -> Change {
    Change { key: RecordKey::User(user.name.clone()), record: Some(Record::User(user)) }
}

fn issued(pass: Pass) -> Change {
    Change { key: RecordKey::Pass(pass.id.clone()), record: Some(Record::Pass(pass)) }
}

fn without(pass: &Pass) -> Change {
    Change { key: RecordKey::Pass(pass.id.clone()), record: None }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => {
                write!(f, "{name:?} cannot be a user's name: letters, digits, '.', '_' and '-' can")
            }
            Self::UserExists(name) => write!(f, "there is a user {name} already"),
            Self::NoSuchUser(name) => write!(f, "there is no user {name}"),
            Self::NoSuchPass { user, id } => write!(f, "{user} has no token {id}"),
            Self::FirstIsNoAdmin => f.write_str(
                "the first user has to be an admin, or nobody could make others: grant admin",
            ),
            Self::LastAdmin(name) => {
                write!(f, "{name} is the last who may administer; make another admin first")
            }
            Self::GrantsNothing => {
                f.write_str("whoever is granted nothing could not even read: grant read-only")
            }
            Self::TooManyPasses { user, most } => {
                write!(f, "{user} has {most} tokens already; revoke some first")
            }
        }
    }
}

impl std::error::Error for Refusal {}
