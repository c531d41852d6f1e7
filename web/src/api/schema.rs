//! Schemas of what is not described where it is defined: the model knows nothing of OpenAPI.

use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, schema::Type};

/// The schema `Job` comes from the configuration language's own table.
pub(super) fn job_spec() -> RefOr<Schema> {
    Ref::from_schema_name("Job").into()
}

/// So does `Process`, which is what was written of one.
pub(super) fn process_spec() -> RefOr<Schema> {
    Ref::from_schema_name("Process").into()
}

pub(super) fn job_specs() -> Schema {
    ArrayBuilder::new().items(job_spec()).build().into()
}

pub(super) fn status() -> Schema {
    one_of(&[
        "THROTTLED",
        "PENDING",
        "ASSIGNED",
        "STARTING",
        "RUNNING",
        "KILLING",
        "RESTARTING",
        "PREEMPTING",
        "DRAINING",
        "PARTITIONED",
        "FINISHED",
        "FAILED",
        "KILLED",
        "LOST",
    ])
}

pub(super) fn process_state() -> Schema {
    one_of(&["WAITING", "FORKED", "RUNNING", "SUCCESS", "KILLED", "FAILED", "LOST"])
}

/// How an update goes about it.
pub(super) fn update_settings() -> Schema {
    let number = || ObjectBuilder::new().schema_type(Type::Integer);
    let flag = || ObjectBuilder::new().schema_type(Type::Boolean);
    ObjectBuilder::new()
        .property("strategy", ObjectBuilder::new().schema_type(Type::Object))
        .property("watch_ms", number())
        .property("failures_of_instance_max", number())
        .property("failed_instances_max", number())
        .property("rollback_on_failure", flag())
        .property("pulse_ms", number())
        .property("sla_aware", flag())
        .property("pending_ms_max", number())
        .property("canary", ObjectBuilder::new().schema_type(Type::Object))
        .build()
        .into()
}

pub(super) fn kind() -> Schema {
    one_of(&["service", "adhoc", "cron"])
}

pub(super) fn collision_policy() -> Schema {
    one_of(&["KILL_EXISTING", "CANCEL_NEW"])
}

pub(super) fn catch_up() -> Schema {
    one_of(&["none", "latest", "all"])
}

pub(super) fn cron_state() -> Schema {
    one_of(&["idle", "waiting", "starting"])
}

pub(super) fn outcome() -> Schema {
    one_of(&["started", "skipped", "missed"])
}

fn one_of(names: &[&str]) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names.iter().copied()))
        .build()
        .into()
}
