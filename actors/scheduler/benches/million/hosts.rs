//! Hosts that only pretend: they join, connect, and read everything that they are told, but of a
//! launch they keep nothing beyond what an inventory says.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use airglow_kit::{
    identity::{Identity, JoinToken},
    link::{self, LinkError},
    now,
};
use airglow_model::{
    ids::{Attempt, TaskId, TaskKey},
    resources::{Attributes, Resources},
    wire::{Capacity, Hello, Inventoried, RunState, Status, ToScheduler},
};
use serde::Deserialize;
use tokio::{sync::Semaphore, task::LocalSet};

use crate::RACKS;

/// The argument that makes this program be hosts.
pub(crate) const WORD: &str = "hosts";

/// What is read of a message; the rest is skipped.
#[derive(Deserialize)]
struct Heard {
    say: Box<str>,
    task: Option<TaskKey>,
    attempt: Option<Attempt>,
    task_id: Option<TaskId>,
}

struct Host {
    hello: Hello,
    /// Says that what it was told to run runs.
    reports: bool,
    tasks: RefCell<Vec<Inventoried>>,
    said: Cell<u64>,
}

/// How many launches all of them have heard is told so often.
const TELL_EVERY: Duration = Duration::from_millis(5);

/// How many knock at once; the scheduler lets no more than 256 in at a time.
const KNOCKING: usize = 32;

/// Whether this program was started to be hosts; then they have ended when this comes back.
pub(crate) fn are_meant(arguments: &[String]) -> bool {
    let [WORD, addr, token, count, reports] =
        arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    else {
        return false;
    };
    let (addr, token, count) = (addr.parse(), token.parse::<JoinToken>(), count.parse());
    run(addr.unwrap(), &token.unwrap(), count.unwrap(), reports.parse().unwrap());
    true
}

fn run(addr: SocketAddr, token: &JoinToken, count: usize, reports: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let launches = Rc::new(Cell::new(0));
    let knocking = Rc::new(Semaphore::new(KNOCKING));
    for number in 0..count {
        let (token, launches, knocking) = (token.clone(), launches.clone(), knocking.clone());
        local.spawn_local(async move {
            let host = Host::new(number, reports);
            let identity = {
                let _turn = knocking.acquire().await.unwrap();
                let machine = host.hello.host.0.as_ref().into();
                link::join(addr, &token, &host.hello.host.0, &machine).await.unwrap().identity
            };
            loop {
                if host.converse(addr, &identity, &knocking, &launches).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
    local.block_on(&runtime, async {
        let mut told = 0;
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            if told != launches.get() {
                told = launches.get();
                println!("{told}");
            }
        }
    });
}

impl Host {
    fn new(number: usize, reports: bool) -> Self {
        let name = format!("h{number:05}");
        let attribute = |name: &str, value: String| (name.to_owned(), [value].into());
        let rack = format!("r{}", number % RACKS);
        let attributes =
            Attributes::from([attribute("host", name.clone()), attribute("rack", rack)]);
        let resources =
            Resources { cpu_milli: 64_000, ram_mb: 512 << 10, disk_mb: 4 << 20, gpus: 0 };
        let hello = Hello {
            attributes,
            capacity: Capacity { resources, ports: vec![(31_000, 32_000)], ..Capacity::default() },
            ..Hello::of(name.as_str(), "0")
        };
        Self { hello, reports, tasks: RefCell::default(), said: Cell::new(0) }
    }

    async fn converse(
        &self,
        addr: SocketAddr,
        identity: &Identity,
        knocking: &Semaphore,
        launches: &Cell<u64>,
    ) -> Result<(), LinkError> {
        let link = {
            let _turn = knocking.acquire().await.unwrap();
            link::dial(addr, identity).await?
        };
        let (says, mut hears) = link.split::<ToScheduler, Heard>();
        let say = |message| says.send(&message).unwrap_or_default();
        say(ToScheduler::Hello(self.hello.clone()));
        say(ToScheduler::Inventory { tasks: self.tasks.borrow().clone() });
        let mut heartbeat = tokio::time::interval(link::HEARTBEAT);
        loop {
            tokio::select! {
                heard = hears.next() => match heard? {
                    Some(message) => {
                        if let Some(status) = self.hear(message, launches) {
                            say(ToScheduler::Status(status));
                        }
                    }
                    None => return Ok(()),
                },
                _ = heartbeat.tick() => say(ToScheduler::Ping { at: None }),
            }
        }
    }

    fn hear(&self, heard: Heard, launches: &Cell<u64>) -> Option<Status> {
        match &*heard.say {
            "launch" => self.launch(heard, launches),
            "kill" => self.kill(&heard.task_id?),
            _ => None,
        }
    }

    /// It is gone at once; what is not there has nothing to say.
    fn kill(&self, id: &TaskId) -> Option<Status> {
        let mut tasks = self.tasks.borrow_mut();
        let index = tasks.iter().position(|it| it.task_id == *id)?;
        let Inventoried { task, attempt, task_id, .. } = tasks.swap_remove(index);
        self.reports.then(|| self.status(task, attempt, task_id, RunState::Killed))
    }

    fn status(&self, task: TaskKey, attempt: Attempt, id: TaskId, state: RunState) -> Status {
        let seq = self.said.get() + 1;
        self.said.set(seq);
        Status { seq, task, attempt, task_id: id, state, message: String::new(), at: now() }
    }

    fn launch(&self, heard: Heard, launches: &Cell<u64>) -> Option<Status> {
        let (Some(task), Some(attempt), Some(task_id)) = (heard.task, heard.attempt, heard.task_id)
        else {
            panic!("a launch that does not say of what");
        };
        let state = RunState::Running;
        let status =
            self.reports.then(|| self.status(task.clone(), attempt, task_id.clone(), state));
        self.tasks.borrow_mut().push(Inventoried { task, attempt, task_id, state });
        launches.set(launches.get() + 1);
        status
    }
}
