//! Passwords: from the terminal, unseen, or from standard input. Never from the command line, which
//! everybody on the machine can read.

use std::io::{self, IsTerminal};

use airglow_web::api::Secret;
use console::Term;

use super::exit::{Code, Failure};

/// Asks for one that exists.
pub(crate) fn ask(whose: &str) -> Result<Secret, Failure> {
    match terminal() {
        Some(terminal) => typed(&terminal, &format!("Password of {whose}: ")),
        None => piped(),
    }
}

/// Asks for a new one: twice, if somebody types it.
pub(crate) fn ask_new(whose: &str) -> Result<Secret, Failure> {
    let Some(terminal) = terminal() else { return piped() };
    let first = typed(&terminal, &format!("New password of {whose}: "))?;
    let again = typed(&terminal, "Once more: ")?;
    if first == again {
        Ok(first)
    } else {
        Err(Failure::new(Code::InvalidParameter, "These are two different passwords"))
    }
}

fn terminal() -> Option<Term> {
    io::stdin().is_terminal().then(Term::stderr)
}

fn typed(terminal: &Term, prompt: &str) -> Result<Secret, Failure> {
    terminal.write_str(prompt)?;
    let line = terminal.read_secure_line()?;
    given(line)
}

/// The first line.
fn piped() -> Result<Secret, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    given(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn given(text: String) -> Result<Secret, Failure> {
    if text.is_empty() {
        let message = "No password was given";
        return Err(Failure::new(Code::InvalidParameter, message)
            .hint("Type it when asked, or pipe it: its first line on standard input is taken"));
    }
    Ok(Secret(text))
}
