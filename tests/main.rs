//! Airglow from outside: the real program, real processes, real sockets.
//!
//! `tests/run` installs what these tests need and runs them. A test that lacks something fails and
//! says so. Each has a cluster of its own, on ports and in a folder of its own, and leaves nothing
//! behind. None waits for a while and hopes: all wait for what should happen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

mod cluster;

/// Who may do what, and that secrets stay secret.
mod access;
/// The packages depend on each other as they should.
mod architecture;
/// Wrong input of every kind is refused, and harms nothing.
mod bad_input;
/// Jobs that run by the clock.
mod cron;
/// What is in `deploy/examples` does what it says.
mod examples;
/// Schedulers and agents are killed, and nothing is lost.
mod failover;
/// Jobs that are looked at, and asked to leave.
mod health;
/// The verbs of the command line, and their exit codes.
mod jobs;
/// Machines that join, come back, or may not.
mod joining;
/// Networks that break, machines that end, and clusters that survive both.
mod mesh;
/// What operators do: quotas, maintenance, looking at a cluster as a whole.
mod operating;
/// The pages, in a real browser.
mod pages;
/// Why instances are pending.
mod pending;
/// The scheduler's memory is lost, and comes back from a backup.
mod restoring;
/// `airglow run`, alone on its machine.
mod run_verb;
/// What is left of tasks: files and logs.
mod sandboxes;
/// Many instances.
mod scale;
/// Several schedulers, of which one leads.
mod schedulers;
/// An update, watched and steered on its page.
mod update_page;
/// Updates as the command line starts, shows and steers them.
mod updates;
/// Rolling updates that go on while schedulers are killed.
mod updating;
/// What others are told, and what can be looked up: webhooks and the audit trail.
mod webhooks;
