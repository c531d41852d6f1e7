//! What can be done to a cluster from outside: what people ask of it, and what goes wrong.

use std::{sync::Arc, time::Duration};

use super::{
    computer::Computer,
    scheduler::{Doomed, Mail, Request, Word},
    world::{Due, World},
};
use crate::{
    admission::Wish,
    config::TaskConfig,
    cron,
    host::{self, DrainRequest},
    ids::{HostId, JobKey},
    instances::InstanceSet,
    quota::Quota,
    resources::{Attributes, Resources},
    wire::Capacity,
};

/// How a job's runs behave, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Conduct {
    /// From its start until it runs.
    pub starts_ms: (u64, u64),
    /// How long it runs; for ever, if nothing is said.
    pub lasts_ms: Option<(u64, u64)>,
    /// How many of a hundred fail in the end.
    pub fails_percent: u64,
    /// From being asked to end to the end.
    pub stops_ms: (u64, u64),
}

impl Default for Conduct {
    fn default() -> Self {
        Self { starts_ms: (500, 3000), lasts_ms: None, fails_percent: 0, stops_ms: (100, 3000) }
    }
}

#[derive(Clone, Debug)]
pub enum Action {
    AddHost {
        id: HostId,
        attributes: Attributes,
        capacity: Capacity,
    },
    Create {
        job: JobKey,
        config: Arc<TaskConfig>,
        instances: u32,
        conduct: Conduct,
    },
    AddInstances {
        job: JobKey,
        count: u32,
    },
    /// It runs by the clock from now on, or in another way than before.
    Schedule {
        job: JobKey,
        order: Box<cron::Order>,
        conduct: Conduct,
    },
    Deschedule {
        job: JobKey,
    },
    StartCron {
        job: JobKey,
    },
    Kill {
        job: JobKey,
        instances: Option<InstanceSet>,
    },
    Restart {
        job: JobKey,
        instances: Option<InstanceSet>,
    },

    SetQuota {
        role: String,
        limit: Resources,
    },

    Maintain {
        host: HostId,
    },
    Drain {
        host: HostId,
        request: DrainRequest,
    },
    Activate {
        host: HostId,
    },

    /// The connection of a host ends; it makes another.
    BreakLink {
        host: HostId,
    },
    CutOff {
        host: HostId,
        how_long: Duration,
    },
    CrashScheduler {
        down: Duration,
    },
    Crash(Doomed),
    /// Its tasks run on.
    StopAgent {
        host: HostId,
        down: Duration,
    },
    /// What runs there ends. If nothing is said, it never comes back.
    PowerOff {
        host: HostId,
        down: Option<Duration>,
    },
    SwitchOn {
        host: HostId,
    },
    /// It comes back without any of what it had.
    LoseDisk {
        host: HostId,
        down: Duration,
    },
    /// It is something else from its next start on.
    Refit {
        host: HostId,
        attributes: Attributes,
        capacity: Capacity,
    },
}

/// Who asks.
const BY: &str = "simulation";

impl World {
    pub fn act(&mut self, action: Action) {
        match action {
            Action::AddHost { id, attributes, capacity } => {
                self.have_host(id, attributes, capacity);
            }
            Action::Create { job, config, instances, conduct } => {
                self.conduct(job.clone(), conduct);
                self.wish(job, Wish::Create { config, instances, by: BY.into() });
            }
            Action::AddInstances { job, count } => self.wish(job, Wish::Add { count }),
            Action::Schedule { job, order, conduct } => {
                self.conduct(job.clone(), conduct);
                self.wish(job, Wish::Schedule(order));
            }
            Action::Deschedule { job } => self.wish(job, Wish::Deschedule),
            Action::StartCron { job } => self.wish(job, Wish::Start { by: BY.into() }),
            Action::Kill { job, instances } => {
                self.wish(job, Wish::Kill { instances, message: BY.into() });
            }
            Action::Restart { job, instances } => {
                self.wish(job, Wish::Restart { instances, message: BY.into() });
            }
            Action::SetQuota { role, limit } => {
                let quota = Quota { limit, set_at: self.now, set_by: BY.into() };
                self.ask(Request::Quota(role, quota));
            }

            Action::Maintain { host } => self.tell_host(host, host::Event::MaintenanceAsked),
            Action::Drain { host, request } => {
                self.tell_host(host, host::Event::DrainAsked(request));
            }
            Action::Activate { host } => self.tell_host(host, host::Event::ActivateAsked),

            Action::BreakLink { host } => {
                if let Some(link) = self.hosts.get(&host).and_then(|it| it.link) {
                    self.tell(|| format!("{host}: its connection breaks"));
                    self.break_link(link);
                }
            }
            Action::CutOff { host, how_long } => self.cut_off(&host, how_long),
            Action::CrashScheduler { down } => self.crash_scheduler(down),
            Action::Crash(whom) => {
                if let Some(scheduler) = &mut self.scheduler {
                    scheduler.doom(&whom);
                }
            }
            Action::StopAgent { host, down } => {
                self.tell(|| format!("{host}: its agent stops for {down:?}"));
                self.stop(&host, Some(down), |_| {});
            }
            Action::PowerOff { host, down } => {
                self.tell(|| format!("{host} is switched off for {down:?}"));
                let now = self.now;
                self.stop(&host, down, |it| it.lose_power(now));
            }
            Action::SwitchOn { host } => self.calendar.enter(self.now, Due::AgentStarts(host)),
            Action::LoseDisk { host, down } => {
                self.tell(|| format!("{host} loses its disk"));
                let now = self.now;
                self.stop(&host, Some(down), |it| {
                    it.lose_power(now);
                    it.lose_disk();
                });
            }
            Action::Refit { host, attributes, capacity } => {
                if let Some(host) = self.hosts.get_mut(&host) {
                    (host.attributes, host.capacity) = (attributes, capacity);
                }
            }
        }
        self.answer_asks();
    }

    fn wish(&mut self, job: JobKey, wish: Wish) {
        self.ask(Request::Job(job, wish));
    }

    fn tell_host(&mut self, id: HostId, event: host::Event) {
        if self.view().is_some_and(|it| it.hosts.contains_key(&id)) {
            self.send(Mail::Host(id, Word::Happened(event, None)));
        }
    }

    fn ask(&mut self, request: Request) {
        if self.scheduler.is_some() {
            self.send(Mail::Request(request));
        }
    }

    fn stop(&mut self, id: &HostId, down: Option<Duration>, also: impl FnOnce(&mut Computer)) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        let link = host.link;
        host.stop_agent();
        also(host);
        if let Some(link) = link {
            if let Some(it) = self.links.get_mut(&link) {
                it.agent_listens = false;
            }
            self.break_link(link);
        }
        if let Some(down) = down {
            self.calendar.enter(self.now + down, Due::AgentStarts(id.clone()));
        }
    }
}
