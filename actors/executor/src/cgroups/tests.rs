use std::{
    collections::BTreeSet,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use procfs::{FromBufRead, process::MountInfos};
use tempfile::TempDir;

use super::{
    group::{numbers, write},
    layout::{CONTROLLERS, Controller, Version},
    *,
};

const MIB: u64 = 1024 * 1024;

const LIMITS: Limits = Limits { cpu: 0.5, ram: 64 * MIB, pids_max: 20, is_revocable: false };

/// Where what is done, `1 /sys/fs/cgroup/memory memory` each.
fn found(mounts: &str, offered: &[Controller]) -> Vec<String> {
    let lines = mounts.lines().map(str::trim).filter(|it| !it.is_empty());
    let text: String = lines.map(|it| format!("{it}\n")).collect();
    let mounts = MountInfos::from_buf_read(text.as_bytes()).unwrap();
    let found = layout::hierarchies(&layout::mounted(&mounts), |_| offered.to_vec());
    let shown = |it: &Hierarchy| {
        let version = if it.version == Version::One { 1 } else { 2 };
        let names: Vec<_> = it.controllers.iter().map(|it| it.name()).collect();
        format!("{version} {} {}", it.root.display(), names.join(","))
    };
    found.iter().map(shown).collect()
}

const TWO_ALONE: &str =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

#[test]
fn controllers_are_used_wherever_they_are_mounted() {
    let each_alone = "
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    let four = [
        "1 /sys/fs/cgroup/cpu cpu",
        "1 /sys/fs/cgroup/cpuacct cpuacct",
        "1 /sys/fs/cgroup/memory memory",
        "1 /sys/fs/cgroup/pids pids",
    ];
    assert_eq!(found(each_alone, &[]), four);
    let together = "
        29 20 0:25 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        30 20 0:26 / /cg/memory rw - cgroup cgroup rw,memory";
    let two = ["1 /cg/cpu,cpuacct cpu,cpuacct", "1 /cg/memory memory"];
    assert_eq!(found(together, &[]), two);
    let twice = "
        29 20 0:25 /docker/1 /host/memory ro - cgroup cgroup rw,memory
        30 20 0:25 / /cg/memory rw - cgroup cgroup rw,memory";
    assert_eq!(found(twice, &[]), ["1 /cg/memory memory"]);
    assert_eq!(found("20 1 0:5 / /proc rw - proc proc rw", &[]), [""; 0]);
}

#[test]
fn version_two_does_what_version_one_does_not() {
    use Controller::{Cpu, Memory, Pids};
    let all = [Memory, Pids, Cpu];
    assert_eq!(found(TWO_ALONE, &all), ["2 /sys/fs/cgroup memory,pids,cpu,cpuacct"]);
    assert_eq!(found(TWO_ALONE, &[Memory]), ["2 /sys/fs/cgroup memory,cpuacct"]);
    // It still counts, and ends what is in it.
    assert_eq!(found(TWO_ALONE, &[]), ["2 /sys/fs/cgroup cpuacct"]);
    let both = "
        30 23 0:26 / /cg/unified rw - cgroup2 cgroup2 rw
        31 23 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct";
    let split = ["1 /cg/cpu cpu,cpuacct", "2 /cg/unified memory,pids"];
    assert_eq!(found(both, &all), split);
}

fn written(version: Version, limits: &Limits) -> Vec<String> {
    let settings = match version {
        Version::One => v1::settings(&CONTROLLERS, limits),
        Version::Two => v2::settings(&CONTROLLERS, limits),
    };
    settings.iter().map(|it| format!("{} {}", it.file, it.value)).collect()
}

#[test]
fn limits_are_what_was_asked_for_and_enough_for_a_shell() {
    let one = [
        "memory.limit_in_bytes 67108864",
        "memory.memsw.limit_in_bytes 67108864",
        "pids.max 21",
        "cpu.cfs_quota_us 50000",
        "cpu.shares 512",
    ];
    assert_eq!(written(Version::One, &LIMITS), one);
    let two = [
        "memory.max 67108864",
        "memory.swap.max 0",
        "pids.max 21",
        "cpu.max 50000 100000",
        "cpu.weight 50",
    ];
    assert_eq!(written(Version::Two, &LIMITS), two);
    let tiny = Limits { cpu: 0.001, ram: 1, pids_max: 0, ..LIMITS };
    let two = [
        "memory.max 33554432",
        "memory.swap.max 0",
        "pids.max 1",
        "cpu.max 10000 100000",
        "cpu.weight 1",
    ];
    assert_eq!(written(Version::Two, &tiny), two);
    let unsaid = Limits { cpu: 0.0, ram: 0, pids_max: 4096, ..LIMITS };
    assert_eq!(written(Version::One, &unsaid), ["pids.max 4097"]);
    assert_eq!(written(Version::Two, &unsaid), ["pids.max 4097"]);
    let vast = Limits { cpu: 1e6, ram: u64::MAX, pids_max: u64::MAX, ..LIMITS };
    let one = written(Version::One, &vast);
    assert_eq!(one[3..], ["cpu.cfs_quota_us 100000000000", "cpu.shares 262144"]);
}

#[test]
fn who_lives_on_what_others_leave_is_limited_as_they_are_and_counts_for_least() {
    for (cpu, one, two) in [
        (4.0, "cpu.cfs_quota_us 400000, cpu.shares 2", "cpu.max 400000 100000, cpu.weight 1"),
        (0.0, "cpu.shares 2", "cpu.weight 1"),
    ] {
        let limits = Limits { cpu, is_revocable: true, ..LIMITS };
        let of_cpu = |version| {
            let mut all = written(version, &limits);
            all.retain(|it| it.starts_with("cpu."));
            all.join(", ")
        };
        assert_eq!((&*of_cpu(Version::One), &*of_cpu(Version::Two)), (one, two));
    }
}

/// And in this machine's own groups.
#[test]
fn a_busy_neighbour_leaves_little_to_who_lives_on_that() {
    let mut real = Real::new();
    let spare = real.group("spare", &Limits { cpu: 0.0, is_revocable: true, ..LIMITS });
    let usual = real.group("usual", &LIMITS);
    let weight = |group: &Group| {
        let files = group.parts().iter().flat_map(|it| {
            ["cpu.shares", "cpu.weight"].map(|file| fs::read_to_string(it.folder.join(file)))
        });
        files.filter_map(Result::ok).map(|it| it.trim().to_owned()).collect::<Vec<_>>()
    };
    assert!(["2", "1"].contains(&&*weight(&spare)[0]), "{:?}", weight(&spare));
    assert!(["512", "50"].contains(&&*weight(&usual)[0]), "{:?}", weight(&usual));
}

/// A root of version 2 as the kernel would show it.
fn fake(passed_on: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let ours = root.path().join(OURS).join("name");
    fs::create_dir_all(ours.join("t")).unwrap();
    fs::write(root.path().join("cgroup.subtree_control"), "cpu").unwrap();
    fs::write(root.path().join(OURS).join("cgroup.subtree_control"), "cpu memory pids").unwrap();
    // Whatever is asked of it lands in front of what it shows, and changes nothing.
    let passed_on = format!("                {passed_on}");
    fs::write(ours.join("cgroup.subtree_control"), passed_on).unwrap();
    for file in ["memory.max", "pids.max", "cpu.max", "cpu.weight"] {
        fs::write(ours.join("t").join(file), "").unwrap();
    }
    root
}

fn two(root: &Path) -> Hierarchy {
    let (root, controllers) = (root.to_owned(), CONTROLLERS.to_vec());
    Hierarchy { version: Version::Two, root, controllers }
}

#[test]
fn what_version_two_does_not_let_down_is_not_limited_and_that_is_said() {
    let task = TaskId("t".into());
    let read = |root: &TempDir, file: &str| fs::read_to_string(root.path().join(file)).unwrap();

    let root = fake("cpu memory pids");
    let all = Cgroups::prepare(vec![two(root.path())], "name").unwrap();
    assert_eq!(all.unenforced(), [""; 0]);
    all.make(&task, &LIMITS).unwrap();
    let of_task = |file| read(&root, &format!("airglow/name/t/{file}"));
    assert_eq!(of_task("memory.max"), "67108864");
    assert_eq!(of_task("pids.max"), "21");
    assert_eq!(of_task("cpu.max"), "50000 100000");
    // One by one, and not those which it lets down already.
    assert_eq!(read(&root, "cgroup.subtree_control"), "+pidsry");

    let root = fake("memory");
    fs::remove_file(root.path().join("cgroup.subtree_control")).unwrap();
    let some = Cgroups::prepare(vec![two(root.path())], "name").unwrap();
    some.make(&task, &LIMITS).unwrap();
    assert_eq!(read(&root, "airglow/name/t/memory.max"), "67108864");
    assert_eq!(read(&root, "airglow/name/t/pids.max"), "");
    let unenforced = some.unenforced();
    let unlimited: Vec<_> = unenforced.iter().filter_map(|it| it.split_once(": ")).collect();
    let whats: Vec<_> = unlimited.iter().map(|it| it.0).collect();
    assert_eq!(whats, ["the number of processes is not limited", "processor time is not limited"]);
    assert!(unlimited[0].1.contains("No such file"), "{unenforced:?}");
}

#[test]
fn without_rights_it_is_said_why_there_is_nothing() {
    let hierarchy = two(Path::new("/proc/nothing"));
    let why = Cgroups::prepare(vec![hierarchy], "name").unwrap_err();
    assert!(why.contains("cannot make /proc/nothing/airglow: "), "{why}");
    assert_eq!(Cgroups::prepare(vec![], "name").unwrap_err(), "no control groups are mounted");
}

#[test]
fn no_name_leads_elsewhere() {
    let root = fake("");
    let cgroups = Cgroups::prepare(vec![two(root.path())], "name").unwrap();
    for name in
        ["", ".", "..", "../t", "a/b", "cgroup.procs", "memory.max", "t\n", &"x".repeat(256)]
    {
        let task = TaskId(name.into());
        assert!(cgroups.make(&task, &LIMITS).is_err(), "{name}");
        assert!(cgroups.of(&task).procs_files().is_empty(), "{name}");
    }
}

/// Groups of this machine, which are gone when this is.
struct Real {
    cgroups: Cgroups,
    tasks: Vec<TaskId>,
    _data: TempDir,
}

impl Real {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let cgroups = Cgroups::find(data.path());
        let cgroups = cgroups.unwrap_or_else(|why| panic!("{why}; run tests/run as root"));
        Self { cgroups, tasks: vec![], _data: data }
    }

    fn group(&mut self, name: &str, limits: &Limits) -> Group {
        let task = TaskId(name.into());
        let group = self.cgroups.make(&task, limits).unwrap();
        self.tasks.push(task);
        group
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for task in &self.tasks {
            let group = self.cgroups.of(task);
            group.kill();
            group.remove().unwrap();
        }
    }
}

/// As a shepherd does it: first in, then whatever it is.
fn inside(group: &Group, script: &str) -> Child {
    let files: Vec<_> = group.procs_files().iter().map(|it| it.display().to_string()).collect();
    let join = format!("for file in {}; do echo $$ > $file || exit 99; done", files.join(" "));
    let mut shell = Command::new("/bin/bash");
    let shell = shell.arg("-c").arg(format!("{join}; {script}"));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up_at = airglow_kit::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(airglow_kit::now() < give_up_at, "{what}");
        pause();
    }
}

fn members(group: &Group) -> BTreeSet<String> {
    let read = |file: PathBuf| fs::read_to_string(file).unwrap_or_default();
    let texts: Vec<_> = group.procs_files().into_iter().map(read).collect();
    texts.iter().flat_map(|it| it.lines().map(str::to_owned)).collect()
}

/// The file's folder, in whichever hierarchy it is.
fn file(group: &Group, name: &str) -> PathBuf {
    let files = group.parts().iter().map(|it| it.folder.join(name));
    files.into_iter().find(|it| it.exists()).unwrap()
}

#[test]
fn who_wants_more_memory_than_there_is_ends_and_its_neighbour_does_not() {
    let mut real = Real::new();
    let (hog, neighbour) = (real.group("hog", &LIMITS), real.group("neighbour", &LIMITS));
    let mut neighbours = inside(&neighbour, "sleep 1000");
    eventually("it is in", || !members(&neighbour).is_empty());
    let ended = inside(&hog, "all=$(head -c 300M /dev/zero | tr '\\0' x)").wait().unwrap();
    assert_eq!(ended.signal(), Some(9), "{ended:?}");
    let usage = hog.usage();
    assert_eq!(usage.oom_kills, 1);
    let events = hog.memory_events().unwrap();
    assert_eq!(numbers(&events, ["oom_kill"]), Some([1]));
    assert!(usage.ram_peak.is_none_or(|it| it <= LIMITS.ram && 60 * MIB < it), "{usage:?}");
    assert_eq!(neighbour.usage().oom_kills, 0);
    assert_eq!(neighbours.try_wait().unwrap(), None);
    neighbour.kill();
    neighbours.wait().unwrap();
}

#[test]
fn a_fork_bomb_is_stopped_and_ends() {
    let mut real = Real::new();
    let group = real.group("bomb", &LIMITS);
    let mut bomb = inside(&group, "b() { b | b & }; b; sleep 1000");
    let refused = || numbers(&file(&group, "pids.events"), ["max"]).unwrap()[0];
    eventually("it is refused", || 0 < refused());
    assert!(group.usage().pids.unwrap() <= LIMITS.pids_max + 1);
    group.kill();
    assert_eq!(members(&group), BTreeSet::new());
    bomb.wait().unwrap();
    // And can be used again.
    real.cgroups.make(&real.tasks[0], &LIMITS).unwrap();
    let ended = inside(&group, "/bin/true; exit 7").wait().unwrap();
    assert_eq!(ended.code(), Some(7));
}

#[test]
fn who_computes_more_than_its_share_waits() {
    let mut real = Real::new();
    let group = real.group("busy", &Limits { cpu: 0.05, ..LIMITS });
    let mut busy = inside(&group, "while :; do :; done");
    let stat = file(&group, "cpu.stat");
    let throttled = || numbers(&stat, ["nr_throttled"]).unwrap()[0];
    eventually("it is throttled", || 0 < throttled());
    let used = || group.usage().cpu_seconds.unwrap();
    let before = used();
    eventually("its time is counted", || before < used());
    group.kill();
    busy.wait().unwrap();
}

#[test]
fn whoever_was_started_in_a_group_is_gone_when_it_is() {
    let mut real = Real::new();
    let group = real.group("family", &Limits { ram: 256 * MIB, pids_max: 4096, ..LIMITS });
    let stubborn =
        "trap '' TERM HUP INT; (trap '' TERM; setsid sleep 1000) & disown; sleep 1000; true";
    let mut family = inside(&group, stubborn);
    eventually("all are there", || members(&group).len() >= 3);
    assert!(group.remove().is_err());
    group.kill();
    assert_eq!(members(&group), BTreeSet::new());
    assert_eq!(family.wait().unwrap().signal(), Some(9));
    group.remove().unwrap();
    // Again, where nothing is.
    group.kill();
    group.remove().unwrap();
    assert_eq!(group.usage().pids, None);
}

#[test]
fn groups_of_tasks_that_are_forgotten_go_and_others_stay() {
    let mut real = Real::new();
    let (known, forgotten) = (real.group("known", &LIMITS), real.group("forgotten", &LIMITS));
    let mut children = [inside(&known, "sleep 1000"), inside(&forgotten, "sleep 1000")];
    let is_in = |it: &Group| !members(it).is_empty();
    eventually("they are in", || is_in(&known) && is_in(&forgotten));
    // A task that is root's may do this.
    fs::create_dir(forgotten.parts()[0].folder.join("below")).unwrap();
    real.cgroups.sweep(&BTreeSet::from([TaskId("known".into()), TaskId("finished".into())]));
    assert_eq!(children[1].wait().unwrap().signal(), Some(9));
    assert!(forgotten.parts().iter().all(|it| !it.folder.exists()));
    assert_eq!(children[0].try_wait().unwrap(), None);
    known.kill();
    children[0].wait().unwrap();
}

#[test]
fn groups_that_somebody_was_still_in_go_later_and_nobody_is_ended_for_it() {
    let mut real = Real::new();
    let groups = ["alive", "over", "busy"].map(|it| real.group(it, &LIMITS));
    let mut child = inside(&groups[2], "sleep 1000");
    eventually("it is in", || !members(&groups[2]).is_empty());
    let is_alive = |it: &TaskId| *it.0 == *"alive";
    let are_there =
        || groups.each_ref().map(|it| it.parts().iter().any(|part| part.folder.exists()));
    real.cgroups.tidy(is_alive);
    assert_eq!(are_there(), [true, false, true]);
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("it goes as well", || {
        real.cgroups.tidy(is_alive);
        are_there() == [true, false, false]
    });
}

/// What version 2 does without any controller, which is more than one finds on most machines that
/// have both.
#[test]
fn version_two_counts_and_ends_what_is_in_it() {
    let mounts = procfs::process::Process::myself().unwrap().mountinfo().unwrap();
    let mount = mounts.iter().find(|it| it.fs_type == "cgroup2");
    let mount = mount.expect("version 2 is mounted somewhere; run tests/run where it is");
    let name = format!("test-{}", std::process::id());
    let hierarchy = Hierarchy {
        version: Version::Two,
        root: mount.mount_point.clone(),
        controllers: vec![Controller::Cpuacct],
    };
    let cgroups = Cgroups::prepare(vec![hierarchy], &name);
    let cgroups = cgroups.unwrap_or_else(|why| panic!("{why}; run tests/run as root"));
    let data = tempfile::tempdir().unwrap();
    let mut real = Real { cgroups, tasks: vec![], _data: data };
    let group = real.group("busy", &LIMITS);
    let mut busy = inside(&group, "setsid sleep 1000 & while :; do :; done");
    eventually("its time is counted", || 0.0 < group.usage().cpu_seconds.unwrap());
    eventually("both are there", || members(&group).len() == 2);
    assert!(write(&group.parts()[0].folder.join("cgroup.nothing"), "1").is_err());
    group.kill();
    assert_eq!(members(&group), BTreeSet::new());
    busy.wait().unwrap();
}

#[test]
fn what_was_swept_under_an_idle_agent_is_made_again() {
    let (mut idle, other) = (Real::new(), Real::new());
    other.cgroups.sweep(&BTreeSet::new());
    assert!(idle.cgroups.0.hierarchies.iter().all(|it| !it.root.exists()));
    let group = idle.group("t", &LIMITS);
    other.cgroups.sweep(&BTreeSet::new());
    let ended = inside(&group, "exit 7").wait().unwrap();
    assert_eq!(ended.code(), Some(7));
}

#[test]
fn nothing_stays_of_an_agent_that_had_nothing_to_do() {
    let data = tempfile::tempdir().unwrap();
    let Ok(cgroups) = Cgroups::find(data.path()) else { return };
    let roots: Vec<_> = cgroups.0.hierarchies.iter().map(|it| it.root.clone()).collect();
    // Others' tests, which sweep, may do the same to it at any time.
    drop(cgroups);
    assert!(roots.iter().all(|it| !it.exists()));
}
