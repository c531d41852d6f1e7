//! How a command ends when it does not succeed: a code for scripts, a sentence for people, and
//! what to do next.
//!
//! The codes are those that scripts around Aurora's client already test for, so they are part of
//! the interface and never change their meaning. Only [`Code::Unmet`] is new.

use std::{fmt, io, process::ExitCode};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Code {
    /// A rule of the command's own, checked before anything was asked of the scheduler.
    Fatal = 1,
    CommandLine = 2,
    /// The configuration is wrong, or its cluster is unknown.
    Configuration = 3,
    Failed = 4,
    InvalidParameter = 6,
    /// The connection broke while something was being changed: nobody knows whether it was.
    Network = 7,
    Timeout = 9,
    /// The scheduler refused.
    Scheduler = 10,
    /// Not all of what was planned would run: some would have to wait, or all would be refused.
    Unmet = 11,
    Unknown = 20,
    Forbidden = 30,
    Interrupted = 130,
}

#[derive(Debug)]
pub(crate) enum Failure {
    Told {
        code: Code,
        message: String,
        /// What to do about it: one sentence or command.
        next: Option<String>,
    },
    /// Everything there is to say has been printed.
    Silent(Code),
    /// Whoever read our output has had enough (`airglow job list … | head`). Not worth a word.
    NobodyListens,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Told { code, message: message.into(), next: None }
    }

    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Told { code, message, .. } => {
                Self::Told { code, message, next: Some(hint.into()) }
            }
            Self::Silent(_) | Self::NobodyListens => self,
        }
    }

    /// The same failure, told as part of what was being done.
    #[must_use]
    pub(crate) fn under(self, context: &str) -> Self {
        match self {
            Self::Told { code, message, next } => {
                let message = format!("{context}\n\t{}", message.replace('\n', "\n\t"));
                Self::Told { code, message, next }
            }
            Self::Silent(_) | Self::NobodyListens => self,
        }
    }

    /// The same failure, by the code that it has in another command's terms.
    #[must_use]
    pub(crate) fn known_as(self, code: Code) -> Self {
        match self {
            Self::Told { message, next, .. } => Self::Told { code, message, next },
            Self::Silent(_) | Self::NobodyListens => self,
        }
    }

    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Told { code, .. } | Self::Silent(code) => Some(*code),
            Self::NobodyListens => None,
        }
    }

    pub(crate) fn interrupted() -> Self {
        Self::Silent(Code::Interrupted)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code().map_or(ExitCode::SUCCESS, |code| ExitCode::from(code as u8))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told { message, .. } => f.write_str(message),
            Self::Silent(_) | Self::NobodyListens => Ok(()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::NobodyListens;
        }
        Self::new(Code::Unknown, format!("Cannot write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_ones_that_scripts_know() {
        let codes = [
            Code::Fatal,
            Code::CommandLine,
            Code::Configuration,
            Code::Failed,
            Code::InvalidParameter,
            Code::Network,
            Code::Timeout,
            Code::Scheduler,
            Code::Unmet,
            Code::Unknown,
            Code::Forbidden,
            Code::Interrupted,
        ];
        assert_eq!(codes.map(|it| it as u8), [1, 2, 3, 4, 6, 7, 9, 10, 11, 20, 30, 130]);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let left = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(left.exit_code(), ExitCode::SUCCESS);
    }

    #[test]
    fn a_failure_moves_under_its_context() {
        let refused = Failure::new(Code::Scheduler, "one\ntwo");
        let failed = refused.under("Job creation failed due to error:").known_as(Code::Failed);
        assert_eq!(failed.code(), Some(Code::Failed));
        assert_eq!(failed.to_string(), "Job creation failed due to error:\n\tone\n\ttwo");
    }
}
