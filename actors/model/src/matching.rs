//! Which waiting instances go to which hosts, and for the rest, why not.
//!
//! Instances with one configuration are one group: what rules a host out for one of them rules it
//! out for all. The [`Matchmaker`] keeps up with the view by its moves, one at a time, and gives
//! each group the best host that suits it, in turns of a few, between roles first. Nothing is
//! looked at twice for nothing: sets of hosts are bits, what a group has found out it remembers
//! until something has changed, and neither the number of hosts nor that of instances is ever
//! counted through in order to place one more.
//!
//! What is chosen depends on the job's name and on what is where, on nothing else: not on how many
//! rounds there were, nor on when a host came. So the same question asked of the same cluster has
//! the same answer, be it asked in earnest or not.

mod bits;
mod explain;
mod group;
mod ladder;
mod matchmaker;
mod memory;
mod needs;
mod pool;
mod ports;
mod preempting;
mod prey;
mod reservations;
mod scheduling;
mod sets;
#[cfg(test)]
mod tests;
mod turns;
mod veto;

pub use matchmaker::{Matchmaker, Numbers, Placed};
pub use preempting::Victim;
pub use reservations::Making;
pub use scheduling::{Order, Scheduling};
pub use veto::{Kind as VetoKind, VetoCount};
