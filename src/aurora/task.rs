//! Tasks that a file exports, to be run without any cluster.
//!
//! What comes after knows jobs only, so each of them gets a job around it that adds nothing: it has
//! no health checks, nobody is asked over HTTP to leave, and what it does not say about resources is
//! no limit.

use std::{num::NonZero, rc::Rc, thread};

use serde_json::json;

use super::{
    scope::Scope,
    value::{Language, Struct, Value, binding},
};

/// In bytes: more than any machine has.
const UNLIMITED: i64 = 1 << 50;

/// `bound` are the command line's bindings, which win over those that the task has; what is wrong
/// with them is told when the job is evaluated.
pub(super) fn as_job(
    task: &Rc<Struct>,
    language: &Language,
    user: &str,
    bound: &[(String, String)],
) -> Rc<Struct> {
    let bound = bound.iter().flat_map(|(name, value)| binding(name, Value::text(value.as_str())));
    let task = task.bind(Scope::Bound(bound.collect()));
    let mut mistakes = Vec::new();
    let is_limited = task.get("resources").is_some_and(|it| *it != Value::Empty);
    let task = if is_limited {
        task
    } else {
        let resources = Value::from_json(&unlimited());
        task.with(vec![("resources".to_owned(), resources)], None, &mut mistakes)
    };
    let mut given = vec![("task".to_owned(), Value::Struct(task))];
    let around = json!({
        "cluster": "local", "role": user, "environment": "devel", "name": "task",
        "lifecycle": {}, "health_check_config": { "health_checker": {} },
    });
    for (name, value) in around.as_object().into_iter().flatten() {
        given.push((name.clone(), Value::from_json(value)));
    }
    let job = Struct::new(&language.job(), given, None, &mut mistakes);
    assert!(mistakes.is_empty(), "a job can be made around any task: {mistakes:?}");
    job
}

fn unlimited() -> serde_json::Value {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    json!({ "cpu": cores, "ram": UNLIMITED, "disk": UNLIMITED })
}

pub(super) fn own_name() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |it| it.name)
}
