//! How a job that is to be created differs from what there is of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    config::{Job, TaskConfig},
    ids::ConfigId,
    instances::InstanceSet,
    view::JobView,
};

/// From what runs, or else from what ran last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// How many instances are active, and how many are wanted.
    pub instances: (u64, u32),
    /// From each configuration that an active instance has; else from the newest, if there is one.
    pub configs: Vec<ConfigDiff>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigDiff {
    pub from: ConfigId,
    /// Who has it and is active.
    pub instances: InstanceSet,
    /// As they are written.
    pub differences: Vec<Difference>,
}

/// A place where they do. What is missing is `None`; so is what is said to be `null`.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// JSON pointer into the new document; into the old one where something is gone.
    pub pointer: String,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

impl Diff {
    pub(super) fn of(before: Option<&JobView>, job: &Job) -> Self {
        let to = written(&job.config);
        let configs = before.map(current).unwrap_or_default().into_iter();
        let configs = configs.map(|(from, instances, config)| ConfigDiff {
            from,
            instances,
            differences: differences(&written(config), &to),
        });
        let active = before.map_or(0, JobView::active_count);
        Self { instances: (active, job.instances), configs: configs.collect() }
    }
}

/// The configurations that matter, and who has them.
fn current(job: &JobView) -> Vec<(ConfigId, InstanceSet, &TaskConfig)> {
    let mut users: BTreeMap<ConfigId, InstanceSet> = BTreeMap::new();
    for wanted in &job.job.wanted {
        let unborn = wanted.instances.intersection(&job.unborn);
        if !unborn.is_empty() {
            let users = users.entry(wanted.config).or_default();
            *users = users.union(&unborn);
        }
    }
    let mut running: BTreeMap<ConfigId, Vec<u32>> = BTreeMap::new();
    for task in job.tasks.values().filter(|it| it.is_active()) {
        let config = task.run.as_ref().map(|it| it.config);
        config.into_iter().for_each(|it| running.entry(it).or_default().push(task.key.instance));
    }
    for (config, instances) in running {
        let users = users.entry(config).or_default();
        *users = users.union(&instances.into_iter().collect());
    }
    if users.is_empty() {
        users.insert(job.job.config, InstanceSet::default());
    }
    let known =
        users.into_iter().filter_map(|(id, users)| Some((id, users, &**job.configs.get(&id)?)));
    known.collect()
}

/// How two configurations differ, as they are written.
pub fn differences_between(from: &TaskConfig, to: &TaskConfig) -> Vec<Difference> {
    differences(&written(from), &written(to))
}

fn written(config: &TaskConfig) -> Value {
    serde_json::to_value(&config.spec).expect("what was written has no map with odd keys")
}

/// The smallest places that differ. Things in a list that have names are compared with those of the
/// same name, wherever they are in the list.
fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let mut all = Vec::new();
    walk(String::new(), Some(from), Some(to), &mut all);
    all
}

fn walk(at: String, from: Option<&Value>, to: Option<&Value>, all: &mut Vec<Difference>) {
    match (from.filter(|it| !it.is_null()), to.filter(|it| !it.is_null())) {
        (from, to) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            for name in from.keys().chain(to.keys()).collect::<BTreeSet<_>>() {
                let step = name.replace('~', "~0").replace('/', "~1");
                walk(format!("{at}/{step}"), from.get(name), to.get(name), all);
            }
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) => {
            for (index, from, to) in by_name(from, to).unwrap_or_else(|| by_index(from, to)) {
                walk(format!("{at}/{index}"), from, to, all);
            }
        }
        (from, to) => {
            all.push(Difference { pointer: at, from: from.cloned(), to: to.cloned() });
        }
    }
}

type Pair<'a> = (usize, Option<&'a Value>, Option<&'a Value>);

/// `None` where not everything has a name of its own, or those in both lists are in another order
/// now: that is a difference too.
fn by_name<'a>(from: &'a [Value], to: &'a [Value]) -> Option<Vec<Pair<'a>>> {
    let (old, new) = (names(from)?, names(to)?);
    let stays = |it: &&str| old.contains(it) && new.contains(it);
    if !old.iter().copied().filter(stays).eq(new.iter().copied().filter(stays)) {
        return None;
    }
    let find = |name| Some(&from[old.iter().position(|it| *it == name)?]);
    let gone = old.iter().enumerate().filter(|(_, name)| !new.contains(name));
    let gone = gone.map(|(index, _)| (index, Some(&from[index]), None));
    let there = new.iter().enumerate().map(|(index, name)| (index, find(*name), Some(&to[index])));
    Some(gone.chain(there).collect())
}

fn by_index<'a>(from: &'a [Value], to: &'a [Value]) -> Vec<Pair<'a>> {
    (0..from.len().max(to.len())).map(|it| (it, from.get(it), to.get(it))).collect()
}

fn names(list: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<_> = list.iter().map(|it| it.get("name")?.as_str()).collect::<Option<_>>()?;
    let distinct: BTreeSet<_> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(from: &Value, to: &Value) -> String {
        let side = |it: Option<Value>| it.map_or("-".into(), |it| it.to_string());
        let line = |it: Difference| format!("{} {} {}", it.pointer, side(it.from), side(it.to));
        differences(from, to).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn only_what_differs_is_named() {
        for (from, to, expected) in [
            (json!({"a": 1, "b": [1, 2]}), json!({"a": 1, "b": [1, 2]}), ""),
            (json!({"a": 1}), json!({"a": 2}), "/a 1 2"),
            (json!({"a": 1, "c": null}), json!({"b": {"x": 1}}), "/a 1 -\n/b - {\"x\":1}"),
            (json!({"a/b": {"~": 1}}), json!({"a/b": {"~": 2}}), "/a~1b/~0 1 2"),
            (json!([1, 2, 3]), json!([1, 3]), "/1 2 3\n/2 3 -"),
            (json!({"a": [1]}), json!({"a": {"b": 1}}), "/a [1] {\"b\":1}"),
            (json!(1), json!("1"), " 1 \"1\""),
        ] {
            assert_eq!(shown(&from, &to), expected, "{from} {to}");
        }
    }

    #[test]
    fn processes_are_known_by_their_names() {
        let p = |name: &str, cmdline: &str| json!({"name": name, "cmdline": cmdline});
        let same = json!([p("a", "1"), p("b", "2"), p("c", "3")]);
        for (to, expected) in [
            (json!([p("a", "1"), p("c", "3")]), r#"/1 {"cmdline":"2","name":"b"} -"#),
            (
                json!([p("new", "0"), p("a", "1"), p("b", "4"), p("c", "3")]),
                "/0 - {\"cmdline\":\"0\",\"name\":\"new\"}\n/2/cmdline \"2\" \"4\"",
            ),
            (
                json!([p("b", "2"), p("a", "1"), p("c", "3")]),
                "/0/cmdline \"1\" \"2\"\n/0/name \"a\" \"b\"\n/1/cmdline \"2\" \"1\"\n/1/name \"b\" \"a\"",
            ),
            (json!([p("a", "1"), p("a", "2"), p("c", "3")]), "/1/name \"b\" \"a\""),
        ] {
            assert_eq!(shown(&same, &to), expected, "{to}");
        }
    }
}
