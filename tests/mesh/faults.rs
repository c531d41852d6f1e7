//! Whatever can happen to cables, machines, processes, disks and clocks.

use std::{process::Command, time::Duration};

use super::{Mesh, cable::Weather};
use crate::cluster::eventually;

impl Mesh {
    /// Nothing of what the first ones send reaches the others.
    pub(crate) fn cut_one_way(&self, from: &[&str], to: &[&str]) {
        let numbers =
            |names: &[&str]| -> Vec<u8> { names.iter().map(|it| self.host(it).number).collect() };
        let (from, to) = (numbers(from), numbers(to));
        self.carrier.faults(|it| {
            for &from in &from {
                it.cut.extend(to.iter().map(|&to| (from, to)));
            }
        });
    }

    pub(crate) fn cut(&self, these: &[&str], those: &[&str]) {
        self.cut_one_way(these, those);
        self.cut_one_way(those, these);
    }

    /// From all others.
    pub(crate) fn cut_off(&self, name: &str) {
        self.silence(name);
        self.deafen(name);
    }

    /// Nobody hears it.
    pub(crate) fn silence(&self, name: &str) {
        self.cut_one_way(&[name], &named(&self.all_but(name)));
    }

    /// It hears nobody.
    pub(crate) fn deafen(&self, name: &str) {
        self.cut_one_way(&named(&self.all_but(name)), &[name]);
    }

    fn all_but(&self, name: &str) -> Vec<String> {
        self.names().into_iter().filter(|it| it != name).collect()
    }

    /// Two parts that do not hear of each other, as chance has it; the first of them is told.
    pub(crate) fn halve(&mut self) -> Vec<String> {
        let names = self.names();
        let mut these = self.chance.shuffled(names);
        let those = these.split_off(these.len() / 2);
        self.cut(&named(&these), &named(&those));
        these
    }

    pub(crate) fn heal(&self) {
        self.carrier.faults(|it| it.cut.clear());
    }

    pub(crate) fn weather(&self, lost_percent: u64, latency_ms: u64) {
        let latency = Duration::from_millis(latency_ms);
        self.carrier.faults(|it| it.weather = Weather { lost_percent, latency });
    }

    /// The agent only; its tasks do not notice.
    pub(crate) fn kill_agent(&self, name: &str) {
        self.host(name).kill_agent();
    }

    /// The whole machine ends at once, and all that ran there.
    pub(crate) fn power_off(&mut self, name: &str) {
        let number = self.host(name).number;
        self.host_mut(name).power_off();
        self.carrier.pull_out(number);
    }

    /// With its agent.
    pub(crate) fn power_on(&mut self, name: &str) {
        let Self { hosts, bridge, carrier, .. } = self;
        let host = hosts.iter_mut().find(|it| it.name == name).expect("there is such a host");
        carrier.plug_in(host.power_on(bridge));
        host.start_agent();
    }

    pub(crate) fn has_agent(&self, name: &str) -> bool {
        self.host(name).agent().is_some()
    }

    /// With its processes, where they are kept in a namespace.
    pub(crate) fn kill_a_shepherd(&mut self, name: &str) {
        let shepherds = self.host(name).shepherds();
        if !shepherds.is_empty() {
            let victim = *self.chance.one_of(&shepherds);
            self.host(name).machine().kill_9(&[victim]);
        }
    }

    /// What the host keeps is on a disk of its own, which does not outlive its power.
    pub(crate) fn have_small_disk(&mut self, name: &str) {
        let host = self.host_mut(name);
        let data = host.data();
        let data = data.display();
        host.tell(&format!("mkdir -p {data} && mount -t tmpfs -o size=32m small {data}"));
    }

    pub(crate) fn fill_disk(&mut self, name: &str) {
        let host = self.host_mut(name);
        let ballast = host.data().join("ballast");
        let ballast = ballast.display();
        host.tell(&format!("dd if=/dev/zero of={ballast} bs=4k; test -s {ballast}"));
    }

    /// Once its agent has ended for want of room there is some again, and it is started. Back when it
    /// answers.
    pub(crate) fn recover_disk(&mut self, name: &str) {
        eventually("a full disk ends a scheduler", || (!self.has_agent(name)).then_some(()));
        let host = self.host_mut(name);
        let ballast = host.data().join("ballast");
        host.tell(&format!("rm {}", ballast.display()));
        self.start(name);
        self.answers(name);
    }

    pub(crate) fn restart_all_at_once(&mut self) {
        let names = self.names();
        names.iter().for_each(|it| self.kill_agent(it));
        names.iter().for_each(|it| self.start(it));
    }

    /// From the agent's next start on.
    pub(crate) fn set_clock(&mut self, name: &str, wrong_by_secs: i64) {
        let shim = self.root.join("clock.so");
        if !shim.exists() {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mesh/clock.c");
            let compiled = Command::new("cc")
                .args(["-shared", "-fPIC", "-o"])
                .arg(&shim)
                .args([source, "-ldl"])
                .status()
                .expect("cc, which tests/run installs, makes a clock");
            assert!(compiled.success(), "{source} does not compile");
        }
        self.host_mut(name).set_clock(&shim, wrong_by_secs);
    }
}

fn named(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
