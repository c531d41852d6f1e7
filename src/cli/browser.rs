//! `--open-browser`: the page of what was just done, in the user's browser.

use std::process::{Command, Stdio};

use super::screen;

#[derive(clap::Args)]
pub(crate) struct Browser {
    /// Open the job's page in the browser
    #[arg(long)]
    open_browser: bool,
}

impl Browser {
    pub(crate) fn open(&self, page: &str) {
        if !self.open_browser {
            return;
        }
        let browser = std::env::var_os("BROWSER").unwrap_or_else(|| "xdg-open".into());
        let mut command = Command::new(browser);
        command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.spawn() {
            screen::warn(&format!("No browser could be started ({error}). The page is {page}"));
        }
    }
}
