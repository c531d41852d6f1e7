//! Whom an agent obeys, and where it looks for them.
//!
//! Its certificate says which cluster a host belongs to; this says which of the cluster's
//! schedulers it listens to. There may be one that does not know yet that another leads in its
//! place. Each that begins to lead does so in a term of its own, one later than all before, so a
//! host that remembers the latest term needs nobody else to tell them apart. It is remembered on
//! disk before the first order is obeyed.

use std::{fmt, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    hash::{fnv1a, mix},
    ids::HostId,
    wire::Welcome,
};

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Allegiance {
    /// What the cluster calls itself, as soon as it has been heard.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The latest that was heard of.
    #[serde(default)]
    pub term: u64,
    /// Who led when somebody said so last.
    #[serde(default)]
    pub leader: Option<SocketAddr>,
    #[serde(default)]
    pub schedulers: Vec<SocketAddr>,
}

/// Why a scheduler is not obeyed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unfit {
    OtherCluster { theirs: String, ours: String },
    Replaced { term: u64, latest: u64 },
}

/// Nobody has more schedulers than that, and what is heard of others has to end somewhere.
const SCHEDULERS_MAX: usize = 32;

/// After the first failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Allegiance {
    /// What to remember when the scheduler at `from` has said this.
    ///
    /// # Errors
    /// It is not to be obeyed, and nothing that it says is remembered.
    pub fn welcomed(&self, from: SocketAddr, welcome: &Welcome) -> Result<Self, Unfit> {
        if let Some(ours) = self.cluster.as_ref().filter(|it| **it != welcome.cluster) {
            let (theirs, ours) = (welcome.cluster.clone(), ours.clone());
            return Err(Unfit::OtherCluster { theirs, ours });
        }
        if welcome.term < self.term {
            return Err(Unfit::Replaced { term: welcome.term, latest: self.term });
        }
        let schedulers = welcome.schedulers.iter().copied().take(SCHEDULERS_MAX).collect();
        Ok(Self {
            cluster: Some(welcome.cluster.clone()),
            term: welcome.term,
            leader: Some(from),
            schedulers,
        })
    }

    /// What to remember when a scheduler that does not lead has said this. It may be behind the
    /// times, so nobody is forgotten because of it.
    pub fn directed(&self, leader: Option<SocketAddr>, schedulers: &[SocketAddr]) -> Self {
        let mut next = self.clone();
        next.leader = leader.or(self.leader);
        for addr in schedulers.iter().take(SCHEDULERS_MAX) {
            if next.schedulers.len() < SCHEDULERS_MAX && !next.schedulers.contains(addr) {
                next.schedulers.push(*addr);
            }
        }
        next
    }

    /// Whom to call, one after the other: who led last, the other schedulers, and then those that
    /// were `given`, by an operator or by others' announcements.
    pub fn candidates(&self, given: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut candidates = Vec::new();
        for addr in self.leader.iter().chain(&self.schedulers).chain(given) {
            if !candidates.contains(addr) {
                candidates.push(*addr);
            }
        }
        candidates
    }
}

/// How long to wait before calling again after so many failures in a row. Hosts differ, so that
/// those that lost their scheduler in the same moment do not all come back in the same.
pub fn pause(host: &HostId, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let hash = mix(fnv1a(host.0.bytes()) ^ u64::from(failures));
    let part = u16::try_from(hash >> 48).unwrap_or_default();
    pause.mul_f64(0.5 + f64::from(part) / f64::from(u16::MAX))
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherCluster { theirs, ours } => write!(
                f,
                "it is a scheduler of cluster {theirs}, and this host belongs to {ours}: if the \
                 cluster was renamed, start the agent with --cluster {theirs}"
            ),
            Self::Replaced { term, latest } => write!(
                f,
                "it leads in term {term}, and this host has obeyed another in term {latest}: it has \
                 been replaced"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn welcome(cluster: &str, term: u64, schedulers: &[u16]) -> Welcome {
        let schedulers = schedulers.iter().copied().map(at).collect();
        Welcome { cluster: cluster.into(), protocol: 2, term, schedulers }
    }

    #[test]
    fn the_latest_term_counts_and_an_earlier_one_changes_nothing() {
        let first = Allegiance::default().welcomed(at(1), &welcome("c", 3, &[1, 2])).unwrap();
        assert_eq!((first.term, first.leader), (3, Some(at(1))));
        let again = first.welcomed(at(1), &welcome("c", 3, &[1, 2])).unwrap();
        assert_eq!(again, first);
        let next = again.welcomed(at(2), &welcome("c", 4, &[2, 3])).unwrap();
        assert_eq!((next.term, next.leader), (4, Some(at(2))));
        assert_eq!(next.schedulers, [at(2), at(3)]);
        let unfit = next.welcomed(at(1), &welcome("c", 3, &[1])).unwrap_err();
        assert_eq!(unfit, Unfit::Replaced { term: 3, latest: 4 });
    }

    #[test]
    fn another_cluster_is_not_obeyed_however_late_its_term() {
        let ours = Allegiance::default().welcomed(at(1), &welcome("c", 3, &[1])).unwrap();
        let unfit = ours.welcomed(at(9), &welcome("d", 9, &[9])).unwrap_err();
        assert!(matches!(unfit, Unfit::OtherCluster { .. }));
        assert!(unfit.to_string().starts_with("it is a scheduler of cluster d, and this host"));
    }

    #[test]
    fn whoever_led_last_is_called_first_and_nobody_twice() {
        let mut it = Allegiance::default();
        assert_eq!(it.candidates(&[at(7)]), [at(7)]);
        it = it.welcomed(at(2), &welcome("c", 1, &[1, 2, 3])).unwrap();
        assert_eq!(it.candidates(&[at(7), at(3)]), [2, 1, 3, 7].map(at));
        it = it.directed(Some(at(3)), &[at(3), at(4)]);
        assert_eq!(it.candidates(&[]), [3, 1, 2, 4].map(at));
        it = it.directed(None, &[]);
        assert_eq!(it.leader, Some(at(3)), "nobody knows better");
    }

    #[test]
    fn what_is_heard_of_others_has_an_end() {
        let many: Vec<_> = (1..1000).map(at).collect();
        let it = Allegiance::default().directed(None, &many).directed(None, &many[500..]);
        assert_eq!(it.schedulers.len(), SCHEDULERS_MAX);
    }

    #[test]
    fn pauses_grow_to_a_limit_and_differ_between_hosts() {
        let host = |it: usize| HostId::from(format!("h{it}").as_str());
        for failures in 1..40 {
            let usual = FIRST_PAUSE * (1 << (failures - 1).min(6));
            let usual = usual.min(LONGEST_PAUSE);
            for it in (0..50).map(|it| pause(&host(it), failures)) {
                assert!(usual / 2 <= it && it <= usual * 3 / 2, "{it:?} after {failures}");
            }
        }
        let pauses: std::collections::BTreeSet<_> =
            (0..100).map(|it| pause(&host(it), 1)).collect();
        assert!(90 < pauses.len(), "{pauses:?}");
    }
}
