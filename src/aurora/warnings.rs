//! What works, and should be changed all the same.

use std::{collections::BTreeSet, rc::Rc};

use airglow_model::{spec::JobSpec, template};

use super::value::{Presence, Struct, Value};

/// Sentences about fields that no longer mean anything, each once.
pub(super) fn ignored_fields(jobs: &[Rc<Struct>]) -> impl Iterator<Item = String> {
    let mut sentences = BTreeSet::new();
    for job in jobs {
        ignored(&Value::Struct(job.clone()), &mut sentences);
    }
    sentences.into_iter().map(str::to_owned)
}

fn ignored(value: &Value, sentences: &mut BTreeSet<&'static str>) {
    if let Value::List(items) = value {
        items.iter().for_each(|it| ignored(it, sentences));
    }
    for (field, value) in value.as_struct().into_iter().flat_map(|it| it.fields()) {
        if let Presence::Ignored(why) = field.presence
            && *value != Value::Empty
        {
            sentences.insert(why);
        }
        ignored(value, sentences);
    }
}

/// Sentences about one job.
pub(super) fn about(job: &JobSpec) -> Vec<String> {
    let mut sentences = Vec::new();
    if job.production && job.tier.is_none() {
        sentences.push("production is an older way to say tier: set tier instead".to_owned());
    }
    if let Some(announce) = &job.announce {
        let primary = announce.primary_port.as_str();
        let is_used = announce.portmap.contains_key(primary) || uses_port(job, primary);
        if !is_used {
            let port = format!("{{{{thermos.ports[{primary}]}}}}");
            sentences.push(format!(
                "the announcer's primary_port {primary} is used by no process, as {port}, \
                 and is not in its portmap"
            ));
        }
    }
    let JobSpec { cluster, role, environment, name, .. } = job;
    let key = format!("{cluster}/{role}/{environment}/{name}");
    sentences.into_iter().map(|it| format!("{key}: {it}")).collect()
}

fn uses_port(job: &JobSpec, port: &str) -> bool {
    let commands = job.task.processes.iter().map(|it| it.cmdline.as_str());
    commands.flat_map(template::references).any(|it| it.port() == Some(port))
}
