//! What the cluster is, and what it decides.
//!
//! Nothing here reads a clock, opens a file, sends a message or rolls a die. Time, reports and
//! records come in as arguments; decisions go out as values. See `clippy.toml` next to this crate
//! for how that is kept true.
//!
//! In reading order: the shape of every decision ([`machine`]), the nouns ([`ids`], [`instances`],
//! [`resources`]), what a user writes ([`spec`], read by [`schema`], with [`template`]s in it) and
//! what it becomes ([`config`]), the machines of the cluster ([`job`], [`task`], [`host`], [`cron`]) and of one
//! host ([`run`], [`process`]) with what is decided there besides ([`ports`], [`conduct`],
//! [`health`], [`retention`], [`allegiance`], [`discovery`]), the decisions between them ([`admission`], [`quota`], [`matching`],
//! [`preemption`], [`forecast`], [`drain`] with [`sla`], [`reconcile`], [`reports`]), what others are
//! told and can look up ([`webhook`], [`audit`]), and what is said and kept ([`wire`], [`record`],
//! [`view`]). What an operator can decide about all of them is
//! [`policy`].

mod hash;
pub mod machine;
pub mod restart;
pub mod retention;

pub mod ids;
pub mod instances;
pub mod resources;
pub mod tier;

pub mod conduct;
pub mod config;
pub mod ports;
pub mod schema;
pub mod spec;
pub mod template;

pub mod cron;
pub mod host;
pub mod job;
pub mod joining;
pub mod task;

pub mod allegiance;
pub mod discovery;
pub mod health;
pub mod plan;
pub mod process;
pub mod run;

pub mod access;
pub mod admission;
pub mod audit;
pub mod backup;
pub mod drain;
pub mod forecast;
pub mod matching;
pub mod permission;
pub mod policy;
pub mod preemption;
pub mod pruning;
pub mod quota;
pub mod reconcile;
pub mod reports;
pub mod simulation;
pub mod sla;
pub mod update;
pub mod webhook;

pub mod record;
pub mod view;
pub mod wire;
