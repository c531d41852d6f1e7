//! Whoever fails to say who they are again and again has to wait: an address and a user, each by
//! itself. A few mistakes are free, then each doubles the time.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use airglow_model::machine::Timestamp;

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Whose {
    Address(IpAddr),
    /// Of programs that show a token: one that is left to try an old one keeps nobody from logging in.
    Token(IpAddr),
    /// As it was written, whether there is one or not.
    User(String),
}

#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<Whose, Tally>);

#[derive(Clone, Copy, Debug)]
struct Tally {
    count: u32,
    last: Timestamp,
}

/// Many people may have one address, and a user's name may be known to many.
const FREE_FOR_ADDRESS: u32 = 20;
const FREE_FOR_USER: u32 = 5;

const WAIT_MAX: Duration = Duration::from_secs(300);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// What is remembered at most. Beyond it the oldest is forgotten, so that names and addresses that
/// somebody makes up fill nothing.
const REMEMBERED: usize = 10_000;

/// Whoever has one address of the sixth version has all that differ in the second half.
pub(crate) fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V4(addr) => IpAddr::V4(addr),
        // Loopback is one address, and told from others by that.
        IpAddr::V6(addr) if addr.is_loopback() => IpAddr::V6(addr),
        IpAddr::V6(addr) => IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() >> 64 << 64)),
    }
}

impl Whose {
    pub(crate) fn address(addr: IpAddr) -> Self {
        Self::Address(network(addr))
    }

    pub(crate) fn token(addr: IpAddr) -> Self {
        Self::Token(network(addr))
    }

    fn free(&self) -> u32 {
        match self {
            Self::Address(_) | Self::Token(_) => FREE_FOR_ADDRESS,
            Self::User(_) => FREE_FOR_USER,
        }
    }
}

impl Failures {
    /// How long none of these may try again.
    pub(crate) fn wait(&self, now: Timestamp, of: &[Whose]) -> Option<Duration> {
        let waits = of.iter().filter_map(|whose| {
            let tally = self.0.get(whose)?;
            let beyond = tally.count.checked_sub(whose.free())?;
            let wait = Duration::from_secs(1 << beyond.min(16)).min(WAIT_MAX);
            let left = (tally.last + wait).0.checked_sub(now.0)?;
            (left > 0).then(|| Duration::from_millis(left))
        });
        waits.max()
    }

    pub(crate) fn failed(&mut self, now: Timestamp, of: &[Whose]) {
        self.0.retain(|_, it| now < it.last + FORGOTTEN_AFTER);
        for whose in of {
            let tally = self.0.entry(whose.clone()).or_insert(Tally { count: 0, last: now });
            *tally = Tally { count: tally.count.saturating_add(1), last: now };
        }
        while self.0.len() > REMEMBERED {
            let oldest =
                self.0.iter().min_by_key(|(_, it)| it.last).map(|(whose, _)| whose.clone());
            oldest.and_then(|it| self.0.remove(&it));
        }
    }

    pub(crate) fn succeeded(&mut self, of: &[Whose]) {
        for whose in of {
            self.0.remove(whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Whose {
        Whose::address(text.parse().unwrap())
    }

    #[test]
    fn a_few_mistakes_are_free_and_then_each_doubles_the_time() {
        let (mut failures, ada) = (Failures::default(), [Whose::User("ada".into())]);
        let mut now = Timestamp(1000);
        let mut waits = vec![];
        for _ in 0..16 {
            failures.failed(now, &ada);
            let wait = failures.wait(now, &ada).unwrap_or_default();
            waits.push(wait.as_secs());
            now = now + wait;
            assert_eq!(failures.wait(now, &ada), None, "it may be tried again when it is over");
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(failures.wait(now, &[Whose::User("bob".into())]), None);
        failures.succeeded(&ada);
        failures.failed(now, &ada);
        assert_eq!(failures.wait(now, &ada), None, "forgiven");
    }

    #[test]
    fn an_address_and_a_user_wait_each_for_themselves() {
        let mut failures = Failures::default();
        for i in 0..FREE_FOR_ADDRESS {
            failures.failed(Timestamp(1), &[address("10.0.0.1"), Whose::User(format!("u{i}"))]);
        }
        let wait = |who: &[Whose]| failures.wait(Timestamp(1), who).is_some();
        assert!(
            wait(&[address("10.0.0.1")]) && wait(&[Whose::User("x".into()), address("10.0.0.1")])
        );
        assert!(!wait(&[address("10.0.0.2")]) && !wait(&[Whose::User("u1".into())]));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_time() {
        let mut failures = Failures::default();
        for i in 0..REMEMBERED as u64 + 50 {
            failures.failed(Timestamp(i), &[Whose::User(format!("u{i}"))]);
        }
        assert_eq!(failures.0.len(), REMEMBERED);
        assert!(!failures.0.contains_key(&Whose::User("u49".into())), "the oldest go first");
        failures.failed(Timestamp(0) + FORGOTTEN_AFTER * 3, &[address("::1")]);
        assert_eq!(failures.0.len(), 1);
    }
}
