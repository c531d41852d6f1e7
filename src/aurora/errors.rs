//! What is wrong with a configuration.

use miette::Diagnostic;

/// Why a configuration could not be read. `Display` is the one-line message as users know it;
/// as a [`miette::Diagnostic`] it shows the source line too.
#[derive(Debug, Diagnostic, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    #[help]
    help: Option<String>,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }
}
