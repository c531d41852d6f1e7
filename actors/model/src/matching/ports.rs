//! A host's ports: it offers thousands as ranges, and few of them are used.

use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ports {
    /// What is offered: sorted, disjoint inclusive ranges.
    ranges: Vec<(u16, u16)>,
    used: BTreeSet<u16>,
    free: u32,
}

impl Ports {
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// The host offers these from now on. They may overlap.
    pub(super) fn offer(&mut self, ranges: &[(u16, u16)]) {
        let mut offered = ranges.to_vec();
        offered.sort_unstable();
        self.ranges.clear();
        for (first, last) in offered {
            let after = match self.ranges.last() {
                Some(&(_, before)) => before.checked_add(1),
                None => Some(0),
            };
            let Some(first) = after.map(|it| it.max(first)) else { break };
            if first <= last {
                self.ranges.push((first, last));
            }
        }
        let used = self.used.iter().filter(|&&it| self.offers(it)).count();
        self.free = self.offered() - u32::try_from(used).expect("there are 65536 ports");
    }

    pub(super) fn take(&mut self, port: u16) {
        if self.used.insert(port) && self.offers(port) {
            self.free -= 1;
        }
    }

    pub(super) fn give_back(&mut self, port: u16) {
        if self.used.remove(&port) && self.offers(port) {
            self.free += 1;
        }
    }

    /// `count` of them that are free, if there are as many. Any `pick` finds some, and different
    /// ones mostly different ones: a port that something else on the host sits on should not be
    /// the first choice for ever.
    pub(super) fn choose(&self, count: usize, pick: u64) -> Vec<u16> {
        let offered = self.offered();
        if count == 0 || offered == 0 {
            return Vec::new();
        }
        let first = u32::try_from(pick % u64::from(offered)).expect("it is less than a u32");
        let in_turn = (first..offered).chain(0..first).map(|it| self.nth(it));
        in_turn.filter(|it| !self.used.contains(it)).take(count).collect()
    }

    pub(super) fn offered(&self) -> u32 {
        self.ranges.iter().map(|&it| len(it)).sum()
    }

    fn offers(&self, port: u16) -> bool {
        self.ranges.iter().any(|&(first, last)| (first..=last).contains(&port))
    }

    fn nth(&self, mut n: u32) -> u16 {
        for &range in &self.ranges {
            if n < len(range) {
                return range.0 + u16::try_from(n).expect("it is within a range of ports");
            }
            n -= len(range);
        }
        unreachable!("only as many are asked for as are offered")
    }
}

fn len((first, last): (u16, u16)) -> u32 {
    u32::from(last - first) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(ranges: &[(u16, u16)], used: &[u16]) -> Ports {
        let mut ports = Ports::default();
        used.iter().for_each(|&it| ports.take(it));
        ports.offer(ranges);
        ports
    }

    #[test]
    fn chooses_what_is_free_beginning_anywhere() {
        let ports = ports(&[(65533, 65535), (1, 4), (3, 6)], &[1, 5, 65535]);
        assert_eq!(ports.free(), 6);
        assert_eq!(ports.choose(3, 0), [2, 3, 4]);
        assert_eq!(ports.choose(3, 6), [65533, 65534, 2]);
        assert_eq!(ports.choose(9, 13), [6, 65533, 65534, 2, 3, 4]);
    }

    #[test]
    fn taken_and_given_back_it_is_as_before() {
        let before = ports(&[(10, 19)], &[3]);
        let mut after = before.clone();
        for port in [10, 19, 20] {
            after.take(port);
        }
        assert_eq!((after.free(), after.choose(20, 0).len()), (8, 8));
        for port in [20, 10, 19, 19] {
            after.give_back(port);
        }
        assert_eq!(after, before);
    }

    #[test]
    fn a_host_without_ports_has_none() {
        assert!(ports(&[], &[]).choose(1, 3).is_empty());
        assert_eq!(ports(&[(7, 3)], &[]).free(), 0);
        assert_eq!(ports(&[(0, 65535)], &[]).free(), 65536);
    }
}
