//! Users and their passes. They have no entity: nothing happens to them but what is asked for here,
//! one wish after the other, each after the one before it is in the view.

use airglow_kit::now;
use airglow_model::access::{Accounts, Refusal as Refused, Wish};

use super::{Scheduler, not_now};
use crate::Refusal;

/// Why users and passes stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    NotNow(#[from] Refusal),
}

impl Scheduler {
    /// Comes back when it is on disk and everybody goes by it.
    pub async fn change_access(&self, wish: Wish) -> Result<(), AccessError> {
        let _one_at_a_time = self.inner.access.lock().await;
        let changes = self.view().read(|view| view.accounts.decide(now(), wish))?;
        if changes.is_empty() {
            return Ok(());
        }
        let scribe = self.inner.lines.entities().ok_or_else(not_now)?.scribe;
        let commit = scribe.commit(changes);
        drop(scribe);
        commit.await.map(drop).map_err(|_| Refusal::unknown().into())
    }

    /// Who may use the API.
    pub fn accounts<R>(&self, look: impl FnOnce(&Accounts) -> R) -> R {
        self.view().read(|view| look(&view.accounts))
    }
}
