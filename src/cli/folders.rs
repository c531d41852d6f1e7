//! Where commands keep what has to be there after them.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::exit::{Code, Failure};

/// Root's is the machine's, since nobody else could get at anything in root's home: neither could
/// the users that tasks run as.
const OF_ROOT: &str = "/var/lib/airglow";

/// `option` is what names another folder.
pub(crate) fn state(option: &str) -> Result<PathBuf, Failure> {
    let is_moved = std::env::var_os("XDG_STATE_HOME").is_some_and(|it| !it.is_empty());
    if nix::unistd::geteuid().is_root() && !is_moved {
        return Ok(OF_ROOT.into());
    }
    let folders = etcetera::choose_base_strategy().map_err(|error| {
        Failure::new(Code::Fatal, format!("There is no folder to keep data in: {error}"))
            .hint(format!("{option} DIR names one"))
    })?;
    let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
    Ok(state.join("airglow"))
}
