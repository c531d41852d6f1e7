//! What a process has, and what it cannot get at.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    pasture::{Pasture, Zygote, is_alive, until},
    trials,
};

const NOBODY: u32 = 65534;

trials![
    r22_a_process_has_three_files_open_and_nothing_else_of_ours,
    numbers_are_those_of_outside_and_inside_there_is_nobody_else,
    r22_who_is_not_root_runs_nothing_as_somebody_else,
    processes_are_the_users_with_its_groups_and_nobody_elses,
    the_shepherd_is_the_user_too_and_may_only_end_processes,
    who_has_become_another_user_is_ended_as_well,
    nothing_of_the_shepherd_can_be_reached_from_within,
    what_cannot_be_had_is_said_of_each_run,
    who_dies_for_want_of_memory_is_counted_before_its_end,
];

fn r22_a_process_has_three_files_open_and_nothing_else_of_ours() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let file = pasture.sandbox().join("file");
        let mut other = pasture.order("other", 0, "sleep 1000");
        other["stdout"] = json!({ "file": file, "rotate": { "size": 100, "backups": 1 } });
        pasture.say(&other);
        let script = "ls /proc/$$/fd; ls -l /proc/$$/fd/0 >&2; grep -E '^Sig(Blk|Ign)' /proc/self/status;
            cat /proc/$$/oom_score_adj; ulimit -n; umask; pwd; env; ps -o pgid= $$ | tr -d ' '; echo $$";
        let said = pasture.run("a", script);
        let said: Vec<_> = said.lines().collect();
        // What `ls` was given by the shell is its own.
        assert_eq!(said[..3], ["0", "1", "2"], "{said:?}");
        let rest = &said[3..];
        let nothing = "0000000000000000";
        assert_eq!(rest[0], format!("SigBlk:\t{nothing}"));
        // The C library has its threads' own signals ignored in what it starts.
        let of_threads = "0000000180000000";
        assert!(rest[1] == format!("SigIgn:\t{nothing}") || rest[1].ends_with(of_threads));
        assert_eq!(rest[2..5], ["0", "1000", "0022"]);
        assert_eq!(Path::new(rest[5]), pasture.sandbox());
        let environment: Vec<_> = rest[6..rest.len() - 2].to_vec();
        let expected = ["PATH=", "PWD=", "SHLVL=", "_="];
        assert!(
            environment.iter().all(|it| expected.iter().any(|its| it.starts_with(its))),
            "{environment:?}"
        );
        assert_eq!(rest[rest.len() - 2], rest[rest.len() - 1]);
        assert!(pasture.read("a.err").contains("/dev/null"));
        assert!(pasture.sandbox().join("a.out").metadata().unwrap().mode() & 0o777 == 0o644);
    }
}

fn numbers_are_those_of_outside_and_inside_there_is_nobody_else() {
    let pasture = Pasture::new(true);
    pasture.start(
        "a",
        "echo $$; readlink /proc/self/ns/pid; set -- /proc/[0-9]*; echo $#; exec sleep 1000",
    );
    until(|| (pasture.read("a.out").lines().count() == 3).then_some(()));
    let said = pasture.read("a.out");
    let said: Vec<_> = said.lines().collect();
    let main = pasture.pid("a");
    let cmdline = || fs::read_to_string(format!("/proc/{main}/cmdline")).unwrap();
    until(|| (cmdline() == "sleep\x001000\x00").then_some(()));
    assert_ne!(said[0], main.to_string());
    let namespace = fs::read_link(format!("/proc/{main}/ns/pid")).unwrap();
    assert_eq!(namespace, Path::new(said[1]));
    assert_ne!(namespace, fs::read_link("/proc/self/ns/pid").unwrap());
    // The shepherd and the shell.
    assert_eq!(said[2], "2");
    let start_time = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let rest = stat.rsplit_once(") ").unwrap().1.to_owned();
        rest.split(' ').nth(19).unwrap().parse::<u64>().unwrap()
    };
    let records = pasture.records();
    assert_eq!(records[0]["start_time"], start_time(pasture.shepherd()));
    assert_eq!(records[1]["start_time"], start_time(main));
    assert_eq!(records[0]["world"], records[1]["world"]);
    // Nothing that is mounted inside is seen outside.
    assert!(is_alive(i32::try_from(std::process::id()).unwrap()));
}

fn r22_who_is_not_root_runs_nothing_as_somebody_else() {
    let mut pasture = Pasture::empty(false);
    pasture.zygote = Zygote::of_user(NOBODY);
    let abilities = json!({ "namespaces": false, "why": "Operation not permitted (os error 1)" });
    assert_eq!(pasture.zygote.abilities, abilities);
    chown(pasture.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    Pasture::as_user(pasture.folder.path(), &mut pasture.summons, 1, &[1]);
    pasture.summon();
    pasture.start("a", "true");
    let why = "its processes cannot be user 1's: Operation not permitted (os error 1)";
    assert_eq!(pasture.ended("a"), json!({ "unstarted": why }));
    // As itself it can.
    let mut pasture = Pasture::empty(false);
    pasture.zygote = Zygote::of_user(NOBODY);
    chown(pasture.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(pasture.sandbox(), Some(NOBODY), Some(NOBODY)).unwrap();
    pasture.summon();
    assert_eq!(pasture.run("a", "id -u"), "65534\n");
    pasture
        .start("b", "setsid bash -c 'echo > there; sleep 1000' & until [ -e there ]; do :; done");
    assert_eq!(pasture.ended_run("b", 0)["leftover"], true);
    pasture.say(&json!({ "order": "kill" }));
    pasture.gone();
}

fn processes_are_the_users_with_its_groups_and_nobody_elses() {
    for namespaces in [false, true] {
        let pasture = Pasture::summoned(namespaces, |folder, summons| {
            Pasture::as_user(folder, summons, NOBODY, &[NOBODY, 7, 8]);
        });
        let script =
            "id -u; id -g; id -G; grep ^Cap /proc/$$/status | cut -f 2 | sort -u; touch mine";
        let said = pasture.run("a", script);
        let said: Vec<_> = said.lines().collect();
        assert_eq!(said[..3], ["65534", "65534", "65534 7 8"]);
        // It has none; the second is what it could get by running what is allowed to have it.
        assert_eq!(said[3], "0000000000000000");
        assert_eq!(said.len(), 5);
        assert_eq!(pasture.sandbox().join("mine").metadata().unwrap().uid(), NOBODY);
        assert_eq!(pasture.sandbox().join("a.out").metadata().unwrap().uid(), NOBODY);
    }
}

fn the_shepherd_is_the_user_too_and_may_only_end_processes() {
    let pasture = Pasture::summoned(true, |folder, summons| {
        Pasture::as_user(folder, summons, NOBODY, &[NOBODY]);
    });
    pasture.start("a", "sleep 1000");
    pasture.pid("a");
    let shepherd = pasture.shepherd();
    let status = fs::read_to_string(format!("/proc/{shepherd}/status")).unwrap();
    let fact = |name: &str| {
        let found = status.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(":\t"));
        found.unwrap_or_default().trim().to_owned()
    };
    assert_eq!(fact("Uid"), ["65534"; 4].join("\t"));
    assert_eq!(fact("Gid"), ["65534"; 4].join("\t"));
    assert_eq!(fact("Groups"), "65534");
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(u64::from_str_radix(&fact(set), 16).unwrap(), 1 << 5, "CAP_KILL");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&fact(set), 16).unwrap(), 0);
    }
    let record = pasture.folder.path().join("record.jsonl").metadata().unwrap();
    assert_eq!((record.mode() & 0o777, record.uid()), (0o600, 0));
    let open = fs::read_dir(format!("/proc/{shepherd}/fd")).unwrap();
    let open = open.map(|it| fs::read_link(it.unwrap().path()).unwrap().display().to_string());
    let mut open: Vec<_> = open.collect();
    open.sort();
    let kinds = ["/dev/null", "/dev/null", "/dev/null", "/proc/", "anon_inode:[signalfd]"];
    let record = pasture.folder.path().join("record.jsonl").display().to_string();
    let expected = kinds.into_iter().chain([&record[..], "socket:", "socket:"]);
    let mut expected: Vec<_> = expected.collect();
    expected.sort_unstable();
    assert_eq!(open.len(), expected.len(), "{open:#?}");
    for (open, expected) in open.iter().zip(expected) {
        assert!(open.starts_with(expected), "{open} {expected}");
    }
}

fn who_has_become_another_user_is_ended_as_well() {
    for namespaces in [false, true] {
        let pasture = Pasture::summoned(namespaces, |folder, summons| {
            Pasture::as_user(folder, summons, NOBODY, &[NOBODY]);
            // What `sudo` is: root's, and anybody's to become root.
            let tool = folder.join("sleep_as_root");
            fs::copy("/usr/bin/sleep", &tool).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
            fs::set_permissions(&tool, mode).unwrap();
        });
        let script = "setsid ../sleep_as_root 1000 &
            until grep -q sleep_as_root /proc/$!/comm; do :; done";
        pasture.start("a", script);
        let ended = pasture.ended_run("a", 0);
        assert_eq!((&ended["exit"], &ended["leftover"]), (&json!({ "code": 0 }), &json!(true)));
        pasture.say(&json!({ "order": "kill" }));
        pasture.gone();
    }
}

fn nothing_of_the_shepherd_can_be_reached_from_within() {
    let pasture = Pasture::summoned(true, |folder, summons| {
        Pasture::as_user(folder, summons, NOBODY, &[NOBODY]);
    });
    let script = "
        ls -l /proc/1/fd 2> /dev/null | grep -q . && echo fds
        cat /proc/1/environ 2> /dev/null | grep -qz . && echo environment
        ls /proc/1/cwd/ > /dev/null 2>&1 && echo cwd
        cat /proc/1/mem 2> /dev/null | head -c 1 | grep -qz . && echo memory
        cat ../record.jsonl 2> /dev/null && echo record
        (echo > /dev/tcp/nowhere) 2> /dev/null
        perl -e 'use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die;
            connect(S, pack_sockaddr_un(\"../shepherd.sock\")) and print \"socket\\n\"'
        kill -9 1; kill -15 1; kill -STOP 1; kill -17 1
        mount -t tmpfs none /mnt 2> /dev/null && echo mount
        nsenter -t 1 -p true 2> /dev/null && echo namespace
        echo tried";
    assert_eq!(pasture.run("a", script), "tried\n");
    assert_eq!(pasture.run("b", "echo still there"), "still there\n");
}

fn what_cannot_be_had_is_said_of_each_run() {
    let said = |prepare: fn(&Path, &mut serde_json::Value)| {
        let pasture = Pasture::summoned(true, prepare);
        pasture.start("a", "true");
        pasture.start("b", "true");
        let kinds: Vec<_> = [pasture.ended("a"), pasture.ended("b")].to_vec();
        assert_eq!(kinds[0], kinds[1]);
        pasture.say(&json!({ "order": "leave" }));
        pasture.wait_for_end();
        kinds[0]["unstarted"].as_str().unwrap().to_owned()
    };
    let group =
        said(|_, summons| summons["groups"] = json!(["/sys/fs/cgroup/no/such/cgroup.procs"]));
    assert!(
        group.starts_with("its processes cannot be put under limits: /sys/fs/cgroup/no/"),
        "{group}"
    );
    let sandbox = said(|folder, summons| summons["sandbox"] = json!(folder.join("nowhere")));
    assert!(sandbox.starts_with("its sandbox cannot be entered: /"), "{sandbox}");
}

/// A group of this test, with so much memory.
struct Group {
    folder: PathBuf,
    events: PathBuf,
}

impl Group {
    fn new(bytes: u64) -> Self {
        let name = format!("airglow-test-{}-{bytes}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/memory");
        let (root, limit, events) = match old.exists() {
            true => (old, "memory.limit_in_bytes", "memory.oom_control"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max", "memory.events"),
        };
        if !old.exists() {
            fs::write(root.join("cgroup.subtree_control"), "+memory").unwrap();
        }
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(limit), bytes.to_string()).unwrap();
        fs::write(folder.join("memory.swap.max"), "0").ok();
        Self { events: folder.join(events), folder }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        until(|| fs::remove_dir(&self.folder).ok());
    }
}

fn who_dies_for_want_of_memory_is_counted_before_its_end() {
    for namespaces in [false, true] {
        let group = Group::new(if namespaces { 32 << 20 } else { 33 << 20 });
        let pasture = Pasture::summoned(namespaces, |folder, summons| {
            Pasture::as_user(folder, summons, NOBODY, &[NOBODY]);
            summons["groups"] = json!([group.folder.join("cgroup.procs")]);
            summons["memory_events"] = json!(group.events);
        });
        pasture.start("a", "kill -9 $$");
        pasture.start("neighbour", "sleep 1000");
        pasture.ended("a");
        assert!(pasture.records().iter().all(|it| it["record"] != "out_of_memory"));
        let greedy = "exec perl -e '$x .= \"x\" x 1000000 while 1'";
        pasture.start("b", greedy);
        assert_eq!(pasture.ended("b"), json!({ "signal": 9 }));
        pasture.start(
            "c",
            &format!("bash -c \"{}\"", greedy.replace('"', "\\\"").replace('$', "\\$")),
        );
        pasture.ended("c");
        let records = pasture.records();
        let place = |wanted: serde_json::Value| {
            let is_it = |it: &serde_json::Value| {
                wanted.as_object().unwrap().iter().all(|(key, value)| it[key] == *value)
            };
            records.iter().position(is_it).unwrap_or_else(|| panic!("{wanted} {records:#?}"))
        };
        let first = place(json!({ "record": "out_of_memory", "kills": 1 }));
        let second = place(json!({ "record": "out_of_memory", "kills": 2 }));
        let b = place(json!({ "record": "ended", "process": "b" }));
        let c = place(json!({ "record": "ended", "process": "c" }));
        assert!(first < b && b < second && second < c, "{records:#?}");
        assert!(is_alive(pasture.pid("neighbour")));
        drop(pasture);
    }
}
