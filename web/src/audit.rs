//! Who did what: every request that changes something leaves an entry in the audit trail.
//!
//! Whoever changes something does it inside [`audited`], and nowhere else. A test asks for each
//! change that the API's description knows and looks for its entry, so that none is forgotten.
//! What is not understood changes nothing and leaves none.

use actix_web::{
    HttpRequest, rt,
    web::{Data, Json, Query, block},
};
use airglow_model::{
    audit::{Entry, Filter, Outcome, Target},
    ids::{HostId, JobKey},
    instances::InstanceSet,
};
use airglow_scheduler::{Scheduler, now};
use serde::Deserialize;

use crate::{
    Site, access,
    api::{AuditEntry, Page, Problem},
};

const SHOWN: usize = 100;
const SHOWN_MAX: usize = 1000;

/// What somebody wants, in the words of the audit trail.
pub(crate) struct Deed {
    verb: &'static str,
    targets: Vec<(Target, String)>,
    message: Option<String>,
}

impl Deed {
    pub(crate) fn new(verb: &'static str, target: Target) -> Self {
        Self { verb, targets: vec![(target, String::new())], message: None }
    }

    pub(crate) fn to_job(verb: &'static str, job: &JobKey) -> Self {
        Self::new(verb, Target::Job(job.clone()))
    }

    pub(crate) fn to_host(verb: &'static str, host: &HostId) -> Self {
        Self::new(verb, Target::Host(host.clone()))
    }

    /// To several at once, with an entry for each.
    pub(crate) fn to_each(
        verb: &'static str,
        targets: impl Iterator<Item = (Target, String)>,
    ) -> Self {
        Self { verb, targets: targets.collect(), message: None }
    }

    /// More about it, in a sentence.
    pub(crate) fn details(mut self, details: &str) -> Self {
        for (_, of_target) in &mut self.targets {
            details.clone_into(of_target);
        }
        self
    }

    pub(crate) fn message(mut self, message: Option<&str>) -> Self {
        self.message = message.map(str::to_owned).filter(|it| !it.trim().is_empty());
        self
    }

    fn entries(self, user: &str, peer: &str) -> Vec<Entry> {
        let Self { verb, targets, message } = self;
        let at = now();
        let entry = |(target, details)| Entry {
            at,
            user: user.to_owned(),
            peer: peer.to_owned(),
            verb: verb.to_owned(),
            target,
            details,
            message: message.clone(),
            outcome: Outcome::UnderWay,
        };
        targets.into_iter().map(entry).collect()
    }
}

/// Which instances, in words.
pub(crate) fn instances(some: Option<&InstanceSet>) -> String {
    some.map_or_else(|| "All instances".into(), |it| format!("Instances {it}"))
}

/// Does `work`, which changes something, between the two lines that are written about it. It is
/// done to its end whether or not whoever asked waits for that.
pub(crate) async fn audited<T, Work>(
    site: &Data<Site>,
    request: &HttpRequest,
    deed: Deed,
    work: impl FnOnce(Data<Site>) -> Work + 'static,
) -> Result<T, Problem>
where
    T: 'static,
    Work: Future<Output = Result<T, Problem>> + 'static,
{
    let peer = request.peer_addr().map_or_else(String::new, |it| it.ip().to_string());
    let (site, entries) = (site.clone(), deed.entries(&access::user(request), &peer));
    let done = rt::spawn(async move {
        let intent = site.scheduler.intend(entries).await?;
        let result = work(site.clone()).await;
        let why = result.as_ref().err().map(ToString::to_string);
        if let Err(error) = site.scheduler.conclude(intent, why.as_deref()).await {
            // What was done is done; whoever heard otherwise would do it a second time.
            tracing::warn!(%error, "what came of a request is not in the history");
        }
        result
    });
    done.await.unwrap_or_else(|_| Err(Problem::crashed()))
}

#[derive(Deserialize)]
pub(crate) struct Which {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
    host: Option<String>,
    user: Option<String>,
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// List who did what, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(
    ("role" = Option<String>, Query), ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query), ("host" = Option<String>, Query),
    ("user" = Option<String>, Query),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000),
    ("cursor" = Option<u64>, Query, description = "`next` of the page before"),
), responses((status = 200, body = Page<AuditEntry>)))]
pub(crate) async fn list(
    site: Data<Site>,
    which: Query<Which>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let Which { role, environment, name, host, user, limit, cursor } = which.into_inner();
    let limit = limit.unwrap_or(SHOWN).clamp(1, SHOWN_MAX);
    let filter = Filter { role, environment, name, host, user };
    let mut items = find(&site, filter, cursor, limit + 1).await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|it| it.number.to_string());
    Ok(Json(Page { items, next }))
}

pub(crate) async fn find(
    site: &Site,
    filter: Filter,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<AuditEntry>, Problem> {
    let scheduler = site.scheduler.clone();
    let found = block(move || scheduler.audit(&filter, before, limit)).await??;
    Ok(found.into_iter().map(|(number, entry)| shown(&site.scheduler, number, entry)).collect())
}

fn shown(scheduler: &Scheduler, number: u64, entry: Entry) -> AuditEntry {
    let Entry { at, user, peer, verb, target, details, message, outcome } = entry;
    let (outcome, ended_at, why) = match outcome {
        Outcome::UnderWay if scheduler.is_forsaken(number) => ("unknown", None, None),
        Outcome::UnderWay => ("under way", None, None),
        Outcome::Done { at } => ("done", Some(at), None),
        Outcome::Refused { at, why } => ("refused", Some(at), Some(why)),
    };
    let (target, outcome) = (target.to_string(), outcome.to_owned());
    AuditEntry { number, at, user, peer, verb, target, details, message, outcome, ended_at, why }
}
