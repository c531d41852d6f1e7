//! Amounts of what a host has and a task takes, and what a task demands of the host besides.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Integers in small units, so that adding and taking away for years leaves no crumbs.
/// Ports are counted beside these: they have names and numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    pub ram_mb: u64,
    pub disk_mb: u64,
    #[serde(default)]
    pub gpus: u64,
}

impl Resources {
    /// What is left of `self`, nothing being less than zero (a host that shrank, say).
    #[must_use]
    pub fn saturating_sub(self, taken: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(taken.cpu_milli),
            ram_mb: self.ram_mb.saturating_sub(taken.ram_mb),
            disk_mb: self.disk_mb.saturating_sub(taken.disk_mb),
            gpus: self.gpus.saturating_sub(taken.gpus),
        }
    }

    pub fn covers(self, needs: Self) -> bool {
        self.cpu_milli >= needs.cpu_milli
            && self.ram_mb >= needs.ram_mb
            && self.disk_mb >= needs.disk_mb
            && self.gpus >= needs.gpus
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            ram_mb: self.ram_mb.saturating_add(other.ram_mb),
            disk_mb: self.disk_mb.saturating_add(other.disk_mb),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_mul(count),
            ram_mb: self.ram_mb.saturating_mul(count),
            disk_mb: self.disk_mb.saturating_mul(count),
            gpus: self.gpus.saturating_mul(count),
        }
    }

    /// Whichever is more, for each by itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            ram_mb: self.ram_mb.max(other.ram_mb),
            disk_mb: self.disk_mb.max(other.disk_mb),
            gpus: self.gpus.max(other.gpus),
        }
    }
}

/// What an agent says its host is: a name may have several values.
pub type Attributes = BTreeMap<String, BTreeSet<String>>;

/// A demand on the host's attributes. All of a task's constraints have to hold.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Constraint {
    pub attribute: String,
    pub demand: Demand,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The host has at least one of the values; or none of them, if negated.
    Value { negated: bool, values: BTreeSet<String> },
    /// At most so many instances of the job where the attribute has one value.
    Limit(u32),
}

impl Constraint {
    /// `limit:N`, `!a,b` or `a,b`, as in a job's `constraints`.
    ///
    /// # Errors
    /// The limit is not a whole number above zero; the text says so as users know it.
    pub fn parse(attribute: &str, text: &str) -> Result<Self, String> {
        let demand = match text.strip_prefix("limit:") {
            Some(limit) => match limit.trim().parse() {
                Ok(limit) if limit > 0 => Demand::Limit(limit),
                _ => return Err(format!("{limit} is not a valid limit value, must be integer")),
            },
            None => {
                let (negated, values) =
                    text.strip_prefix('!').map_or((false, text), |values| (true, values));
                let values = values.split(',').map(|it| it.trim().to_owned()).collect();
                Demand::Value { negated, values }
            }
        };
        Ok(Self { attribute: attribute.to_owned(), demand })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_as_written() {
        let values = |it: &[&str]| it.iter().map(|&v| v.to_owned()).collect::<BTreeSet<_>>();
        let parse = |text| Constraint::parse("rack", text).map(|it| it.demand);
        assert_eq!(parse("limit:2"), Ok(Demand::Limit(2)));
        assert_eq!(parse("!a,b"), Ok(Demand::Value { negated: true, values: values(&["a", "b"]) }));
        assert_eq!(parse("x,y"), Ok(Demand::Value { negated: false, values: values(&["x", "y"]) }));
        for bad in ["limit:x", "limit:0", "limit:-1", "limit:"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
