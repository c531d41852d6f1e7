//! Who stays outside, and how much is made of it.
//!
//! One line for each who is refused, as long as they are few. Of a flood there are a few lines and
//! a summary: whoever floods us would otherwise fill our disk. An address from which one failure
//! after the other comes gets fewer turns until that is over; others never notice. All of it takes
//! a bounded amount of memory.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use airglow_model::joining::Refusal;
use tokio::time::Instant;

/// Why somebody stays outside, by kinds that can be counted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// What was said is not what a link begins with.
    Garbage,
    Slow,
    /// A certificate of another authority, or of none.
    ForeignCertificate,
    ExpiredCertificate,
    /// A join token that is wrong, or not good any more.
    Token,
    /// A name that nobody can have, or that another machine has.
    Name,
    /// Of a machine that was removed.
    Removed,
    /// Nobody knows yet who may come in.
    NotYet,
    /// More from this address than it may have at once.
    TooMany,
}

impl Reason {
    pub const ALL: [Self; 9] = [
        Self::Garbage,
        Self::Slow,
        Self::ForeignCertificate,
        Self::ExpiredCertificate,
        Self::Token,
        Self::Name,
        Self::Removed,
        Self::NotYet,
        Self::TooMany,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Slow => "slow",
            Self::ForeignCertificate => "foreign_certificate",
            Self::ExpiredCertificate => "expired_certificate",
            Self::Token => "token",
            Self::Name => "name",
            Self::Removed => "removed",
            Self::NotYet => "not_yet",
            Self::TooMany => "too_many",
        }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::WrongToken | Refusal::ReplacedToken | Refusal::ExpiredToken => Self::Token,
            Refusal::BadName | Refusal::NameTaken(_) => Self::Name,
            Refusal::Removed { .. } => Self::Removed,
            Refusal::NotYet => Self::NotYet,
        }
    }
}

/// How often it is told what was not told one by one.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// How many lines there are within that time.
const LINES: u32 = 10;

/// How many of one address may be proving who they are.
const AT_ONCE: u32 = 128;

/// How many failures within [`EVERY`] make an address suspect.
const FAILURES: u32 = 20;

/// How long one begins after the other if the address is suspect.
const PACE_IF_SUSPECT: Duration = Duration::from_millis(10);

/// How many addresses are remembered.
const REMEMBERED: usize = 4096;

/// Addresses, and how they have been behaving.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    callers: BTreeMap<IpAddr, Caller>,
}

#[derive(Debug)]
struct Caller {
    knocking: u32,
    failures: u32,
    since: Instant,
    began: Instant,
}

/// What was told, and what was only counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    told: u32,
    untold: BTreeMap<Reason, u64>,
}

impl Crowd {
    /// Whether somebody of this address may have a turn now. If so, its end has to be told.
    pub(super) fn begins(&mut self, now: Instant, addr: IpAddr) -> bool {
        let addr = network(addr);
        if !self.callers.contains_key(&addr) {
            self.make_room();
        }
        let new = || Caller { knocking: 0, failures: 0, since: now, began: now - PACE_IF_SUSPECT };
        let caller = self.callers.entry(addr).or_insert_with(new);
        if caller.since + EVERY <= now {
            (caller.since, caller.failures) = (now, 0);
        }
        let is_suspect = FAILURES <= caller.failures;
        let may =
            caller.knocking < AT_ONCE && (!is_suspect || caller.began + PACE_IF_SUSPECT <= now);
        if may {
            caller.knocking += 1;
            caller.began = now;
        }
        may
    }

    pub(super) fn ends(&mut self, addr: IpAddr, has_failed: bool) {
        if let Some(caller) = self.callers.get_mut(&network(addr)) {
            caller.knocking = caller.knocking.saturating_sub(1);
            caller.failures += u32::from(has_failed);
        }
    }

    /// Those that have nobody at the door can be forgotten; the one whose time is over first.
    fn make_room(&mut self) {
        while REMEMBERED <= self.callers.len() {
            let idle = self.callers.iter().filter(|(_, it)| it.knocking == 0);
            let oldest = idle.min_by_key(|(_, it)| it.since).map(|(addr, _)| *addr);
            // There are fewer turns than places, so somebody is idle.
            let Some(addr) = oldest else { return };
            self.callers.remove(&addr);
        }
    }

    /// Forgets those that have been quiet.
    pub(super) fn settle(&mut self, now: Instant) {
        self.callers.retain(|_, it| it.knocking > 0 || now < it.since + EVERY);
    }
}

impl Ledger {
    /// Whether this one is told; else it is in the next summary.
    pub(super) fn tells(&mut self, reason: Reason) -> bool {
        if self.told < LINES {
            self.told += 1;
            return true;
        }
        *self.untold.entry(reason).or_default() += 1;
        false
    }

    /// What was not told since the last time, in words.
    pub(super) fn summary(&mut self) -> Option<String> {
        let Self { told: _, untold } = std::mem::take(self);
        let all: u64 = untold.values().sum();
        let each = untold.iter().map(|(reason, count)| format!("{} {count}", reason.name()));
        let each = each.collect::<Vec<_>>().join(", ");
        (all > 0).then(|| format!("{all} more in the last {} s: {each}", EVERY.as_secs()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whoever has one address of version 6 usually has 2⁶⁴.
fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V4(addr) => IpAddr::V4(addr),
        IpAddr::V6(addr) => {
            let [a, b, c, d, ..] = addr.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_fails_again_and_again_gets_fewer_turns_and_others_notice_nothing() {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        let (bad, good) = (addr("10.0.0.1"), addr("10.0.0.2"));
        for _ in 0..FAILURES {
            assert!(crowd.begins(start, bad));
            crowd.ends(bad, true);
        }
        let at = |ms| start + Duration::from_millis(ms);
        let turns = (0..1000).filter(|&ms| {
            let begins = crowd.begins(at(ms), bad);
            if begins {
                crowd.ends(bad, true);
            }
            begins
        });
        assert_eq!(turns.count(), 99, "a hundred a second");
        assert!((0..AT_ONCE).all(|_| crowd.begins(at(1000), good)));
        assert!(!crowd.begins(at(1000), good), "even the good have a limit");

        let later = start + EVERY;
        for _ in 0..FAILURES {
            assert!(crowd.begins(later, bad), "it may have changed");
            crowd.ends(bad, false);
        }
        assert!((0..AT_ONCE).all(|_| crowd.begins(later, bad)));
    }

    #[test]
    fn a_crowd_is_remembered_only_so_far() {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        for i in 0..2 * u32::try_from(REMEMBERED).unwrap() {
            let addr = IpAddr::V4(i.into());
            assert!(crowd.begins(start, addr));
            crowd.ends(addr, true);
        }
        assert_eq!(crowd.callers.len(), REMEMBERED);
        crowd.settle(start + EVERY);
        assert!(crowd.callers.is_empty());
    }

    #[test]
    fn addresses_of_one_network_are_one_callers() {
        assert_eq!(network(addr("2001:db8::1")), network(addr("2001:db8::ffff:1")));
        assert_ne!(network(addr("2001:db8::1")), network(addr("2001:db9::1")));
        assert_eq!(network(addr("::ffff:10.0.0.1")), addr("10.0.0.1"));
        assert_ne!(network(addr("10.0.0.1")), network(addr("10.0.0.2")));
    }

    #[test]
    fn of_a_flood_there_are_a_few_lines_and_a_summary() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.summary(), None);
        let told = (0..1000).filter(|it| {
            let reason = if it % 4 == 0 { Reason::Token } else { Reason::Garbage };
            ledger.tells(reason)
        });
        assert_eq!(told.count(), LINES as usize);
        let summary = ledger.summary();
        assert_eq!(summary.as_deref(), Some("990 more in the last 10 s: garbage 743, token 247"));
        assert_eq!(ledger.summary(), None);
        assert!(ledger.tells(Reason::Slow));
    }
}
