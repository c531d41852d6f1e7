//! Sets of instance numbers, kept as ranges: a job of 100,000 instances is one range, not a list.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Sorted, disjoint, not adjacent inclusive ranges. Written `0-2,5`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct InstanceSet {
    ranges: Vec<(u32, u32)>,
}

impl InstanceSet {
    /// The first `count` instances.
    pub fn first(count: u32) -> Self {
        count.checked_sub(1).map_or_else(Self::default, |last| Self::range(0, last))
    }

    /// `first..=last`; empty if they are the wrong way round.
    pub fn range(first: u32, last: u32) -> Self {
        Self { ranges: if first <= last { vec![(first, last)] } else { vec![] } }
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }

    pub fn contains(&self, instance: u32) -> bool {
        self.ranges
            .binary_search_by(|&(first, last)| {
                if last < instance {
                    std::cmp::Ordering::Less
                } else if instance < first {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            })
            .is_ok()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    pub fn into_each(self) -> impl Iterator<Item = u32> + Send + 'static {
        self.ranges.into_iter().flat_map(|(first, last)| first..=last)
    }

    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|&(_, last)| last)
    }

    /// Takes out the lowest `count`, or all if there are no more.
    #[must_use]
    pub fn take_first(&mut self, count: u32) -> Self {
        let mut before = 0;
        let whole = self.ranges.iter().take_while(|&&(first, last)| {
            before += u64::from(last - first) + 1;
            before <= u64::from(count)
        });
        let whole = whole.count();
        let mut taken: Vec<_> = self.ranges.drain(..whole).collect();
        let missing = count - taken.iter().map(|&(first, last)| last - first + 1).sum::<u32>();
        if let Some((first, _)) = self.ranges.first_mut().filter(|_| missing > 0) {
            taken.push((*first, *first + (missing - 1)));
            *first += missing;
        }
        Self { ranges: taken }
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.ranges.iter().chain(&other.ranges).copied().collect()
    }

    /// Whether they have an instance in common.
    pub fn meets(&self, other: &Self) -> bool {
        !self.intersection(other).is_empty()
    }

    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let mut cuts = other.ranges.iter().copied().peekable();
        for &(first, last) in &self.ranges {
            let mut from = Some(first);
            while let Some(&(cut_first, cut_last)) = cuts.peek().filter(|cut| cut.0 <= last) {
                if let Some(start) = from.filter(|&it| it < cut_first) {
                    ranges.push((start, cut_first - 1));
                }
                from = cut_last.checked_add(1).map(|it| it.max(first));
                if last < cut_last {
                    // It may reach into the next range too.
                    break;
                }
                cuts.next();
            }
            if let Some(start) = from.filter(|&it| it <= last) {
                ranges.push((start, last));
            }
        }
        Self { ranges }
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.difference(&self.difference(other))
    }
}

/// Ranges in any order, overlapping or not.
impl FromIterator<(u32, u32)> for InstanceSet {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(ranges: I) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(open) if first <= open.1.saturating_add(1) => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }
}

impl FromIterator<u32> for InstanceSet {
    fn from_iter<I: IntoIterator<Item = u32>>(instances: I) -> Self {
        instances.into_iter().map(|it| (it, it)).collect()
    }
}

impl fmt::Display for InstanceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// The text is not a comma-separated list of numbers and ascending ranges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotInstances;

impl FromStr for InstanceSet {
    type Err = NotInstances;

    fn from_str(text: &str) -> Result<Self, NotInstances> {
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| NotInstances);
        text.split(',')
            .map(|part| match part.split_once('-') {
                Some((first, last)) => {
                    let range = (number(first)?, number(last)?);
                    if range.0 <= range.1 { Ok(range) } else { Err(NotInstances) }
                }
                None => number(part).map(|it| (it, it)),
            })
            .collect()
    }
}

impl Serialize for InstanceSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.parse().map_err(|NotInstances| serde::de::Error::custom("not a set of instances"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> InstanceSet {
        if text.is_empty() { InstanceSet::default() } else { text.parse().unwrap() }
    }

    #[test]
    fn reads_what_people_write_and_refuses_what_runs_backwards() {
        assert_eq!(set("4,1-2,0-0").to_string(), "0-2,4");
        assert_eq!(set("0-3").iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        for bad in ["4-1", "1-0", "", "a", "1,", "-1"] {
            assert_eq!(bad.parse::<InstanceSet>(), Err(NotInstances), "{bad}");
        }
    }

    #[test]
    fn set_arithmetic() {
        for (a, b, union, difference, intersection) in [
            ("0-9", "3-5", "0-9", "0-2,6-9", "3-5"),
            ("0-3", "2-8", "0-8", "0-1", "2-3"),
            ("0-1,5-6", "1-5", "0-6", "0,6", "1,5"),
            ("0-4", "", "0-4", "0-4", ""),
            ("", "0-4", "0-4", "", ""),
            ("0-9", "0,9", "0-9", "1-8", "0,9"),
            ("2-3", "0-9", "0-9", "", "2-3"),
            ("0-2,4-6,8-9", "1-8", "0-9", "0,9", "1-2,4-6,8"),
            ("1,3,5", "0,2-3,5-6", "0-3,5-6", "1", "3,5"),
            (
                "0,4294967290-4294967295",
                "4294967295",
                "0,4294967290-4294967295",
                "0,4294967290-4294967294",
                "4294967295",
            ),
        ] {
            assert_eq!(set(a).union(&set(b)), set(union), "{a} ∪ {b}");
            assert_eq!(set(a).difference(&set(b)), set(difference), "{a} ∖ {b}");
            assert_eq!(set(a).intersection(&set(b)), set(intersection), "{a} ∩ {b}");
        }
        for (of, count, taken, left) in [
            ("0-4,7,9-10", 0, "", "0-4,7,9-10"),
            ("0-4,7,9-10", 3, "0-2", "3-4,7,9-10"),
            ("0-4,7,9-10", 5, "0-4", "7,9-10"),
            ("0-4,7,9-10", 7, "0-4,7,9", "10"),
            ("0-4,7,9-10", 9, "0-4,7,9-10", ""),
            ("", 9, "", ""),
        ] {
            let mut all = set(of);
            assert_eq!(all.take_first(count), set(taken), "the first {count} of {of}");
            assert_eq!(all, set(left), "{of} without its first {count}");
        }
        assert!(set("0-4,7").contains(7) && !set("0-4,7").contains(5));
        assert_eq!(InstanceSet::first(1000).len(), 1000);
    }
}
