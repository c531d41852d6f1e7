#![no_main]
#![expect(unsafe_code, reason = "the engine finds the target by the name of a symbol")]

libfuzzer_sys::fuzz_target!(|input: &[u8]| airglow_fuzz::jobs(input));
