//! What coordinators say: programs of a job's owner that know better than any number whether an
//! instance may go.
//!
//! One question at a time goes to a coordinator, and not before the one whom it let go is on its
//! way: between the two it could not know how things are.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::{Attempt, TaskKey},
    machine::Timestamp,
    sla::Rules,
    spec::JobSpec,
};

/// Whoever was refused is not asked about again for so long.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What is known of each attempt about which a coordinator was asked.
pub type Consents = BTreeMap<(TaskKey, Attempt), Consent>;

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Consent {
    Asked { url: String },
    Granted { url: String },
    Refused { at: Timestamp, why: String },
}

/// What to ask of a coordinator.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub url: String,
    /// Where in its answer to look.
    pub status_key: String,
    /// When it will not be asked any more.
    pub forced_at: Option<Timestamp>,
    pub spec: Box<JobSpec>,
}

/// Whether a coordinator may be asked something now, and if not, why not and until when.
pub(super) enum Line {
    Free,
    Granted,
    Waits(String, Option<Timestamp>),
}

pub(super) fn line(
    now: Timestamp,
    rules: &Rules,
    consents: &Consents,
    of: &(TaskKey, Attempt),
    url: &str,
) -> Line {
    match consents.get(of) {
        Some(Consent::Granted { .. }) => return Line::Granted,
        Some(Consent::Asked { .. }) => {
            return Line::Waits("Its coordinator is being asked".into(), None);
        }
        Some(Consent::Refused { at, why }) if now < *at + ASK_AGAIN => {
            return Line::Waits(why.clone(), Some(*at + ASK_AGAIN));
        }
        Some(Consent::Refused { .. }) | None => {}
    }
    let busy = consents.values().filter_map(|it| match it {
        Consent::Asked { url } | Consent::Granted { url } => Some(url),
        Consent::Refused { .. } => None,
    });
    let mut all = 0;
    for other in busy {
        if other == url {
            return Line::Waits("Its coordinator is busy with another instance".into(), None);
        }
        all += 1;
    }
    if all >= rules.coordinators_max {
        return Line::Waits(format!("{all} other coordinators are being asked"), None);
    }
    Line::Free
}
