//! What changes from one configuration to the other, for people.

use airglow_model::instances::InstanceSet;
use serde_json::Value;

use super::lines::{self, Line};
use crate::api::{Change, ConfigDiff, UpdateDetail};

/// Longer values than this are told by lines.
const SHORT: usize = 72;

/// From one of the configurations that instances had.
pub(super) struct Changes {
    pub(super) number: u32,
    pub(super) instances: InstanceSet,
    pub(super) all: Vec<Changed>,
}

/// One place that differs.
pub(super) struct Changed {
    pub(super) pointer: String,
    /// The same place by the names of what is there: `task › processes › web › cmdline`.
    pub(super) place: String,
    pub(super) what: What,
}

pub(super) enum What {
    Short { from: Option<String>, to: Option<String> },
    Long(Vec<Line>),
}

impl Changes {
    pub(super) fn of(detail: &UpdateDetail) -> Vec<Self> {
        let job = detail.target.as_ref().and_then(|it| it.job.as_ref());
        let job = job.and_then(|it| serde_json::to_value(it).ok()).unwrap_or_default();
        let changes = |it: &ConfigDiff| Self {
            number: it.number,
            instances: it.instances.clone(),
            all: it.changes.iter().map(|it| Changed::new(it, &job)).collect(),
        };
        detail.configs.iter().map(changes).collect()
    }
}

impl Changed {
    fn new(Change { pointer, from, to }: &Change, job: &Value) -> Self {
        let texts = [from, to].map(|it| it.as_ref().map(text));
        let is_long = |it: &Option<String>| {
            it.as_ref().is_some_and(|it| it.chars().count() > SHORT || it.trim().contains('\n'))
        };
        let [from, to] = texts;
        let what = if is_long(&from) || is_long(&to) {
            What::Long(lines::between(&from.unwrap_or_default(), &to.unwrap_or_default()))
        } else {
            What::Short { from, to }
        };
        Self { pointer: pointer.clone(), place: place(pointer, job), what }
    }
}

/// Text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => {
            let short = value.to_string();
            let long = || serde_json::to_string_pretty(value).unwrap_or_else(|_| short.clone());
            if short.len() > SHORT { long() } else { short }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whatever has a name is called by it, not by its number in a list.
fn place(pointer: &str, job: &Value) -> String {
    let mut here = Some(job);
    let mut steps = Vec::new();
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        here = here.and_then(|it| match it {
            Value::Object(fields) => fields.get(&name),
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        });
        let called = here.and_then(|it| it.get("name")?.as_str());
        let is_number = name.bytes().all(|it| it.is_ascii_digit());
        steps.push(called.filter(|_| is_number).map_or(name, str::to_owned));
    }
    if steps.is_empty() { "the whole job".into() } else { steps.join(" › ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_called_by_the_names_of_what_is_there() {
        let job = json!({"task": {"processes": [{"name": "web", "cmdline": "x"}]}});
        assert_eq!(place("/task/processes/0/cmdline", &job), "task › processes › web › cmdline");
        assert_eq!(place("/metadata/1/a~1b", &job), "metadata › 1 › a/b");
        assert_eq!(place("", &job), "the whole job");
    }

    #[test]
    fn short_values_stand_side_by_side_and_long_ones_below_each_other() {
        let changed = |from: Value, to: Value| {
            let change = Change { pointer: "/x".into(), from: Some(from), to: Some(to) };
            Changed::new(&change, &Value::Null).what
        };
        let What::Short { from, to } = changed(json!(0.25), json!("two")) else { panic!("short") };
        assert_eq!((from.as_deref(), to.as_deref()), (Some("0.25"), Some("two")));
        let What::Long(lines) = changed(json!("a\nb"), json!("a\nc")) else { panic!("long") };
        assert_eq!(lines.len(), 3);
    }
}
