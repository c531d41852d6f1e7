//! What holds whatever happens, in whatever order.

use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*};

use super::scene::*;
use crate::{
    config::TaskConfig,
    host::{Contact, Host, Mode},
    ids::{HostId, JobKey},
    machine::Timestamp,
    matching::{Matchmaker, Order, Scheduling},
    resources::{Constraint, Demand, Resources},
    view::HostView,
};

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Happening {
    Host {
        which: usize,
        cores: u64,
        rack: usize,
        ports: u16,
        is_up: bool,
        mode: usize,
    },
    Gone {
        which: usize,
    },
    Seek {
        job: usize,
        instance: u32,
    },
    Withdraw {
        job: usize,
        instance: u32,
    },
    End {
        job: usize,
        instance: u32,
    },
    Round,
    /// Placements that nobody accepts.
    RefusedRound,
}

fn happening() -> impl Strategy<Value = Happening> {
    let host = (0..8_usize, 0..6_u64, 0..3_usize, 0..5_u16, prop::bool::weighted(0.8), 0..8_usize);
    let host = host.prop_map(|(which, cores, rack, ports, is_up, mode)| Happening::Host {
        which,
        cores,
        rack,
        ports,
        is_up,
        mode,
    });
    let slot = || (0..4_usize, 0..12_u32);
    prop_oneof![
        3 => host,
        1 => (0..8_usize).prop_map(|which| Happening::Gone { which }),
        8 => slot().prop_map(|(job, instance)| Happening::Seek { job, instance }),
        1 => slot().prop_map(|(job, instance)| Happening::Withdraw { job, instance }),
        3 => slot().prop_map(|(job, instance)| Happening::End { job, instance }),
        4 => Just(Happening::Round),
        1 => Just(Happening::RefusedRound),
    ]
}

/// Cores, ports, limit for each rack.
type Job = (u64, usize, Option<u32>);

fn config_of(number: usize, &(cores, ports, limit): &Job) -> TaskConfig {
    let limit = limit.map(|it| Constraint { attribute: "rack".into(), demand: Demand::Limit(it) });
    TaskConfig {
        resources: Resources { cpu_milli: cores * 1000, ram_mb: 1, ..Resources::default() },
        ports: (0..ports).map(|it| it.to_string()).collect(),
        constraints: limit.into_iter().collect(),
        ..config(&format!("job{number}"))
    }
}

fn host_of(which: usize, cores: u64, rack: usize, ports: u16) -> Host {
    let racks = ["", "r1", "r2"];
    let attributes: &[_] = &[("rack", racks[rack])];
    let mut host = host(&format!("h{which}"), cores, if rack == 0 { &[] } else { attributes });
    host.capacity.ports = vec![(1, ports)];
    host
}

struct Cluster {
    scheduling: Scheduling,
    scene: Scene,
    jobs: Vec<TaskConfig>,
}

impl Cluster {
    fn happen(&mut self, it: &Happening) {
        match *it {
            Happening::Host { which, cores, rack, ports, is_up, mode } => {
                let host = host_of(which, cores, rack, ports);
                let host = if is_up { host } else { down(host) };
                let since = Timestamp(0);
                let mode = match mode {
                    0 => Mode::Drained { since },
                    1 | 2 => Mode::Scheduled { since },
                    _ => Mode::None,
                };
                self.scene.host(&in_mode(host, mode));
            }
            Happening::Gone { which } => {
                let host = format!("h{which}");
                let known = self.scene.view.hosts.get(&HostId::from(&*host));
                if known.is_some_and(|it| it.tasks.is_empty()) {
                    self.scene.gone(&host);
                }
            }
            Happening::Seek { job, instance } => self.seek(job, instance),
            Happening::Withdraw { job, instance } => {
                self.scene.matchmaker.withdraw(&self.jobs[job].job.task(instance));
            }
            Happening::End { job, instance } => self.scene.end(&self.jobs[job].job.task(instance)),
            Happening::Round => self.round(),
            Happening::RefusedRound => {
                self.scene.matchmaker.catch_up(&self.scene.view);
                for placed in self.scene.matchmaker.round(Timestamp(0)) {
                    self.scene.matchmaker.answered(&placed.task, placed.attempt);
                }
            }
        }
    }

    fn seek(&mut self, job: usize, instance: u32) {
        let config = &self.jobs[job];
        let slot = self.scene.view.task_of(&config.job.task(instance));
        if slot.is_none_or(|it| !it.is_active() || it.placement().is_none()) {
            self.scene.seek(config, [instance]);
        }
    }

    /// A round, as it would be held by somebody who has just come.
    fn round(&mut self) {
        self.scene.matchmaker.catch_up(&self.scene.view);
        let mut fresh = Matchmaker::new(self.scheduling.clone());
        fresh.catch_up(&self.scene.view);
        assert_eq!(fresh.pool().in_words(), self.scene.matchmaker.pool().in_words());
        let waiting = self.scene.matchmaker.numbers().waiting;
        let placed = self.scene.round();
        for it in &placed {
            let host = &self.scene.view.hosts[&it.at.host];
            assert!(is_ready(host), "nothing goes to {host:?}");
            let cores = host.host.capacity.resources.cpu_milli;
            let needs_none = config_with_key(&self.jobs, &it.task.job).resources.cpu_milli == 0;
            assert!(host.used.cpu_milli <= cores || needs_none, "{host:?}");
            assert!(self.limit_holds(&it.task.job, &it.at.host));
        }
        assert_eq!(self.scene.matchmaker.numbers().waiting, waiting - placed.len());
        self.scene.matchmaker.catch_up(&self.scene.view);
        assert_eq!(self.scene.matchmaker.round(Timestamp(0)), [], "nobody waits who would fit");
        for (job, instances, why) in self.scene.matchmaker.reasons(Timestamp(u64::MAX)) {
            let config = config_with_key(&self.jobs, &job);
            assert!(!instances.is_empty() && why.hosts == self.scene.view.hosts.len());
            let fits = |host: &&HostView| self.fits(config, host);
            assert_eq!(self.scene.view.hosts.values().find(fits), None, "{why:?}");
        }
    }

    fn fits(&self, config: &TaskConfig, host: &HostView) -> bool {
        let (needs, free) = (&config.resources, host.free());
        let ports = &host.host.capacity.ports;
        let offered: BTreeSet<u16> = ports.iter().flat_map(|&(a, b)| a..=b).collect();
        is_ready(host)
            && needs.cpu_milli <= free.cpu_milli
            && needs.ram_mb <= free.ram_mb
            && config.ports.len() <= offered.difference(&host.ports_used).count()
            && config.constraints.iter().all(|it| {
                let Demand::Limit(most) = it.demand else { unreachable!("there are only limits") };
                let has = host.host.attributes.get("rack");
                has.is_some_and(|has| has.iter().all(|it| self.on_rack(&config.job, it) < most))
            })
    }

    fn limit_holds(&self, job: &JobKey, host: &HostId) -> bool {
        let config = config_with_key(&self.jobs, job);
        config.constraints.iter().all(|it| {
            let Demand::Limit(most) = it.demand else { unreachable!("there are only limits") };
            let has = &self.scene.view.hosts[host].host.attributes["rack"];
            has.iter().all(|it| self.on_rack(job, it) <= most)
        })
    }

    fn on_rack(&self, job: &JobKey, rack: &str) -> u32 {
        let view = &self.scene.view;
        let is_in = |host: &HostId| {
            let host = view.hosts.get(host).and_then(|it| it.host.attributes.get("rack"));
            host.is_some_and(|it| it.contains(rack))
        };
        let Some(job) = view.jobs.get(job) else { return 0 };
        job.placed.iter().filter(|(host, _)| is_in(host)).map(|(_, count)| count).sum()
    }
}

fn config_with_key<'a>(jobs: &'a [TaskConfig], job: &JobKey) -> &'a TaskConfig {
    jobs.iter().find(|it| it.job == *job).unwrap()
}

fn is_ready(HostView { host, .. }: &HostView) -> bool {
    matches!(host.contact, Contact::Up { .. })
        && matches!(host.mode, Mode::None | Mode::Scheduled { .. })
}

proptest! {
    #[test]
    fn an_old_hand_and_a_newcomer_know_the_same(
        jobs in vec((0..3_u64, 0..3_usize, option::of(1..4_u32)), 4),
        spread in prop_oneof![Just(None), Just(Some("host")), Just(Some("rack"))],
        order in prop_oneof![Just(Order::Random), Just(Order::Cpu), Just(Order::Disk)],
        happenings in vec(happening(), 0..80),
    ) {
        let spread = spread.map(str::to_owned);
        let scheduling = Scheduling { spread, order: vec![order], ..Scheduling::default() };
        let jobs: Vec<_> = jobs.iter().enumerate().map(|(it, job)| config_of(it, job)).collect();
        let scene = Scene::with(scheduling.clone(), &[]);
        let mut cluster = Cluster { scheduling, scene, jobs };
        happenings.iter().for_each(|it| cluster.happen(it));
        cluster.round();
    }
}
