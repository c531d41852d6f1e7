//! A question that stays without an answer, and why, in words for whoever asked.

use airglow_model::ids::HostId;

/// A host was asked something, and there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unanswered {
    #[error("host {0} is not connected")]
    NotConnected(HostId),
    #[error("host {0} did not answer in time")]
    TimedOut(HostId),
    #[error("the connection to host {0} ended before it answered")]
    Ended(HostId),
}
