//! Of the package that reads configurations: it is a program, and nobody can depend on it.

#![no_main]

#[path = "../../../../src/aurora/mod.rs"]
#[expect(dead_code, reason = "only what reads texts is of interest here")]
mod aurora;

libfuzzer_sys::fuzz_target!(|input: &[u8]| aurora::fuzzing::configuration(input));
