//! A scheduler that is to share the records of others, before it is started.

use std::{net::SocketAddr, path::Path};

use crate::{StartError, handle::open, reigns::number};

/// Whose the records in a scheduler's folder are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Past {
    /// A cluster's of which it was the only scheduler.
    Own,
    /// Those of others, who have said nothing yet: it has to be told where they are.
    Newcomer,
    /// It shares them, and knows with whom: where these were when it last heard of them.
    Member(Vec<SocketAddr>),
}

/// Makes the scheduler of the folder `data` one that shares the records of others, unless it has some
/// of its own. Whoever does this again finds a newcomer, until it has heard of the others.
pub fn recruit(data: &Path) -> Result<Past, StartError> {
    let store = open(data)?;
    if store.membership()?.is_some() {
        return Ok(if store.has_heard()? { Past::Member(store.others()?) } else { Past::Newcomer });
    }
    if store.seq()? > 0 {
        return Ok(Past::Own);
    }
    store.enlist(number())?;
    Ok(Past::Newcomer)
}
