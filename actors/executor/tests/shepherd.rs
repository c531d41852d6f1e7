//! A task's shepherd, driven without an agent: what it hears at its socket, what it writes down, and
//! what becomes of the processes.
//!
//! The messages are spelled out here, since an agent of another version may have to speak to a
//! shepherd of this one.
#![expect(clippy::unwrap_used, reason = "all of this is tests, which should fail there")]

use std::process::ExitCode;

#[path = "shepherd/contact.rs"]
mod contact;
#[path = "shepherd/endings.rs"]
mod endings;
#[path = "shepherd/isolation.rs"]
mod isolation;
#[path = "shepherd/output.rs"]
mod output;
#[path = "shepherd/pasture.rs"]
mod pasture;
#[path = "shared/trials.rs"]
mod trials;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(airglow_executor::ZYGOTE) {
        return airglow_executor::zygote();
    }
    let tests = [contact::tests(), endings::tests(), isolation::tests(), output::tests()];
    trials::run(tests)
}
