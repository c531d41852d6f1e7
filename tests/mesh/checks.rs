//! What must hold after every fault: every instance that can run is RUNNING once, and nothing that
//! was acknowledged is lost.

use std::{collections::BTreeMap, time::Duration};

use nix::unistd::Pid;
use serde_json::Value;

use super::Mesh;
use crate::cluster::{spec, within};

/// How long a cluster may take to be whole, once nothing is wrong any more.
const WHOLE_WITHIN: Duration = Duration::from_secs(150);

/// What the cluster has said yes to, and what it may have done without saying so.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<String, Entry>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    instances: u32,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Yes,
    No,
    /// There was no answer, so either is right.
    Perhaps,
}

/// One real process of an instance.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Alive {
    pub(super) host: String,
    pub(super) pid: Pid,
}

type Instance = (String, u64);

/// A job whose processes are known wherever they are met: by their names.
pub(super) fn endless(name: &str, instances: u32) -> Value {
    let cmdline = format!("exec -a mesh-{name}-{{{{mesos.instance}}}} sleep 1000000");
    spec(name, &cmdline, instances, true)
}

fn instance_of(args: &[String]) -> Option<Instance> {
    let (name, instance) = args.first()?.strip_prefix("mesh-")?.rsplit_once('-')?;
    Some((name.to_owned(), instance.parse().ok()?))
}

impl Ledger {
    pub(super) fn created(
        &mut self,
        name: &str,
        instances: u32,
        answer: Option<(u16, Value)>,
    ) -> bool {
        let wanted = match answer {
            Some((201, _)) => Wanted::Yes,
            Some((status, body)) if status < 500 => panic!("{name} is refused: {status} {body}"),
            Some(_) | None => Wanted::Perhaps,
        };
        self.0.insert(name.to_owned(), Entry { instances, wanted });
        wanted == Wanted::Yes
    }

    pub(super) fn killed(&mut self, name: &str, answer: Option<(u16, Value)>) -> bool {
        let entry = self.0.get_mut(name).expect("it was created");
        entry.wanted = match answer {
            Some((200, _)) => Wanted::No,
            Some((status, body)) if status < 500 => panic!("{name} stays: {status} {body}"),
            Some(_) | None => Wanted::Perhaps,
        };
        entry.wanted == Wanted::No
    }
}

impl Mesh {
    /// Waits until all is as it should be, and panics with what is not if it never is.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        let mut wrong = Vec::new();
        let whole = within(WHOLE_WITHIN, || {
            wrong = self.wrongs();
            wrong.is_empty().then_some(())
        });
        assert!(whole.is_some(), "this is not whole: {wrong:#?}");
        // Not by accident, in the middle of a change.
        super::stays("it is whole", 2, || {
            wrong = self.wrongs();
            assert!(wrong.is_empty(), "this is not whole any more: {wrong:#?}");
            true
        });
    }

    /// The processes of all instances, on all hosts that have power.
    pub(super) fn alive(&self) -> BTreeMap<Instance, Vec<Alive>> {
        let mut alive: BTreeMap<Instance, Vec<Alive>> = BTreeMap::new();
        for host in self.hosts.iter().filter(|it| it.has_power()) {
            for process in host.machine().processes() {
                let Some(instance) = instance_of(&process.args) else { continue };
                let one = Alive { host: host.name.clone(), pid: process.pid };
                alive.entry(instance).or_default().push(one);
            }
        }
        alive
    }

    fn wrongs(&self) -> Vec<String> {
        let mut alive = self.alive();
        let mut wrongs = Vec::new();
        for (name, entry) in &self.ledger.0 {
            let run: Vec<_> = self.instances(name);
            let run: Vec<_> = run.iter().filter(|it| is_live(it)).collect();
            let wanted = match entry.wanted {
                Wanted::Yes => entry.instances as usize,
                Wanted::No => 0,
                Wanted::Perhaps if run.is_empty() => 0,
                Wanted::Perhaps => entry.instances as usize,
            };
            if run.len() != wanted {
                wrongs.push(format!("{name} has {} instances, not {wanted}", run.len()));
            }
            for task in run {
                let instance = (name.clone(), task["instance"].as_u64().unwrap());
                let there = alive.remove(&instance).unwrap_or_default();
                wrongs.extend(wrong_with(task, &there));
            }
        }
        wrongs.extend(alive.into_iter().map(|it| format!("nobody wants {it:?}")));
        wrongs
    }
}

fn is_live(task: &Value) -> bool {
    let over = ["FINISHED", "FAILED", "KILLED", "LOST"];
    task["status"].as_str().is_some_and(|it| !over.contains(&it))
}

fn wrong_with(task: &Value, there: &[Alive]) -> Option<String> {
    let is_right = match there {
        [one] => task["status"] == "RUNNING" && task["host"] == *one.host,
        _ => false,
    };
    let (id, status, host) = (&task["task_id"], &task["status"], &task["host"]);
    (!is_right).then(|| format!("{id} is {status} on {host}, and in truth {there:?}"))
}
