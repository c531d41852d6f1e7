//! The actors that decide.

mod handle;
mod refusal;

pub use airglow_kit::{identity::Authority, now};
pub use airglow_store::{Feed, News, ReadModel, StoreError, What};
pub use handle::{Config, Failure, Scheduler, StartError};
pub use refusal::{Refusal, Unanswered};
