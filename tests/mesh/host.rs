//! One host of a mesh: a machine with a cable, and the agent on it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::Pid;

use super::{
    cable::{self, Cable},
    machine::Machine,
};
use crate::cluster::{AIRGLOW, CLUSTER, within};

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Scheduler,
    Agent,
}

pub(super) struct Host {
    pub(super) name: String,
    pub(super) part: Part,
    /// Says its address, too.
    pub(super) number: u8,
    /// None while it is off.
    machine: Option<Machine>,
    root: PathBuf,
    /// What its agent's environment has besides.
    environment: String,
}

/// As every host sees that one.
pub(super) fn ip(number: u8) -> String {
    format!("10.8.0.{number}")
}

impl Host {
    /// Off, with nothing on its disk but settings.
    pub(super) fn new(root: &Path, part: Part, number: u8) -> Self {
        let name = match part {
            Part::Scheduler => format!("s{number}"),
            Part::Agent => format!("a{number}"),
        };
        let root = root.to_owned();
        Self { name, part, number, machine: None, root, environment: String::new() }
    }

    /// What is only on this host, and survives whatever becomes of the machine.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join(format!("{}.log", self.name))
    }

    pub(super) fn machine(&self) -> &Machine {
        self.machine.as_ref().expect("it is on")
    }

    pub(super) fn tell(&mut self, line: &str) {
        self.machine.as_mut().expect("it is on").tell(line);
    }

    /// Its end of a new cable is in the machine; the other end is for the bridge.
    pub(super) fn power_on(&mut self, bridge: &mut Machine) -> Cable {
        let log = self.root.join(format!("{}.machine.log", self.name));
        let mut machine = Machine::boot(&self.name, &log);
        let port = format!("port{}", self.number);
        let at_host = machine.inside(|| cable::device("eth0"));
        let at_bridge = bridge.inside(|| cable::device(&port));
        bridge.tell(&format!("ip link set {port} master bridge up"));
        machine.tell(&format!(
            "ip link set eth0 address {} && ip address add {}/24 brd + dev eth0 && \
             ip link set eth0 up && ip route add default dev eth0",
            cable::address(self.number),
            ip(self.number),
        ));
        self.machine = Some(machine);
        Cable::new(self.number, at_host, at_bridge)
    }

    /// Nothing that ran there runs any more; its disk keeps what it has.
    pub(super) fn power_off(&mut self) {
        self.machine = None;
    }

    pub(super) fn has_power(&self) -> bool {
        self.machine.is_some()
    }

    pub(super) fn configure(&self, settings: &str) {
        fs::write(self.root.join(format!("{}.toml", self.name)), settings).unwrap();
    }

    /// From its next start on: this many seconds more than it is.
    pub(super) fn set_clock(&mut self, shim: &Path, wrong_by: i64) {
        self.environment = format!("LD_PRELOAD={} AIRGLOW_MESH_CLOCK={wrong_by}", shim.display());
    }

    pub(super) fn start_agent(&mut self) {
        let Self { name, part, environment, .. } = &*self;
        let what = match part {
            Part::Scheduler => "agent --scheduler",
            Part::Agent => "agent",
        };
        let settings = self.root.join(format!("{name}.toml"));
        let (settings, data, log) = (settings.display(), self.data(), self.log());
        let (data, log) = (data.display(), log.display());
        let start = format!(
            "env {environment} {AIRGLOW} {what} --cluster {CLUSTER} --data {data} \
             --config {settings} >> {log} 2>&1 &"
        );
        self.tell(&start);
        // Until then it is a shell. One that ends at once is missed where it is needed.
        within(Duration::from_secs(10), || self.agent());
    }

    pub(super) fn agent(&self) -> Option<Pid> {
        let is_agent = |args: &[String]| {
            args.first().is_some_and(|it| it == AIRGLOW)
                && args.get(1).is_some_and(|it| it == "agent")
        };
        self.machine().processes().into_iter().find(|it| is_agent(&it.args)).map(|it| it.pid)
    }

    /// Of whatever task, in any order.
    pub(super) fn shepherds(&self) -> Vec<Pid> {
        let is_shepherd = |args: &[String]| args.iter().any(|it| it == "zygote");
        let all = self.machine().processes().into_iter();
        all.filter(|it| is_shepherd(&it.args)).map(|it| it.pid).collect()
    }

    pub(super) fn kill_agent(&self) {
        // It may have been started a moment ago, on a machine that is busy.
        let agent = within(Duration::from_secs(60), || self.agent());
        let agent = agent.unwrap_or_else(|| panic!("{} has an agent", self.name));
        self.machine().kill_9(&[agent]);
    }
}
