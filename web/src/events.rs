//! Server-sent events: what has changed, not how it is now. Whoever hears of a change and wants to
//! know more reads it; what is read is at least as new as the event.
//!
//! Each event's id is the newest transaction it covers, so that a client that was away resumes
//! where it was. When that is too long ago, or when it cannot keep up, it is told `reset`: look at
//! everything again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, Responder, rt,
    web::{Data, Query},
};
use actix_web_lab::sse::{self, Sse};
use airglow_model::{
    audit::Target,
    ids::{HostId, JobKey, JobName, TaskId, TaskKey},
    record::{Record, RecordKey},
    view::Note,
};
use airglow_scheduler::{Feed, Listener, News, What};
use serde::Deserialize;
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, sleep_until},
};

use crate::{
    Site,
    api::{Changed, Problem},
};

/// What happens within this time is one event.
const COALESCE: Duration = Duration::from_millis(150);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A client that is this many events behind is dropped; it comes back and resumes.
const BACKLOG: usize = 64;
/// An event that would name more instances than this names their jobs only.
const NAMED_MAX: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Filter {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
    instance: Option<u32>,
    task: Option<String>,
    host: Option<String>,
}

/// What has changed, as server-sent events: `changed` with a list of what, `reset` when too much
/// was missed. Resumes after `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(
    ("role" = Option<String>, Query), ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query), ("instance" = Option<u32>, Query),
    ("task" = Option<String>, Query, description = "a task's id"),
    ("host" = Option<String>, Query),
    ("last-event-id" = Option<u64>, Header),
), responses((status = 200, body = Changed, content_type = "text/event-stream")))]
pub(crate) async fn get(
    site: Data<Site>,
    request: HttpRequest,
    Query(filter): Query<Filter>,
) -> Result<impl Responder, Problem> {
    let filter = resolve(&site, filter);
    let feed = site.scheduler.feed();
    let seen = request.headers().get("last-event-id");
    let resumed = seen.and_then(|id| resume(feed, id.to_str().ok()?));
    let reset = seen.is_some() && resumed.is_none();
    // The number that is told has to be that of what was heard: what the view knows beyond that is
    // still to come, and somebody who resumes after it would never hear of it.
    let (seq, missed, news) = resumed.unwrap_or_else(|| {
        let (seq, news) = feed.subscribe();
        (seq, vec![], news)
    });
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let mut relay = Relay { filter, sender, gathered: Gathered { seq, ..Gathered::default() } };
    relay.greet(reset, &missed);
    rt::spawn(async move {
        tokio::select! {
            () = relay.run(news) => {}
            // Whoever listens finds the one that does.
            () = site.scheduler.leads_no_more() => {}
        }
    });
    Ok(Sse::from_infallible_receiver(receiver)
        .with_keep_alive(KEEP_ALIVE)
        .with_retry_duration(Duration::from_secs(1))
        .customize()
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no")))
}

fn resume(feed: &Feed, last_event_id: &str) -> Option<(u64, Vec<Arc<News>>, Listener)> {
    let seq = last_event_id.parse().ok()?;
    let (missed, news) = feed.resume(seq)?;
    Some((seq, missed, news))
}

/// A task's news is its instance's.
fn resolve(site: &Site, mut filter: Filter) -> Filter {
    let task = filter.task.take().map(|it| TaskId(it.into()));
    let key = task.and_then(|id| site.scheduler.view().read(|view| view.slots.get(&id).cloned()));
    if let Some(TaskKey { job, instance }) = key {
        let JobName { role, environment, name } = (*job).clone();
        (filter.role, filter.environment, filter.name) =
            (Some(role), Some(environment), Some(name));
        filter.instance = Some(instance);
    }
    filter
}

impl Filter {
    fn takes_job(&self, key: &JobKey) -> bool {
        let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|it| it == value);
        is(&self.role, &key.role)
            && is(&self.environment, &key.environment)
            && is(&self.name, &key.name)
            && (self.host.is_none() || self.role.is_some())
    }

    fn takes_task(&self, key: &TaskKey) -> bool {
        self.takes_job(&key.job) && self.instance.is_none_or(|it| it == key.instance)
    }

    /// With only a host asked for, tasks are news of the host: its own record says nothing of them.
    fn takes_host(&self, host: &HostId) -> bool {
        self.role.is_none() && self.host.as_ref().is_none_or(|it| **it == *host.0)
    }
}

/// What will be told next.
#[derive(Default)]
struct Gathered {
    seq: u64,
    jobs: BTreeSet<JobKey>,
    tasks: BTreeSet<TaskKey>,
    hosts: BTreeSet<HostId>,
    /// Something was missed.
    reset: bool,
}

impl Gathered {
    fn hear(&mut self, filter: &Filter, news: &News) {
        self.seq = self.seq.max(news.seq);
        match &news.what {
            What::Committed(changes) => {
                for change in changes {
                    self.hear_of(filter, &change.key);
                    if let Some(Record::Audit(entry)) = &change.record {
                        self.hear_of_target(filter, &entry.target);
                    }
                    if let (Some(host), Some(record)) = (&filter.host, &change.record) {
                        self.hear_of_placement(host, record);
                    }
                }
            }
            What::Note(Note::Pending { job, instances, .. }) => {
                for instance in instances.iter() {
                    self.hear_of(filter, &RecordKey::Task(job.task(instance)));
                }
            }
            What::Note(Note::Processes { task, .. }) => {
                self.hear_of(filter, &RecordKey::Task(task.clone()));
            }
            What::Note(Note::Heard { host, .. } | Note::Waits { host, .. }) => {
                self.hear_of(filter, &RecordKey::Host(host.clone()));
            }
            // Rare, and anybody may be showing it.
            What::Note(Note::Quarantined { .. } | Note::Pardoned) => self.reset = true,
        }
    }

    fn hear_of(&mut self, filter: &Filter, key: &RecordKey) {
        match key {
            RecordKey::Job(job)
            | RecordKey::Config(job, _)
            | RecordKey::Cron(job)
            | RecordKey::Template(job) => {
                if filter.takes_job(job) {
                    self.jobs.insert(job.clone());
                }
            }
            RecordKey::Update(update) | RecordKey::UpdateEvents(update, _) => {
                if filter.takes_job(&update.job) {
                    self.jobs.insert(update.job.clone());
                }
            }
            RecordKey::Task(task) | RecordKey::History(task, _) => {
                if filter.takes_task(task) {
                    self.jobs.insert(task.job.clone());
                    self.tasks.insert(task.clone());
                }
            }
            RecordKey::Host(host) => {
                if filter.takes_host(host) {
                    self.hosts.insert(host.clone());
                }
            }
            // Rare, and anybody may be showing it.
            RecordKey::Quota(_) | RecordKey::Removal(_) => self.reset = true,
            // What they say is heard from the records.
            RecordKey::Notice(_) | RecordKey::Audit(_) => {}
            // No page shows them.
            RecordKey::Term | RecordKey::Tokens => {}
            // Who may look is nothing that anybody looks at.
            RecordKey::User(_) | RecordKey::Pass(_) => {}
        }
    }

    /// Somebody's deed is shown with what it was done to.
    fn hear_of_target(&mut self, filter: &Filter, target: &Target) {
        match target {
            Target::Job(job) => self.hear_of(filter, &RecordKey::Job(job.clone())),
            Target::Host(host) => self.hear_of(filter, &RecordKey::Host(host.clone())),
            Target::Role(_) | Target::Cluster => {}
        }
    }

    /// A task that is on the host that somebody looks at.
    fn hear_of_placement(&mut self, host: &str, record: &Record) {
        match record {
            Record::Task(task) => {
                if task.placement().is_some_and(|it| *it.host.0 == *host) {
                    self.hosts.insert(HostId(host.into()));
                    self.tasks.insert(task.key.clone());
                }
            }
            Record::History(run) => {
                if run.state.placement().is_some_and(|it| *it.host.0 == *host) {
                    self.hosts.insert(HostId(host.into()));
                }
            }
            Record::Job(_)
            | Record::Config(_)
            | Record::Host(_)
            | Record::Quota(_)
            | Record::Update(_)
            | Record::UpdateEvents(_)
            | Record::Notice(_)
            | Record::Audit(_)
            | Record::Cron(_)
            | Record::Template(_)
            | Record::Term(_)
            | Record::Tokens(_)
            | Record::Removal(_)
            | Record::User(_)
            | Record::Pass(_) => {}
        }
    }

    fn is_empty(&self) -> bool {
        !self.reset && self.jobs.is_empty() && self.tasks.is_empty() && self.hosts.is_empty()
    }

    /// The event for all of it; afterwards nothing is gathered.
    fn tell(&mut self) -> sse::Event {
        let Self { seq, jobs, tasks, hosts, reset } =
            std::mem::replace(self, Self { seq: self.seq, ..Self::default() });
        let named = tasks.len() <= NAMED_MAX;
        let changed = Changed {
            seq,
            jobs: jobs.iter().map(ToString::to_string).collect(),
            tasks: tasks.iter().filter(|_| named).map(ToString::to_string).collect(),
            hosts: hosts.into_iter().map(|HostId(host)| host.to_string()).collect(),
        };
        let data = serde_json::to_string(&changed).expect("lists of text are JSON");
        let name = if reset { "reset" } else { "changed" };
        sse::Event::Data(sse::Data::new(data).id(seq.to_string()).event(name))
    }
}

/// Between the feed and one client.
struct Relay {
    filter: Filter,
    sender: mpsc::Sender<sse::Event>,
    gathered: Gathered,
}

impl Relay {
    /// Every client hears something at once: so it knows that it is connected, and from where on.
    fn greet(&mut self, reset: bool, missed: &[Arc<News>]) {
        missed.iter().for_each(|it| self.gathered.hear(&self.filter, it));
        self.gathered.reset |= reset;
        let greeting = self.gathered.tell();
        // The channel is new, so there is room.
        drop(self.sender.try_send(greeting));
    }

    /// Until the client is gone, too slow, or nothing more will happen.
    async fn run(mut self, mut news: broadcast::Receiver<Arc<News>>) {
        let mut tell_at = None;
        loop {
            let due = async {
                match tell_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.sender.closed() => return,
                () = due => {
                    tell_at = None;
                    let event = self.gathered.tell();
                    if self.sender.try_send(event).is_err() {
                        return;
                    }
                }
                heard = news.recv() => match heard {
                    Ok(heard) => self.gathered.hear(&self.filter, &heard),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.gathered.reset = true,
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
            if tell_at.is_none() && !self.gathered.is_empty() {
                tell_at = Some(Instant::now() + COALESCE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Filter {
        Filter { role: None, environment: None, name: None, instance: None, task: None, host: None }
    }

    fn gather(filter: &Filter, keys: &[RecordKey]) -> (usize, usize, usize) {
        let mut gathered = Gathered::default();
        keys.iter().for_each(|key| gathered.hear_of(filter, key));
        (gathered.jobs.len(), gathered.tasks.len(), gathered.hosts.len())
    }

    #[test]
    fn a_filter_lets_through_what_belongs_to_it_only() {
        let web = JobKey::new("www", "prod", "web");
        let news = [
            RecordKey::Job(web.clone()),
            RecordKey::Task(web.task(0)),
            RecordKey::Task(web.task(1)),
            RecordKey::Job(JobKey::new("db", "prod", "pg")),
            RecordKey::Host("h1".into()),
        ];
        assert_eq!(gather(&filter(), &news), (2, 2, 1));
        assert_eq!(gather(&Filter { role: Some("www".into()), ..filter() }, &news), (1, 2, 0));
        let one = Filter { role: Some("www".into()), instance: Some(1), ..filter() };
        assert_eq!(gather(&one, &news), (1, 1, 0));
        assert_eq!(gather(&Filter { host: Some("h1".into()), ..filter() }, &news), (0, 0, 1));
        assert_eq!(gather(&Filter { host: Some("h2".into()), ..filter() }, &news), (0, 0, 0));
    }

    #[test]
    fn somebodys_deed_is_news_of_what_it_was_done_to() {
        let gather = |filter: Filter, target: &str| {
            let mut gathered = Gathered::default();
            gathered.hear_of_target(&filter, &target.parse().unwrap());
            (gathered.jobs.len(), gathered.hosts.len())
        };
        let of_host = || Filter { host: Some("h1".into()), ..filter() };
        let of_role = || Filter { role: Some("www".into()), ..filter() };
        assert_eq!(gather(of_role(), "job/www/prod/web"), (1, 0));
        assert_eq!(gather(of_role(), "job/db/prod/pg"), (0, 0));
        assert_eq!(gather(of_host(), "host/h1"), (0, 1));
        assert_eq!(gather(of_host(), "host/h2"), (0, 0));
        assert_eq!(gather(filter(), "cluster"), (0, 0));
    }

    #[test]
    fn many_instances_are_told_as_their_job() {
        let job = JobKey::new("www", "prod", "web");
        let mut gathered = Gathered::default();
        for instance in 0..1000 {
            gathered.hear_of(&filter(), &RecordKey::Task(job.task(instance)));
        }
        let sse::Event::Data(_) = gathered.tell() else { panic!("an event has data") };
        assert!(gathered.is_empty());
    }
}
