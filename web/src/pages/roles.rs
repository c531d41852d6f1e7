//! Where people arrive: who runs what, and how the cluster is.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use airglow_model::{
    config::Kind,
    machine::Timestamp,
    resources::Resources,
    task::Status,
    view::{JobView, View},
};
use askama::Template;

use super::{
    Section, Shell, Sorry, format,
    progress::Moving,
    render,
    share::{Share, shares},
};
use crate::{
    Site,
    api::{self, Amount, CronSummary, JobSummary, Problem},
    quotas, show,
};

/// States as one line of a table shows them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) waiting: u32,
    pub(crate) running: u32,
    pub(crate) finished: u32,
    pub(crate) failed: u32,
}

impl Tally {
    pub(crate) fn of(counts: &BTreeMap<Status, u32>) -> Self {
        let mut tally = Self::default();
        for (status, count) in counts {
            let part = match status {
                Status::Throttled | Status::Pending | Status::Assigned | Status::Starting => {
                    &mut tally.waiting
                }
                Status::Running
                | Status::Killing
                | Status::Restarting
                | Status::Preempting
                | Status::Draining => &mut tally.running,
                Status::Finished | Status::Killed => &mut tally.finished,
                Status::Partitioned | Status::Failed | Status::Lost => &mut tally.failed,
            };
            *part += count;
        }
        tally
    }

    fn add(&mut self, other: Self) {
        self.waiting += other.waiting;
        self.running += other.running;
        self.finished += other.finished;
        self.failed += other.failed;
    }

    /// The parts of a bar of 100, in order, with where each begins.
    fn bar(&self) -> Vec<(&'static str, f64, f64)> {
        let parts = [
            ("running", self.running),
            ("waiting", self.waiting),
            ("failed", self.failed),
            ("finished", self.finished),
        ];
        let all = f64::from(parts.iter().map(|(_, count)| count).sum::<u32>()).max(1.0);
        let mut begin = 0.0;
        let mut bar = Vec::new();
        for (class, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
            let width = f64::from(count) * 100.0 / all;
            bar.push((class, begin, width));
            begin += width;
        }
        bar
    }
}

struct Role {
    name: String,
    jobs: usize,
    tally: Tally,
}

#[derive(Template)]
#[template(path = "roles.html")]
struct RolesPage {
    shell: Shell,
    roles: Vec<Role>,
    jobs: usize,
    hosts: usize,
    hosts_up: usize,
    tally: Tally,
    shares: Vec<Share>,
}

impl RolesPage {
    /// What to type for a first job.
    fn create(&self) -> String {
        format!("airglow job create {}/www-data/devel/hello hello.aurora", self.shell.cluster)
    }
}

pub(crate) async fn roles(site: Data<Site>) -> Result<HttpResponse, Sorry> {
    let shell = Shell::new(&site, "Jobs", Section::Jobs).live("");
    let page = site.scheduler.view().read(|view| overview(view, shell));
    render(&page)
}

fn overview(view: &View, shell: Shell) -> RolesPage {
    let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
    let mut all = Tally::default();
    for (key, job) in &view.jobs {
        let role = roles.entry(&key.role).or_insert_with(|| Role {
            name: key.role.clone(),
            jobs: 0,
            tally: Tally::default(),
        });
        let tally = Tally::of(&job.counts);
        role.jobs += 1;
        role.tally.add(tally);
        all.add(tally);
    }
    let up: Vec<_> = view.hosts.values().filter(|it| it.host.contact.name() == "up").collect();
    let (mut used, mut all_there_is) = (Resources::default(), Resources::default());
    for host in &up {
        used = used.plus(host.used);
        all_there_is = all_there_is.plus(host.host.capacity.resources);
    }
    RolesPage {
        shell,
        jobs: view.jobs.len(),
        hosts: view.hosts.len(),
        hosts_up: up.len(),
        tally: all,
        shares: shares(&used.into(), &all_there_is.into()),
        roles: roles.into_values().collect(),
    }
}

#[derive(Template)]
#[template(path = "role.html")]
struct RolePage {
    shell: Shell,
    role: String,
    environment: Option<String>,
    jobs: Vec<JobRow>,
    /// Of the role as a whole; an environment has none of its own.
    quota: Option<Quota>,
}

struct JobRow {
    job: JobSummary,
    tally: Tally,
    /// The update that goes on.
    update: Option<Moving>,
    /// If it runs by the clock.
    cron: Option<CronSummary>,
}

/// What a role may have and has.
struct Quota {
    /// Of the quota, if there is one.
    shares: Vec<Share>,
    is_limited: bool,
    /// What is held by work of each kind that there is.
    held: Vec<(&'static str, Amount)>,
}

impl Quota {
    fn of(quota: &api::Quota) -> Self {
        let all = [
            ("Production", quota.prod_shared),
            ("Gives way to production", quota.nonprod_shared),
            ("Production on dedicated hosts", quota.prod_dedicated),
            ("Gives way, on dedicated hosts", quota.nonprod_dedicated),
        ];
        let of_quota = |limit: Amount| shares(&quota.prod_shared.into(), &limit.into());
        Self {
            shares: quota.quota.map(of_quota).unwrap_or_default(),
            is_limited: quota.quota.is_some(),
            held: all.into_iter().filter(|(_, amount)| *amount != Amount::default()).collect(),
        }
    }
}

impl JobRow {
    fn of(view: &View, job: &JobView, now: Timestamp) -> Self {
        let update = job.updating().and_then(|key| view.updates.get(&key));
        Self {
            job: show::job_summary(job),
            tally: Tally::of(&job.counts),
            update: update.map(Moving::new),
            cron: show::cron_summary(job, now),
        }
    }
}

impl RolePage {
    fn kind(&self, kind: &Kind) -> &'static str {
        kind_name(*kind)
    }
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "service",
        Kind::Adhoc => "adhoc",
        Kind::Cron => "cron",
    }
}

pub(crate) async fn role(site: Data<Site>, role: Path<String>) -> Result<HttpResponse, Sorry> {
    jobs(&site, role.into_inner(), None)
}

pub(crate) async fn environment(
    site: Data<Site>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Sorry> {
    let (role, environment) = path.into_inner();
    jobs(&site, role, Some(environment))
}

fn jobs(site: &Site, role: String, environment: Option<String>) -> Result<HttpResponse, Sorry> {
    let shell = Shell::new(site, role.clone(), Section::Jobs);
    let jobs: Vec<_> = site.scheduler.view().read(|view| {
        let wanted = view.jobs.iter().filter(|(key, _)| {
            key.role == role && environment.as_ref().is_none_or(|it| *it == key.environment)
        });
        wanted.map(|(_, job)| JobRow::of(view, job, shell.now)).collect()
    });
    let quota = environment.is_none().then(|| quotas::of(site, &role));
    if jobs.is_empty() && quota.as_ref().is_none_or(|it| it.quota.is_none()) {
        return Err(Problem::not_found(format!("{role} has no jobs")).into());
    }
    let shell = shell.live(format!("role={}", format::segment(&role)));
    let quota = quota.as_ref().map(Quota::of);
    render(&RolePage { shell, role, environment, jobs, quota })
}
