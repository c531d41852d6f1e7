//! From a job as a file says it to a specification: names bound, templates evaluated, everything
//! checked against the schema.

use std::{collections::BTreeSet, rc::Rc};

use airglow_model::{
    schema,
    spec::{Complaint, JobSpec},
    template::{self, Reference},
};

use super::{
    errors::{Mistake, Origin},
    scope::{Chain, Report, Scope, evaluate},
    value::{Struct, Type, Value, binding},
};

/// A job and where its parts were written, to say so if it turns out wrong later.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) spec: JobSpec,
    pub(super) places: Places,
}

/// The objects of a job that were written somewhere, by JSON pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<(String, Origin)>);

/// Evaluates a job. `bound` are the command line's bindings, which win over the file's.
pub(super) fn finish(job: &Rc<Struct>, bound: &[(String, String)]) -> Result<Job, Vec<Mistake>> {
    let bound = command_line(bound).map_err(|detail| vec![Mistake::new(detail)])?;
    let job = job.bind(bound).within([Rc::new(usual_names())]);
    let kind = Type::Struct(job.schema.clone());
    let mut report = Report::default();
    let value = evaluate(&Value::Struct(job), &kind, &Chain::NOTHING, "", &mut report);
    let mut json = value.to_json().unwrap_or_default();
    unescape(&mut json);
    let places = Places(std::mem::take(&mut report.origins));
    match complaints(&report, schema::read_job(&json)) {
        Ok(spec) => Ok(Job { spec, places }),
        Err(complaints) => Err(complaints.into_iter().map(|it| places.locate(it)).collect()),
    }
}

impl Places {
    /// All that is known is where the job is.
    pub(super) fn of_job(origin: Origin) -> Self {
        Self(vec![(String::new(), origin)])
    }

    /// The complaint at the innermost object around it of which it is known where it was written.
    pub(super) fn locate(&self, complaint: Complaint) -> Mistake {
        let Complaint { pointer, detail } = complaint;
        let inside =
            |at: &str| pointer.strip_prefix(at).filter(|it| it.is_empty() || it.starts_with('/'));
        let around = self.0.iter().filter_map(|(at, origin)| Some((inside(at)?, origin)));
        let innermost = around.min_by_key(|(rest, _)| rest.len());
        let field = innermost.and_then(|(rest, _)| rest.split('/').nth(1)).map(str::to_owned);
        let origin = innermost.map(|(_, origin)| origin.clone());
        Mistake { message: detail, origin, field, pointer, help: None }
    }
}

fn command_line(bound: &[(String, String)]) -> Result<Scope, String> {
    let bound = bound.iter().map(|(name, value)| binding(name, Value::text(value.as_str())));
    bound.collect::<Result<_, _>>().map(Scope::Bound)
}

/// Names from before jobs could be referred to by their own.
fn usual_names() -> Scope {
    let names = [
        ("mesos.role", "{{role}}"),
        ("mesos.cluster", "{{cluster}}"),
        ("thermos.user", "{{role}}"),
    ];
    let bound = names.map(|(name, value)| binding(name, Value::text(value)));
    Scope::Bound(bound.into_iter().collect::<Result<_, _>>().expect("these are well formed"))
}

fn complaints(
    report: &Report,
    read: Result<JobSpec, Vec<Complaint>>,
) -> Result<JobSpec, Vec<Complaint>> {
    let mut found: Vec<_> = report
        .mistakes
        .iter()
        .map(|(pointer, detail)| Complaint { pointer: pointer.clone(), detail: detail.clone() })
        .chain(report.unbound.iter().filter_map(|(pointer, names)| unbound(pointer, names)))
        .collect();
    let known: Vec<_> =
        found.iter().map(|it| it.pointer.clone()).chain(report.invalid.iter().cloned()).collect();
    let is_new = |it: &Complaint| {
        !known.iter().any(|at| it.pointer == *at || it.pointer.starts_with(&format!("{at}/")))
    };
    match read {
        Ok(spec) if found.is_empty() && report.invalid.is_empty() => return Ok(spec),
        Ok(_) => {}
        Err(complaints) => found.extend(complaints.into_iter().filter(is_new)),
    }
    Err(found)
}

/// What a host knows may stay open where a host evaluates it; nothing else may.
fn unbound(pointer: &str, names: &BTreeSet<Reference>) -> Option<Complaint> {
    let at_launch = is_evaluated_at_launch(pointer);
    let open = names.iter().filter(|it| !(at_launch && it.is_known_at_launch()));
    let open: Vec<_> = open.map(|it| format!("{{{{{it}}}}}")).collect();
    let names = open.join(", ");
    let detail = match (open.is_empty(), pointer.starts_with("/task/")) {
        (true, _) => return None,
        (false, true) => format!(
            "Task is invalid: Unexpected unbound refs: {names}. \
             Make sure you are not nesting template variables."
        ),
        (false, false) => format!("Config contains unbound variables: {names}"),
    };
    Some(Complaint { pointer: pointer.to_owned(), detail })
}

fn is_evaluated_at_launch(pointer: &str) -> bool {
    pointer.starts_with("/task/") || pointer.starts_with("/health_check_config/")
}

/// Takes the `&` out of `{{&name}}`, except where the host will.
fn unescape(job: &mut serde_json::Value) {
    let fields = job.as_object_mut().into_iter().flatten();
    for (_, value) in fields.filter(|(name, _)| !is_evaluated_at_launch(&format!("/{name}/"))) {
        unescape_all(value);
    }
}

fn unescape_all(value: &mut serde_json::Value) {
    use serde_json::Value as Json;

    match value {
        Json::String(text) => {
            // It was evaluated before, so that it is a template.
            if let Ok(plain) = template::render(text, |_| None) {
                *text = plain;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(unescape_all),
        Json::Object(fields) => fields.values_mut().for_each(unescape_all),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
