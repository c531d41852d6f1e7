//! What operators were promised: nothing escapes, nobody harms a neighbour, nothing is lost.
//!
//! Each test is a scheduler to an agent of its own, over a real link. This program is the tests, and
//! all that an agent needs a program for.
#![expect(clippy::unwrap_used, reason = "all of this is tests, which should fail there")]

use std::process::ExitCode;

#[path = "shared/agent.rs"]
mod agent;
#[path = "acceptance/chaos.rs"]
mod chaos;
#[path = "acceptance/endings.rs"]
mod endings;
#[path = "acceptance/limits.rs"]
mod limits;
#[path = "acceptance/logs.rs"]
mod logs;
#[path = "acceptance/rig.rs"]
mod rig;
#[path = "shared/trials.rs"]
mod trials;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    arguments.next();
    match std::env::args().nth(1).as_deref() {
        Some(airglow_executor::ZYGOTE) => airglow_executor::zygote(),
        Some(agent::AGENT) => agent::main(arguments.skip(1)),
        _ => {
            // The longest first: the others go on beside it.
            let tests = [chaos::tests(), endings::tests(), logs::tests(), limits::tests()];
            trials::run(tests)
        }
    }
}
