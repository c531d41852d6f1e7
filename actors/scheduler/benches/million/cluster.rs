//! A scheduler here, and its hosts in another process.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use airglow_model::{
    config::Job,
    host::Contact,
    ids::JobKey,
    joining::Purpose,
    policy::Policy,
    task::Status,
    update::{self, Asked},
    view::{JobView, UpdateView},
};
use airglow_scheduler::{Config, Scheduler, StartUpdate};
use tempfile::TempDir;

use crate::{GLANCE, hosts, limits};

pub(crate) struct Cluster {
    scheduler: Scheduler,
    config: Config,
    hosts: Hosts,
    _data: TempDir,
}

struct Hosts {
    process: Child,
    /// How many launches they have heard, as they say.
    launches: Arc<AtomicU64>,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[allow(dead_code, reason = "each benchmark does something else with it")]
impl Cluster {
    /// Comes back when all hosts are connected.
    pub(crate) fn start(count: usize, report: bool) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config {
            data: data.path().to_owned(),
            cluster: "bench".into(),
            mesh: "127.0.0.1:0".parse().unwrap(),
            limits: limits(),
            policy: Policy::default(),
        };
        let scheduler = Scheduler::start(config.clone()).unwrap();
        // So that hosts find the next one too.
        config.mesh = scheduler.mesh_addr();
        let hosts = Hosts::start(&scheduler, count, report);
        let cluster = Self { scheduler, config, hosts, _data: data };
        cluster.wait(|| cluster.connected() == count);
        cluster
    }

    pub(crate) fn stop(&self) {
        self.scheduler.stop();
    }

    pub(crate) fn start_again(self) -> Self {
        Self { scheduler: Scheduler::start(self.config.clone()).unwrap(), ..self }
    }

    fn connected(&self) -> usize {
        let is_up = |contact| matches!(contact, Contact::Up { .. });
        self.scheduler
            .view()
            .read(|it| it.hosts.values().filter(|it| is_up(it.host.contact)).count())
    }

    pub(crate) fn hosts_pid(&self) -> u32 {
        self.hosts.process.id()
    }

    /// All at once, without waiting for their instances.
    pub(crate) fn create(&self, jobs: Vec<Job>) -> JoinHandle<()> {
        let scheduler = self.scheduler.clone();
        thread::spawn(move || {
            let requests = jobs.into_iter().map(|it| scheduler.create(it, "bench"));
            for answer in block_on(futures(requests)) {
                answer.unwrap();
            }
        })
    }

    pub(crate) fn create_one(&self, job: Job) {
        block_on(self.scheduler.create(job, "bench")).unwrap();
    }

    /// All of them to these configurations, all at once.
    pub(crate) fn update(&self, jobs: Vec<Job>) {
        let start = |job| StartUpdate {
            job,
            only: None,
            asked: Asked { by: "bench".into(), message: String::new() },
            metadata: BTreeMap::new(),
        };
        let requests = jobs.into_iter().map(|it| self.scheduler.start_update(start(it)));
        for answer in block_on(futures(requests)) {
            answer.unwrap().unwrap();
        }
    }

    /// How many updates have ended well.
    pub(crate) fn rolled_forward(&self) -> usize {
        let is_done = |it: &&UpdateView| it.update.status == update::Status::RolledForward;
        self.scheduler.view().read(|view| view.updates.values().filter(is_done).count())
    }

    pub(crate) fn placed(&self, job: &JobKey) -> u32 {
        self.scheduler.view().read(|it| it.jobs[job].placed.values().sum())
    }

    pub(crate) fn wait_for_launches(&self, count: u64) {
        self.wait(|| self.hosts.launches.load(Relaxed) >= count);
    }

    pub(crate) fn wait_for_running(&self, count: u64) {
        let running = |it: &JobView| it.counts.get(&Status::Running).copied().map_or(0, u64::from);
        let all = || self.scheduler.view().read(|it| it.jobs.values().map(running).sum::<u64>());
        self.wait(|| all() >= count);
    }

    pub(crate) fn wait(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            thread::sleep(GLANCE);
        }
    }
}

impl Hosts {
    fn start(scheduler: &Scheduler, count: usize, report: bool) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(hosts::WORD)
            .arg(scheduler.mesh_addr().to_string())
            .arg(scheduler.token(Purpose::Agent).expect("it has started").to_string())
            .arg(count.to_string())
            .arg(report.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let launches = Arc::new(AtomicU64::new(0));
        let (heard, stdout) = (launches.clone(), process.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.store(line.parse().unwrap(), Relaxed);
            }
        });
        Self { process, launches }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// All of them, each asked before any is waited for.
async fn futures<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut answers = Vec::new();
    for future in &mut running {
        answers.push(future.await);
    }
    answers
}
