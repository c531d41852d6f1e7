//! Real processes on a real host: what only the executor's shell and its shepherds can get wrong.
//!
//! Each test is a scheduler to an agent of its own, over a real link. This program is three things:
//! the tests, the agent that a test starts and kills, and the zygote that such an agent starts, with
//! the shepherds that are forks of it. So it has no test harness around its `main`, which would know nothing of the other two.
#![expect(clippy::unwrap_used, reason = "all of this is tests, which should fail there")]

use std::process::ExitCode;

#[path = "host/adoption.rs"]
mod adoption;
#[path = "shared/agent.rs"]
mod agent;
#[path = "host/alone.rs"]
mod alone;
#[path = "host/bench.rs"]
mod bench;
#[path = "host/endings.rs"]
mod endings;
#[path = "host/health.rs"]
mod health;
#[path = "host/orders.rs"]
mod orders;
#[path = "host/processes.rs"]
mod processes;
#[path = "host/roles.rs"]
mod roles;
#[path = "shared/trials.rs"]
mod trials;
#[path = "host/uplink.rs"]
mod uplink;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    arguments.next();
    match std::env::args().nth(1).as_deref() {
        Some(airglow_executor::ZYGOTE) => airglow_executor::zygote(),
        Some(agent::AGENT) => agent::main(arguments.skip(1)),
        _ => {
            let tests = [
                processes::tests(),
                endings::tests(),
                adoption::tests(),
                health::tests(),
                roles::tests(),
                uplink::tests(),
                alone::tests(),
            ];
            trials::run(tests)
        }
    }
}
