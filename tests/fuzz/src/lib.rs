//! What may be said to a cluster by whoever can reach it, or be found on its disk, tried with
//! nonsense: nothing of it may cause a panic, take for ever, or fill the memory.
//!
//! Each target is a function of bytes. `cargo test` runs it over what is in `corpus` and some
//! variations, the same each time; `tests/fuzz/run` lets libFuzzer look for more, for as long as it
//! is told to. What that finds goes to `corpus`, with the repair. Configuration files have their
//! target where they are read, in `src/aurora`.

pub mod drive;
mod frames;
mod jobs;
mod records;

pub use frames::frames;
pub use jobs::jobs;
pub use records::records;
