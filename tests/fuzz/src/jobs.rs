use std::sync::LazyLock;

use airglow_model::{
    admission::{Rules, admit_all},
    config::{Job, TaskConfig},
    quota,
    record::Record,
    spec::{JobSpec, Limits},
    view::View,
};
use serde_json::Value;

static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits::usual("devcluster"));

/// A body of `POST /api/v1/jobs`, up to the decision about it.
pub fn jobs(input: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(input) else { return };
    let specs = body.get("jobs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut admissible = Vec::new();
    for spec in specs {
        match JobSpec::read_and_check(spec, &LIMITS) {
            Ok(job) => {
                is_kept_as_it_is(&job);
                admissible.push(job);
            }
            Err(complaints) => {
                assert!(!complaints.is_empty(), "a refusal says why");
                let place = |pointer: &str| pointer.is_empty() || pointer.starts_with('/');
                assert!(complaints.iter().all(|it| place(&it.pointer)), "{complaints:?}");
            }
        }
    }
    let rules = Rules { instances_max: 4000, quota: quota::Rules::default() };
    // Either answer will do, as long as there is one.
    admit_all(&View::default(), &admissible, rules).ok();
}

/// What is written down of it can be read.
fn is_kept_as_it_is(job: &Job) {
    let record = Record::Config(job.config.clone().into());
    let written = serde_json::to_vec(&record).expect("every record can be written");
    match serde_json::from_slice(&written) {
        Ok(Record::Config(read)) => {
            let read: &TaskConfig = &read;
            assert_eq!(read, &job.config);
        }
        other => panic!("{other:?} was read for {}", written.escape_ascii()),
    }
}
