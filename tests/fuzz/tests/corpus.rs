//! The short run of each target that is part of the tests.

use std::path::{Path, PathBuf};

use airglow_fuzz::{drive::drive, frames, jobs, records};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn no_frame_does_any_harm() {
    drive(frames, &corpus("frames"), 300);
}

#[test]
fn no_record_does_any_harm() {
    drive(records, &corpus("records"), 100);
}

#[test]
fn no_job_does_any_harm() {
    drive(jobs, &corpus("jobs"), 300);
}
