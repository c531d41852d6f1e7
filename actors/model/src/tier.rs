//! What a task may be asked to give up for others: its place, or more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::is_identifier;

/// How a task stands to others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// It gives way to tasks that are not.
    pub preemptible: bool,
    /// Its CPU is what a host offers beyond what it has, and can be short at any time.
    pub revocable: bool,
}

impl Tier {
    /// Limited by its role's quota, and counted on.
    pub fn is_production(self) -> bool {
        !self.preemptible && !self.revocable
    }
}

/// The tiers that jobs of a cluster can ask for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// The tier of jobs that name none; one of `tiers`.
    pub default: String,
    pub tiers: BTreeMap<String, Tier>,
}

impl Tiers {
    /// Aurora's: `preemptible` (the default), `preferred` and `revocable`.
    pub fn builtin() -> Self {
        let tier =
            |name: &str, preemptible, revocable| (name.to_owned(), Tier { preemptible, revocable });
        let tiers = [
            tier("preemptible", true, false),
            tier("preferred", false, false),
            tier("revocable", true, true),
        ];
        Self { default: "preemptible".into(), tiers: tiers.into() }
    }

    /// In the form of Aurora's `tiers.json`.
    ///
    /// # Errors
    /// Why it cannot be that, in a sentence.
    pub fn read(json: &str) -> Result<Self, String> {
        let tiers: Self = serde_json::from_str(json).map_err(|it| it.to_string())?;
        if let Some(bad) = tiers.tiers.keys().find(|it| !is_identifier(it)) {
            return Err(format!("'{bad}' is no name for a tier"));
        }
        if !tiers.tiers.contains_key(&tiers.default) {
            return Err(format!("the default, '{}', is none of the tiers", tiers.default));
        }
        Ok(tiers)
    }

    pub fn get(&self, name: &str) -> Option<Tier> {
        self.tiers.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_auroras_file() {
        let text = r#"{"default": "a", "tiers": {"a": {"preemptible": true, "revocable": false}}}"#;
        assert!(!Tiers::read(text).unwrap().get("a").unwrap().is_production());
        for bad in [
            r#"{"default": "a", "tiers": {}}"#,
            r#"{"default": "a", "tiers": {"a": {"preemptible": true}}}"#,
            r#"{"default": "a b", "tiers": {"a b": {"preemptible": true, "revocable": false}}}"#,
        ] {
            assert!(Tiers::read(bad).is_err(), "{bad}");
        }
        let builtin = serde_json::to_string(&Tiers::builtin()).unwrap();
        assert_eq!(Tiers::read(&builtin), Ok(Tiers::builtin()));
    }
}
