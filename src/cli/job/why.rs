//! `airglow job why`: the reasons for which instances are not running yet, in the order in which
//! one can do something about them.

use std::{collections::BTreeMap, io::Write};

use airglow_model::{instances::InstanceSet, machine::Timestamp, task::Status};
use airglow_web::api::{JobDetail, PendingTask, PlaceMade};

use super::{
    super::forecast::vetoes, Code, Failure, FullKey, Global, InstanceSpec, Outcome, no_such_job,
    screen, wait,
};

pub(crate) fn run(InstanceSpec { key, instances }: &InstanceSpec, global: &Global) -> Outcome {
    let session = global.session(&key.cluster)?;
    let mut job = session.job(key)?.ok_or_else(|| no_such_job(key))?;
    if let Some(chosen) = instances {
        let missing = chosen.difference(&all(&job));
        if !missing.is_empty() {
            let message = format!("{key} has no such instance: {missing}");
            return Err(Failure::new(Code::InvalidParameter, message));
        }
        job.instances.retain(|it| chosen.contains(it.instance));
        job.pending.retain(|it| chosen.contains(it.instance));
    }
    if global.write_json {
        return screen::json(&job.pending);
    }
    let text = explain(key, &job, airglow_kit::now());
    Ok(screen::out().write_all(text.as_bytes())?)
}

/// Those that have run, and those that should.
fn all(job: &JobDetail) -> InstanceSet {
    let seen = job.instances.iter().map(|it| it.instance).collect();
    job.configs.iter().fold(seen, |all: InstanceSet, it| all.union(&it.instances))
}

fn explain(key: &FullKey, job: &JobDetail, now: Timestamp) -> String {
    let mut paragraphs = Vec::new();
    for (reason, tasks) in alike(&job.pending) {
        let instances: InstanceSet = tasks.iter().map(|it| it.instance).collect();
        let since = tasks.iter().map(|it| it.since).min().expect("a group has a member");
        let are = if tasks.len() == 1 { "is" } else { "are" };
        let pending = screen::status(Status::Pending);
        let age = screen::age(since, now);
        let helps =
            if tasks[0].making.len() < tasks.len() { helps(tasks[0]) } else { String::new() };
        paragraphs.push(format!("{key}/{instances} {are} {pending} for {age}: {reason}{helps}\n"));
    }
    paragraphs.extend(job.instances.iter().filter(|it| it.status == Status::Throttled).map(|it| {
        let (age, instance) = (screen::age(it.since, now), it.instance);
        let throttled = screen::status(it.status);
        format!("{key}/{instance} is {throttled} for {age}: its runs end so soon that it has to wait before the next\n")
    }));
    paragraphs.extend(
        job.quarantined.iter().map(|it| {
            format!("{} was left alone, because it kept crashing: {}\n", it.key, it.reason)
        }),
    );
    if paragraphs.is_empty() {
        let tasks: Vec<_> = job.instances.iter().collect();
        return format!("Nothing of {key} is waiting: {}\n", wait::counts(&tasks));
    }
    paragraphs.concat()
}

/// A line for each reason about which something can be done.
fn helps(task: &PendingTask) -> String {
    let helped = task.vetoes.iter().filter(|it| !it.help.is_empty());
    let lines: String = helped.map(|it| format!("\n    {}: {}", it.reason, it.help)).collect();
    if lines.is_empty() { lines } else { format!("\n  What would help:{lines}") }
}

/// Instances with the same reasons, which are told once.
fn alike(pending: &[PendingTask]) -> BTreeMap<String, Vec<&PendingTask>> {
    let mut groups: BTreeMap<String, Vec<&PendingTask>> = BTreeMap::new();
    for task in pending {
        groups.entry(reason(task)).or_default().push(task);
    }
    groups
}

fn reason(task: &PendingTask) -> String {
    if task.hosts == 0 {
        return "no host has been looked at yet.\n  `airglow host list` shows which there are."
            .into();
    }
    if task.making.is_empty() {
        return vetoes(task.hosts, &task.vetoes, task.nearest.as_ref());
    }
    let places: Vec<_> = task.making.iter().map(made).collect();
    let mut text = format!("{}.", places.join(";\n  "));
    let others = task.hosts.saturating_sub(task.making.len());
    if others > 0 {
        let vetoes = vetoes(others, &task.vetoes, task.nearest.as_ref());
        text.push_str(&format!("\n  Elsewhere {vetoes}"));
    }
    text
}

fn made(place: &PlaceMade) -> String {
    format!("a place is being made on {} by ending {}", place.host, place.named())
}

#[cfg(test)]
mod tests {
    use airglow_web::api::{NearestHost, VetoCount};

    use super::*;

    fn pending(instance: u32) -> PendingTask {
        PendingTask {
            role: "r".into(),
            environment: "e".into(),
            name: "n".into(),
            instance,
            task_id: "t".into(),
            since: Timestamp(0),
            hosts: 2,
            vetoes: vec![VetoCount {
                kind: "cpu".into(),
                reason: "Insufficient: CPU".into(),
                hosts: 2,
                help: String::new(),
            }],
            nearest: Some(NearestHost {
                host: "h1".into(),
                misses: "CPU: 8 wanted, 2 free".into(),
            }),
            making: vec![],
        }
    }

    #[test]
    fn whose_place_is_being_made_is_told_so() {
        let place = |host: &str| PlaceMade { host: host.into(), ending: vec!["w/d/b/0".into()] };
        let made = PendingTask {
            hosts: 1,
            vetoes: vec![],
            nearest: None,
            making: vec![place("h1")],
            ..pending(0)
        };
        assert_eq!(reason(&made), "a place is being made on h1 by ending w/d/b/0.");
        let some = PendingTask { hosts: 4, making: vec![place("h1"), place("h2")], ..pending(0) };
        assert_eq!(
            reason(&some),
            "a place is being made on h1 by ending w/d/b/0;\n  \
             a place is being made on h2 by ending w/d/b/0.\n  \
             Elsewhere no host fits, of 2 hosts.\n  \
             Insufficient: CPU on 2 hosts\n  Nearest: h1 (CPU: 8 wanted, 2 free)"
        );
    }

    #[test]
    fn what_would_help_is_told_with_its_reason() {
        assert_eq!(helps(&pending(0)), "");
        let mut task = pending(0);
        task.vetoes[0].help = "ask for no more than that".into();
        let text = "\n  What would help:\n    Insufficient: CPU: ask for no more than that";
        assert_eq!(helps(&task), text);
    }

    #[test]
    fn the_same_reason_is_told_once() {
        let tasks = [pending(0), pending(1), PendingTask { hosts: 0, ..pending(2) }];
        let groups = alike(&tasks);
        let told: Vec<_> = groups.iter().map(|(why, tasks)| (why.as_str(), tasks.len())).collect();
        assert_eq!(
            told,
            [
                (
                    "no host fits, of 2 hosts.\n  Insufficient: CPU on 2 hosts\n  Nearest: h1 (CPU: 8 wanted, 2 free)",
                    2
                ),
                (
                    "no host has been looked at yet.\n  `airglow host list` shows which there are.",
                    1
                ),
            ]
        );
    }
}
