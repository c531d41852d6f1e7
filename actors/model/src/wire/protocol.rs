//! Which versions of what is said here there are, and which of them two programs speak.

use std::fmt;

/// What this program speaks: the version of its own time, and the one before.
///
/// 1 had no terms and no other scheduler to go to.
pub const PROTOCOLS: Protocols = Protocols { oldest: 1, newest: 2 };

/// From the oldest version to the newest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protocols {
    pub oldest: u32,
    pub newest: u32,
}

/// Why a scheduler and an agent cannot talk, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incompatible {
    pub scheduler: Speaker,
    pub agent: Speaker,
}

/// A program and what it speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Speaker {
    pub version: String,
    pub protocols: Protocols,
}

impl Protocols {
    pub fn has(self, version: u32) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// The newest that both speak.
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (self.oldest.max(other.oldest) <= newest).then_some(newest)
    }
}

/// `version 1`, `versions 1 to 2`.
impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { oldest, newest } if oldest == newest => write!(f, "version {newest}"),
            Self { oldest, newest } => write!(f, "versions {oldest} to {newest}"),
        }
    }
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheduler, agent } = self;
        let is_agent_older = agent.protocols.newest < scheduler.protocols.newest;
        write!(
            f,
            "the scheduler is Airglow {} and speaks {} of the protocol, the agent is Airglow {} and \
             speaks {}: upgrade the {}",
            scheduler.version,
            scheduler.protocols,
            agent.version,
            agent.protocols,
            if is_agent_older { "agent" } else { "scheduler" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaks(oldest: u32, newest: u32) -> Protocols {
        Protocols { oldest, newest }
    }

    #[test]
    fn both_go_by_the_newest_that_they_have_in_common() {
        for (scheduler, agent, common) in [
            (speaks(1, 2), speaks(1, 2), Some(2)),
            (speaks(1, 2), speaks(1, 1), Some(1)),
            (speaks(1, 2), speaks(2, 3), Some(2)),
            (speaks(2, 3), speaks(1, 2), Some(2)),
            (speaks(1, 4), speaks(2, 3), Some(3)),
            (speaks(1, 2), speaks(3, 4), None),
            (speaks(3, 4), speaks(1, 2), None),
        ] {
            assert_eq!(scheduler.common(agent), common, "{scheduler}, {agent}");
            assert_eq!(agent.common(scheduler), common, "{scheduler}, {agent}");
        }
    }

    #[test]
    fn whoever_cannot_talk_is_told_what_to_upgrade() {
        let speaker = |version: &str, protocols| Speaker { version: version.into(), protocols };
        let told = |scheduler, agent| {
            let (scheduler, agent) = (speaker("0.3.0", scheduler), speaker("0.5.1", agent));
            Incompatible { scheduler, agent }.to_string()
        };
        assert_eq!(
            told(speaks(1, 2), speaks(4, 5)),
            "the scheduler is Airglow 0.3.0 and speaks versions 1 to 2 of the protocol, the agent \
             is Airglow 0.5.1 and speaks versions 4 to 5: upgrade the scheduler"
        );
        assert!(told(speaks(2, 3), speaks(1, 1)).ends_with("speaks version 1: upgrade the agent"));
    }
}
