//! `airglow`: one program that is the agent, the scheduler, the command line and, in the background
//! of every process that a task runs, a shepherd.

use std::process::ExitCode;

mod agent;
mod aurora;
mod cli;
mod client;
mod units;

/// A scheduler makes and drops millions of small things, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
