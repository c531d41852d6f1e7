//! A folder, a zygote and a shepherd for one test, and the agent's part played by hand.

use std::{
    fs,
    io::{ErrorKind, IoSlice, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{PermissionsExt, chown},
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketFlags, SocketType, recv, sendmsg, socketpair,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// For whatever takes next to no time; the machine may have other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Zygote {
    pub(crate) socket: Option<OwnedFd>,
    pub(crate) process: Child,
    /// Its first word.
    pub(crate) abilities: Value,
}

impl Zygote {
    pub(crate) fn new() -> Self {
        Self::of_user(0)
    }

    pub(crate) fn of_user(id: u32) -> Self {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let program = std::env::current_exe().unwrap();
        // With things that processes should not inherit.
        let script = "trap '' HUP INT PIPE USR1; exec 9< /dev/null
            echo -500 2> /dev/null > /proc/self/oom_score_adj; umask 077; exec \"$@\"";
        let process = Command::new("/bin/bash")
            .args(["-c", script, "bash"])
            .arg(program)
            .arg(airglow_executor::ZYGOTE)
            .uid(id)
            .gid(id)
            .stdin(theirs)
            .spawn()
            .unwrap();
        let mut word = [0; 4096];
        let (length, _) = recv(&socket, &mut word, RecvFlags::empty()).unwrap();
        let abilities = serde_json::from_slice(&word[..length]).unwrap();
        Self { socket: Some(socket), process, abilities }
    }

    pub(crate) fn summon(&self, summons: &Value, listener: &UnixListener) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [listener.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        let text = serde_json::to_vec(summons).unwrap();
        let socket = self.socket.as_ref().unwrap();
        sendmsg(socket, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL).unwrap();
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().unwrap();
    }
}

pub(crate) struct Pasture {
    pub(crate) folder: TempDir,
    pub(crate) zygote: Zygote,
    pub(crate) summons: Value,
    pub(crate) stream: Option<UnixStream>,
}

impl Pasture {
    /// One with a shepherd.
    pub(crate) fn new(namespaces: bool) -> Self {
        Self::summoned(namespaces, |_, _| {})
    }

    pub(crate) fn summoned(namespaces: bool, prepare: impl FnOnce(&Path, &mut Value)) -> Self {
        let mut pasture = Self::empty(namespaces);
        prepare(pasture.folder.path(), &mut pasture.summons);
        pasture.summon();
        pasture
    }

    /// One without.
    pub(crate) fn empty(namespaces: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let sandbox = folder.path().join("sandbox");
        fs::create_dir(&sandbox).unwrap();
        let summons = json!({
            "folder": folder.path(), "sandbox": sandbox, "user": null, "groups": [],
            "memory_events": null, "namespaces": namespaces, "open_files": 1000,
        });
        Self { folder, zygote: Zygote::new(), summons, stream: None }
    }

    pub(crate) fn summon(&mut self) {
        let path = self.folder.path().join("shepherd.sock");
        fs::remove_file(&path).ok();
        let listener = UnixListener::bind(&path).unwrap();
        // Before there is anybody, who could be gone again.
        self.connect();
        self.zygote.summon(&self.summons, &listener);
    }

    pub(crate) fn connect(&mut self) {
        let stream = UnixStream::connect(self.folder.path().join("shepherd.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.stream = Some(stream);
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.folder.path().join("sandbox")
    }

    /// Whose the processes are to be, and the sandbox with them.
    pub(crate) fn as_user(folder: &Path, summons: &mut Value, id: u32, groups: &[u32]) {
        chown(folder.join("sandbox"), Some(id), Some(id)).unwrap();
        summons["user"] = json!({ "uid": id, "gid": id, "groups": groups });
    }

    pub(crate) fn say(&self, order: &Value) {
        let mut line = serde_json::to_vec(order).unwrap();
        line.push(b'\n');
        self.stream.as_ref().unwrap().write_all(&line).unwrap();
    }

    /// Run 0 of a process, whose words are in files of its name in the sandbox.
    pub(crate) fn start(&self, process: &str, cmdline: &str) {
        self.say(&self.order(process, 0, cmdline));
    }

    pub(crate) fn order(&self, process: &str, run: u32, cmdline: &str) -> Value {
        let file = |stream: &str| self.sandbox().join(format!("{process}.{stream}"));
        json!({
            "order": "start", "process": process, "run": run, "cmdline": cmdline,
            "environment": [["PATH", "/usr/bin:/bin"]],
            "stdout": { "file": file("out") }, "stderr": { "file": file("err") },
        })
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        let folder = Path::new(self.summons["folder"].as_str().unwrap());
        let text = fs::read_to_string(folder.join("record.jsonl")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|it| it.ends_with('\n'));
        whole.map(|it| serde_json::from_str(it).unwrap()).collect()
    }

    /// The first record that is what was wanted, as soon as there is one.
    pub(crate) fn record(&self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(found) = self.records().into_iter().find(&is_wanted) {
                return found;
            }
            let mut bell = [0; 64];
            match self.stream.as_ref().unwrap().read(&mut bell) {
                Ok(0) => panic!("the shepherd is gone: {:#?}", self.records()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}: {:#?}", self.records()),
            }
        }
    }

    /// The next that is said rather than written down. What is said after it waits.
    pub(crate) fn told(&self) -> Value {
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            self.stream.as_ref().unwrap().read_exact(&mut byte).unwrap();
            line.extend(byte.iter().filter(|it| **it != 0));
        }
        serde_json::from_slice(&line).unwrap()
    }

    /// How run 0 of a process ended, once it has.
    pub(crate) fn ended(&self, process: &str) -> Value {
        self.ended_run(process, 0)["exit"].clone()
    }

    pub(crate) fn ended_run(&self, process: &str, run: u32) -> Value {
        let is_it =
            |it: &Value| it["record"] == "ended" && it["process"] == process && it["run"] == run;
        self.record(is_it)
    }

    /// Its number, once it runs.
    pub(crate) fn pid(&self, process: &str) -> i32 {
        let started = self.record(|it| it["record"] == "started" && it["process"] == process);
        number(&started)
    }

    pub(crate) fn shepherd(&self) -> i32 {
        number(&self.record(|it| it["record"] == "shepherd"))
    }

    pub(crate) fn gone(&self) {
        self.record(|it| it["record"] == "gone");
    }

    pub(crate) fn run(&self, process: &str, cmdline: &str) -> String {
        self.start(process, cmdline);
        let exit = self.ended(process);
        let (out, err) =
            (self.read(&format!("{process}.out")), self.read(&format!("{process}.err")));
        assert_eq!(exit, json!({ "code": 0 }), "{out}{err}");
        out
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.sandbox().join(name)).unwrap_or_default()
    }

    /// What a process writes into a file of the sandbox, once it has.
    pub(crate) fn written(&self, name: &str) -> String {
        until(|| Some(self.read(name)).filter(|it| it.ends_with('\n'))).trim().to_owned()
    }

    /// The shepherd has ended, as far as its socket tells.
    pub(crate) fn wait_for_end(&self) {
        let mut rest = Vec::new();
        match self.stream.as_ref().unwrap().read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

impl Drop for Pasture {
    /// With everything that it had to do with.
    fn drop(&mut self) {
        let shepherd = self.records().first().map(number).filter(|it| is_alive(*it));
        if let Some(shepherd) = shepherd {
            let wanted = UnixStream::connect(self.folder.path().join("shepherd.sock"));
            let told = wanted.and_then(|mut it| {
                it.write_all(b"{\"order\":\"leave\"}\n")?;
                it.set_read_timeout(Some(PATIENCE))?;
                it.read_to_end(&mut Vec::new())
            });
            if told.is_err() {
                end(shepherd);
            }
        }
    }
}

fn number(record: &Value) -> i32 {
    i32::try_from(record["pid"].as_i64().unwrap()).unwrap()
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|it| !it.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

pub(crate) fn end(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
}

pub(crate) fn wait_until_gone(pid: i32) {
    until(|| (!is_alive(pid)).then_some(()));
}

/// What nobody tells us of.
#[expect(clippy::disallowed_methods, reason = "there is no arbiter in a test to be blocked")]
pub(crate) fn until<T>(find: impl Fn() -> Option<T>) -> T {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < give_up_at, "it happens in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The outer numbers of all processes that have this text in their environment: those of a test,
/// wherever they are by now.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = all.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let has_mark = |it: &i32| {
        let environment = fs::read(format!("/proc/{it}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(mark)
    };
    pids.filter(has_mark).collect()
}
