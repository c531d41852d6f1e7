//! What an operator can decide about where things go.

/// The default is what suits services: a job's instances apart from each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduling {
    /// Where a job has the fewest instances is the next one's place: on the host, if this is
    /// `host`. Without it, instances go wherever `order` says.
    pub spread: Option<String>,
}

impl Default for Scheduling {
    fn default() -> Self {
        Self { spread: Some(HOST.into()) }
    }
}

/// The attribute that is a host's name.
pub(super) const HOST: &str = "host";
