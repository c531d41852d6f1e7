//! `airglow simulate`: what would become of a cluster that somebody describes, or of a copy of one
//! that lives. Its scheduler decides as a real one does; hosts, runs and time are made up.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use airglow_model::{policy::Policy, simulation::Scenario};
use serde_json::Value;

use super::{
    Global, Outcome,
    config::Reading,
    exit::{Code, Failure},
    screen,
};
use crate::agent::SimulatedTable;

mod like;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What there is and what happens, in YAML or JSON; deploy/examples/simulation.yaml is one
    file: PathBuf,
    /// Begin with a copy of this cluster, as it is now
    #[arg(long, value_name = "CLUSTER")]
    like: Option<String>,
    /// Instead of the file's: with the same number everything happens again as it did
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let mut written = load(&args.file)?;
    let folder = args.file.parent().unwrap_or(Path::new("."));
    read_jobs(&mut written, |file| {
        let jobs = args.reading.jobs(&folder.join(file))?;
        Ok(jobs.into_iter().map(|it| serde_json::json!(it.spec)).collect())
    })?;
    if let Some(seed) = args.seed {
        written["seed"] = seed.into();
    }
    let policy = read_policy(&mut written).map_err(|why| no_scenario(&args.file, &why))?;
    let scenario: Scenario =
        serde_json::from_value(written).map_err(|why| no_scenario(&args.file, &why))?;
    let mut scenario = scenario.deciding_by(policy);
    if let Some(cluster) = &args.like {
        let session = global.cluster_session(Some(cluster))?;
        scenario = scenario.starting_with(like::snapshot(&session)?);
    }
    let report = scenario.run();
    if global.write_json {
        return screen::json(&report);
    }
    Ok(write!(screen::out(), "{report}")?)
}

/// How the scheduler decides, in the words of an agent's settings.
fn read_policy(scenario: &mut Value) -> Result<Policy, String> {
    let written = scenario.as_object_mut().and_then(|it| it.remove("policy"));
    let written = written.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let table: SimulatedTable =
        serde_json::from_value(written).map_err(|why| format!("policy: {why}"))?;
    table.read().map_err(|why| format!("policy: {why:#}"))
}

fn load(file: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        Failure::new(Code::Configuration, format!("Cannot read {file}: {error}"))
    })?;
    let written: Value = serde_yaml_ng::from_str(&text).map_err(|why| no_scenario(file, &why))?;
    if written.is_object() {
        Ok(written)
    } else {
        Err(no_scenario(file, &"it is not a table of settings"))
    }
}

fn no_scenario(file: &Path, why: &dyn std::fmt::Display) -> Failure {
    let message = format!("{} cannot be simulated: {why}", file.display());
    Failure::new(Code::Configuration, message)
        .hint("deploy/examples/simulation.yaml shows with comments what can be said")
}

/// Jobs may be written in files of their own: `{file: web.aurora}` stands for all jobs in it, and
/// `{file: web.aurora, name: web}` for one.
fn read_jobs(
    scenario: &mut Value,
    load: impl Fn(&str) -> Result<Vec<Value>, Failure>,
) -> Result<(), Failure> {
    if let Some(jobs) = scenario.get_mut("jobs").and_then(Value::as_array_mut) {
        let read: Result<Vec<_>, _> = jobs.drain(..).map(|it| read_job(it, &load)).collect();
        jobs.extend(read?.into_iter().flatten());
    }
    let timeline = scenario.get_mut("timeline").and_then(Value::as_array_mut);
    for create in timeline.into_iter().flatten().filter_map(|it| it.get_mut("create")) {
        let mut read = read_job(create.take(), &load)?;
        match (read.pop(), read.len()) {
            (Some(only), 0) => *create = only,
            (_, others) => {
                let message = format!("{} jobs cannot be created at once", others + 1);
                return Err(Failure::new(Code::Configuration, message)
                    .hint("`name: NAME` beside `file: FILE` chooses one"));
            }
        }
    }
    Ok(())
}

fn read_job(
    mut written: Value,
    load: impl Fn(&str) -> Result<Vec<Value>, Failure>,
) -> Result<Vec<Value>, Failure> {
    let Some(entry) = written.as_object_mut() else { return Ok(vec![written]) };
    let Some(Value::String(file)) = entry.remove("file") else { return Ok(vec![written]) };
    let mut jobs = load(&file)?;
    if let Some(name) = entry.remove("name") {
        jobs.retain(|it| it["name"] == name);
        if jobs.is_empty() {
            return Err(Failure::new(Code::Configuration, format!("{file} has no job {name}")));
        }
    }
    let with = |job| {
        let mut entry = entry.clone();
        entry.insert("job".into(), job);
        Value::Object(entry)
    };
    Ok(jobs.into_iter().map(with).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(scenario: Value) -> Result<Value, Failure> {
        let mut scenario = scenario;
        let load = |file: &str| Ok(vec![json!({ "name": file }), json!({ "name": "b" })]);
        read_jobs(&mut scenario, load).map(|()| scenario)
    }

    #[test]
    fn a_scheduler_decides_as_it_would_with_the_same_settings() {
        let read = |policy: Value| read_policy(&mut json!({ "policy": policy }));
        let policy = read(json!({
            "placement": { "spread": "rack", "order": ["cpu", "random"] },
            "preemption": { "enabled": true, "delay": "1 minute" },
            "quota": { "enforce": true },
        }))
        .unwrap();
        assert_eq!(policy.scheduling.spread.as_deref(), Some("rack"));
        assert_eq!((policy.preemption.delay.as_secs(), policy.quota.enforce), (60, true));
        let mut nothing = json!({ "hosts": [] });
        assert_eq!(read_policy(&mut nothing).unwrap(), Policy::default());
        for (bad, told) in [
            (json!({ "order": ["cpu"] }), "unknown field `order`"),
            (json!({ "placement": { "order": ["size"] } }), "unknown variant `size`"),
            (json!({ "preemption": { "delay": "soon" } }), "scheduler.preemption.delay"),
        ] {
            let why = read(bad).unwrap_err();
            assert!(why.starts_with("policy: ") && why.contains(told), "{why}");
        }
    }

    #[test]
    fn jobs_come_from_files_or_are_written_out() {
        let scenario = json!({
            "jobs": [{ "job": { "name": "x" } }, { "file": "a", "fails_percent": 5 }],
            "timeline": [
                { "at_secs": 1 },
                { "at_secs": 2, "create": { "file": "a", "name": "b" } },
            ],
        });
        assert_eq!(
            read(scenario).unwrap(),
            json!({
                "jobs": [
                    { "job": { "name": "x" } },
                    { "job": { "name": "a" }, "fails_percent": 5 },
                    { "job": { "name": "b" }, "fails_percent": 5 },
                ],
                "timeline": [
                    { "at_secs": 1 },
                    { "at_secs": 2, "create": { "job": { "name": "b" } } },
                ],
            })
        );
        assert_eq!(read(json!({ "hosts": [] })).unwrap(), json!({ "hosts": [] }));
        for bad in [
            json!({ "timeline": [{ "create": { "file": "a" } }] }),
            json!({ "jobs": [{ "file": "a", "name": "c" }] }),
        ] {
            assert_eq!(read(bad).unwrap_err().code(), Some(Code::Configuration));
        }
    }
}
