//! A machine of its own, as far as the kernel can pretend: network, processes, mounts and a name.
//!
//! Its first process is a shell that reads what it is to do from a pipe of ours. When the pipe
//! closes, because the test is done, has panicked or was killed, the shell ends, and the kernel ends
//! every process, mount, interface and namespace with it. So there is nothing to clean up, ever.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::cluster::eventually;

pub(super) struct Machine {
    /// `unshare`, which waits for the shell.
    outside: Child,
    shell: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    network: File,
    /// What the kernel calls that network.
    called: PathBuf,
    log: PathBuf,
}

/// What runs on a machine, as everybody outside of it sees it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) args: Vec<String>,
}

impl Machine {
    pub(super) fn boot(name: &str, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut outside = Command::new("unshare")
            .args(["--net", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--mount-proc"])
            .args(["bash", "--noprofile", "--norc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("unshare, which tests/run installs, starts a machine");
        let mut shell = outside.stdin.take().unwrap();
        // It answers from within, so it is there.
        writeln!(shell, "echo up").unwrap();
        let mut answers = BufReader::new(outside.stdout.take().unwrap());
        let mut up = String::new();
        answers.read_line(&mut up).unwrap();
        let told = fs::read_to_string(log).unwrap_or_default();
        assert_eq!(up, "up\n", "no machine can be made, which takes root: {told}");
        let network = format!("/proc/{}/ns/net", first_process(&outside));
        let called = fs::read_link(&network).unwrap();
        let network = File::open(network).unwrap();
        let (shell, log) = (Some(shell), log.to_owned());
        let mut machine = Self { outside, shell, answers, network, called, log };
        machine.tell(&format!("echo {name} > /proc/sys/kernel/hostname"));
        machine.tell("ip link set lo up");
        machine.tell("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        machine.tell("ulimit -n \"$(ulimit -Hn)\"");
        machine
    }

    /// Has the shell do something, which has to go well. Output goes to the machine's log.
    #[track_caller]
    pub(super) fn tell(&mut self, line: &str) {
        let log = self.log.display();
        let shell = self.shell.as_mut().expect("it is up");
        writeln!(shell, "{{ {line}\n}} < /dev/null >> {log} 2>&1; echo $?").unwrap();
        let mut status = String::new();
        self.answers.read_line(&mut status).unwrap();
        let told = || fs::read_to_string(&self.log).unwrap_or_default();
        assert_eq!(status, "0\n", "{line}: {}", told());
    }

    /// Does something as somebody on that machine's network. Everything else stays ours.
    pub(super) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.network, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            there.join().unwrap()
        })
    }

    /// All that run there, the shell and those of tasks too. Who has ended is not among them.
    pub(super) fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|it| it.file_name().to_str()?.parse().ok());
        let there = pids.filter(|pid: &i32| {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|it| it == self.called)
        });
        let process = |pid| {
            let args = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let args = String::from_utf8_lossy(&args);
            let args: Vec<_> = args.split_terminator('\0').map(str::to_owned).collect();
            (!args.is_empty()).then(|| Process { pid: Pid::from_raw(pid), args })
        };
        there.filter_map(process).collect()
    }

    /// `SIGKILL`, and back when nothing is left of them.
    pub(super) fn kill_9(&self, victims: &[Pid]) {
        for &pid in victims {
            kill(pid, Signal::SIGKILL).ok();
        }
        let victims: BTreeSet<_> = victims.iter().copied().collect();
        eventually("who was killed is gone", || {
            self.processes().iter().all(|it| !victims.contains(&it.pid)).then_some(())
        });
    }
}

/// Everything on it ends at once, as if somebody had pulled the plug.
impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.shell.take());
        self.outside.kill().ok();
        self.outside.wait().ok();
    }
}

/// The one with the number 1 inside: the only child of `unshare`.
fn first_process(outside: &Child) -> i32 {
    let parent = outside.id();
    let child = fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        (rest.split(' ').nth(1)? == parent.to_string()).then_some(pid)
    });
    child.expect("unshare has a child")
}
