//! A host's ports as ranges: it offers thousands, and a round of matching copies what is left.

use std::collections::BTreeSet;

/// Ports that are to be had: sorted, disjoint inclusive ranges.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PortPool {
    ranges: Vec<(u16, u16)>,
}

impl PortPool {
    /// What `ranges` (inclusive) have, less what is `used`.
    pub fn new(ranges: &[(u16, u16)], used: &BTreeSet<u16>) -> Self {
        let mut offered = ranges.to_vec();
        offered.sort_unstable();
        let mut pool = Self::default();
        let mut next = Some(0);
        for (first, last) in offered {
            // Where ranges overlap, the later one begins after the earlier one's end.
            let Some(start) = next.map(|next: u16| next.max(first)) else { break };
            if start <= last {
                pool.add_without(start, last, used);
                next = last.checked_add(1);
            }
        }
        pool
    }

    fn add_without(&mut self, first: u16, last: u16, used: &BTreeSet<u16>) {
        let mut from = Some(first);
        for &port in used.range(first..=last) {
            if let Some(start) = from.filter(|&start| start < port) {
                self.ranges.push((start, port - 1));
            }
            from = port.checked_add(1);
        }
        if let Some(start) = from.filter(|&start| start <= last) {
            self.ranges.push((start, last));
        }
    }

    pub fn len(&self) -> usize {
        self.ranges.iter().map(|&(first, last)| usize::from(last - first) + 1).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes one out. Any `pick` takes some port, and different ones mostly different ports: a port
    /// that something else on the host sits on should not be the first choice for ever.
    pub fn take(&mut self, pick: u64) -> Option<u16> {
        let len = u64::try_from(self.len()).expect("there are 65536 ports");
        let mut place = u16::try_from(pick.checked_rem(len)?).expect("there are 65536 ports");
        for i in 0..self.ranges.len() {
            let (first, last) = self.ranges[i];
            if last - first < place {
                place -= last - first + 1;
                continue;
            }
            let port = first + place;
            let rest = [
                (first < port).then(|| (first, port - 1)),
                (port < last).then(|| (port + 1, last)),
            ];
            self.ranges.splice(i..=i, rest.into_iter().flatten());
            return Some(port);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_out_each_port_once_and_none_that_is_used() {
        let used = BTreeSet::from([1, 5, 65535]);
        let mut pool = PortPool::new(&[(65533, 65535), (1, 4), (3, 6)], &used);
        assert_eq!(pool.len(), 6);
        let taken: Vec<_> = [0, 1, 7, 100, 2, 0, 0].map(|pick| pool.take(pick)).into();
        let ports: Vec<_> = taken.iter().copied().flatten().collect();
        assert_eq!(ports, [2, 4, 65534, 6, 3, 65533]);
        assert_eq!((taken[6], pool.is_empty()), (None, true));
    }

    #[test]
    fn a_host_without_ports_has_none() {
        assert_eq!(PortPool::new(&[], &BTreeSet::new()).take(3), None);
        assert!(PortPool::new(&[(7, 3)], &BTreeSet::new()).is_empty());
        assert_eq!(PortPool::new(&[(0, 65535)], &BTreeSet::new()).len(), 65536);
    }
}
