use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use airglow_kit::{Branch, Fell, Tree};
use airglow_model::{ids::JobKey, restart::Intensity};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::*;
use crate::{cgroups::Cgroups, workers::Workers};

const LIMITS: Limits = Limits { cpu: 0.5, ram: 64 << 20, pids_max: 50, is_revocable: false };

/// A meter, and what it has told.
struct Rig {
    data: TempDir,
    tree: Addr<Tree>,
    meter: Addr<Meter>,
    usages: Usages,
    tells: mpsc::UnboundedSender<(TaskId, String)>,
    told: mpsc::UnboundedReceiver<(TaskId, String)>,
}

impl Rig {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let usages = Usages::default();
        let (begun, meter) = oneshot::channel();
        let begun = Arc::new(Mutex::new(Some(begun)));
        let (path, shared) = (data.path().to_owned(), usages.clone());
        let branch = Branch::new("meter", move |fate| {
            let (workers, begun) = (Workers::start().unwrap(), begun.clone());
            let meter = Meter::start(fate.lifeline(), workers, &path, shared.clone());
            async move { begun.lock().unwrap().take().unwrap().send(meter).unwrap() }
        });
        let never = Intensity { restarts: 0, period: Duration::from_secs(60) };
        let tree = Tree::new(never, vec![branch], |why| panic!("gave up: {why}")).start();
        let meter = meter.await.unwrap();
        let (tells, told) = mpsc::unbounded_channel();
        Self { data, tree, meter, usages, tells, told }
    }

    /// With as much as this in its sandbox.
    fn watch(&self, name: &str, content: usize, disk: u64, group: Option<Group>) -> TaskId {
        let task_id = TaskId(name.into());
        let sandbox = self.data.path().join(name);
        fs::create_dir(&sandbox).unwrap();
        fs::write(sandbox.join("file"), vec![1; content]).unwrap();
        let (tells, id) = (self.tells.clone(), task_id.clone());
        self.meter.do_send(Watch {
            task_id: task_id.clone(),
            task: JobKey::new("www", "prod", name).task(0),
            sandbox,
            limits: LIMITS,
            disk,
            group,
            told: Arc::new(move |why| tells.send((id.clone(), why)).unwrap()),
        });
        task_id
    }

    async fn heard(&mut self) -> (TaskId, String) {
        let heard = tokio::time::timeout(Duration::from_secs(60), self.told.recv()).await;
        heard.expect("a task is told something").unwrap()
    }

    async fn measured(
        &self,
        id: &TaskId,
        is_enough: impl Fn(&TaskUsage) -> bool,
    ) -> (TaskUsage, BTreeMap<String, ProcessUsage>) {
        let give_up_at = Instant::now() + Duration::from_secs(60);
        loop {
            match self.usages.of(id) {
                Some(measured) if is_enough(&measured.0) => return measured,
                measured => assert!(Instant::now() < give_up_at, "{measured:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tree.do_send(Fell);
    }
}

/// It leads a group of processes, which are gone when this is.
struct Family(Child);

impl Family {
    fn new(script: &str) -> Self {
        let mut shell = Command::new("/bin/bash");
        shell.arg("-c").arg(script).process_group(0);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().unwrap())
    }

    fn identity(&self) -> Identity {
        Identity::of(self.0.id().cast_signed()).unwrap()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
        self.0.wait().unwrap();
    }
}

#[actix_rt::test]
async fn a_task_is_what_descends_from_its_shepherd_and_processes_are_part_of_it() {
    let rig = Rig::new().await;
    let idle = Family::new("sleep 1000 & sleep 1000 & wait");
    let busy = Family::new("while :; do :; done");
    let task = rig.watch("t", 100_000, 1 << 30, None);
    let mains = BTreeMap::from([("busy".to_owned(), busy.identity())]);
    let roots = Roots { shepherd: Some(idle.identity()), mains };
    rig.meter.do_send(Trees { task_id: task.clone(), roots });
    let is_whole = |it: &TaskUsage| 0.0 < it.cpu && 100_000 <= it.disk;
    let (usage, processes) = rig.measured(&task, is_whole).await;
    assert!(3 <= usage.pids && 0 < usage.ram && usage.cpu < 1.5, "{usage:?}");
    let of_busy = &processes["busy"];
    assert!(0.0 < of_busy.cpu_seconds && of_busy.processes == 1, "{of_busy:?}");
    assert!(of_busy.cpu_seconds <= usage.cpu_seconds);
    let text = Metrics::new(rig.usages.clone(), rig.data.path()).text();
    assert!(text.contains(r#"task_id="t",process="busy"} "#), "{text}");

    rig.meter.send(Unwatch(task.clone())).await.unwrap();
    assert_eq!(rig.usages.of(&task), None);
}

#[actix_rt::test]
async fn who_fills_more_of_the_disk_than_it_asked_for_is_told_and_others_are_not() {
    let mut rig = Rig::new().await;
    rig.watch("modest", 100_000, 1 << 20, None);
    let greedy = rig.watch("greedy", 100_000, 50_000, None);
    rig.watch("unlimited", 100_000, 0, None);
    let (id, why) = rig.heard().await;
    assert_eq!(id, greedy);
    let why = why.strip_prefix("Disk limit exceeded.  Reserved 50000 bytes vs used ").unwrap();
    let used: u64 = why.strip_suffix(" bytes.").unwrap().parse().unwrap();
    assert!((100_000..150_000).contains(&used), "{used}");
    for task in ["modest", "unlimited"] {
        rig.measured(&TaskId(task.into()), |it| 100_000 <= it.disk).await;
    }
    assert!(rig.told.is_empty());
}

#[actix_rt::test]
async fn who_wanted_more_memory_than_it_asked_for_is_told_once() {
    let mut rig = Rig::new().await;
    let id = TaskId("hog".into());
    let cgroups = Cgroups::find(rig.data.path());
    let cgroups = cgroups.unwrap_or_else(|why| panic!("{why}; run tests/run as root"));
    let group = cgroups.make(&id, &LIMITS).unwrap();
    let files = group.procs_files().iter().map(|it| it.display().to_string()).collect::<Vec<_>>();
    let join = format!("for file in {}; do echo $$ > $file; done", files.join(" "));
    let hog = r"(all=$(head -c 300M /dev/zero | tr '\0' x)); sleep 1000; true";
    let _family = Family::new(&format!("{join}; {hog}"));
    rig.watch("hog", 0, 0, Some(group.clone()));
    let told = "Memory limit exceeded: 64 MiB reserved, and its processes wanted more.";
    assert_eq!(rig.heard().await, (id.clone(), told.to_owned()));
    let (usage, _) = rig.measured(&id, |it| 2 <= it.pids).await;
    assert!(0.0 < usage.cpu_seconds && usage.ram < LIMITS.ram, "{usage:?}");
    assert!(rig.told.is_empty());
    group.kill();
    group.remove().unwrap();
    drop(cgroups);
}
