#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| airglow_fuzz::records(input));
