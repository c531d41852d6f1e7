//! The HTTP JSON client that every verb uses.
//!
//! Reading is repeated when the scheduler cannot be reached, because a scheduler that is being
//! restarted is back in a moment. Changing is not: when the connection breaks in the middle nobody
//! knows whether the change was made, and only the user can decide to ask again. A connection that
//! was never made changed nothing, so that much is tried again in either case.
//!
//! Any of a cluster's schedulers may be asked. One that does not lead has done nothing and says who
//! leads, and that one is asked from then on, until it cannot be reached.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    io::Read,
    path::Path,
    sync::Arc,
    time::Duration,
};

use airglow_model::{ids::JobKey, instances::InstanceSet, spec::JobSpec, wire::Stream};
use airglow_web::api::{
    AddInstances, Affected, Amount, AuditEntry, CreateJobs, Created, CronDetail, Drain, Forecast,
    HostDetail, HostSummary, JobDetail, JobSummary, Page, Problem, Prune, Pruned, Quota, Reconcile,
    Reconciling, Rotate, Scheduler, Secret, Selection, Snapshot, Snapshots, TaskDetail,
    TaskSummary, Tier, Token,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use ureq::{
    Body, SendBody,
    http::{Request, Response, header},
    middleware::MiddlewareNext,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

mod access;
mod updates;

/// How often a scheduler is tried that has never answered.
const ATTEMPTS: u32 = 4;
/// How often one is tried that answered before: long enough for it to be restarted.
const ATTEMPTS_ONCE_HEARD: u32 = 60;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);
/// How often one request may be sent on: while the leader changes, not everybody knows the new one.
const SENT_ON_MAX: u32 = 8;

/// A scheduler's API.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    /// The scheduler that leads, if that is another one.
    leader: RefCell<Option<String>>,
    /// How often to try in all.
    attempts: Cell<u32>,
    attempts_once_heard: u32,
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nothing was sent.
    #[error("Cannot reach the scheduler at {uri}: {source}")]
    Unreachable { uri: String, source: ureq::Error },
    /// It may or may not have been done.
    #[error(
        "Transport error communicating with scheduler during non-idempotent operation: {0}, not retrying"
    )]
    Broken(ureq::Error),
    #[error("{}", sentence(.0))]
    Refused(Box<Problem>),
    /// Nothing was done; `leader` is to be asked.
    #[error("The scheduler at {leader} leads, and does not answer, or sends whoever asks on again")]
    Elsewhere { leader: String },
    /// Something answers there, but it does not speak this language.
    #[error("{uri} gave an answer that makes no sense: {why}")]
    Strange { uri: String, why: String },
}

/// What a client shows to a scheduler, and by what it believes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) token: Option<Secret>,
    /// The authorities in PEM, instead of those that everybody knows.
    pub(crate) authority: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, ClientError>;

/// A piece of a log, and where the next piece begins.
pub(crate) struct LogPiece {
    /// How much there once was between the offset asked for and this.
    pub(crate) skipped: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) next: u64,
}

impl Client {
    pub(crate) fn new(base: &str, trust: Trust) -> Self {
        let token = trust.token;
        let show = move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            if let Some(Secret(token)) = &token
                && let Ok(mut shown) = header::HeaderValue::from_str(&format!("Bearer {token}"))
            {
                shown.set_sensitive(true);
                request.headers_mut().insert(header::AUTHORIZATION, shown);
            }
            next.handle(request)
        };
        let roots = trust.authority.map_or(RootCerts::WebPki, |pem| roots(&pem));
        let config = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .middleware(show)
            // Where another one leads is looked at by ourselves: the token has to go there too.
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("airglow/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_recv_body(Some(Duration::from_secs(60)))
            // Changes are not repeated by whoever does not know what they are.
            .max_redirects(0)
            // The scheduler closes idle connections after 5 s. Using one at just that moment would
            // look like a broken change.
            .max_idle_age(Duration::from_secs(2))
            .build();
        Self {
            agent: config.new_agent(),
            base: base.to_owned(),
            leader: RefCell::default(),
            attempts: Cell::new(ATTEMPTS),
            attempts_once_heard: ATTEMPTS_ONCE_HEARD,
        }
    }

    /// For a scheduler that will not come back if it goes.
    pub(crate) fn impatient(base: &str, trust: Trust) -> Self {
        Self { attempts: Cell::new(1), attempts_once_heard: 1, ..Self::new(base, trust) }
    }

    pub(crate) fn base(&self) -> String {
        self.leader.borrow().as_ref().unwrap_or(&self.base).clone()
    }

    pub(crate) fn jobs(&self, query: &[(&str, &str)]) -> Result<Vec<JobSummary>> {
        self.pages("/jobs", query)
    }

    /// `None`: there is no such job.
    pub(crate) fn job(&self, key: &JobKey) -> Result<Option<JobDetail>> {
        found(self.get(&job_path(key), &[]))
    }

    /// The runs that others have taken the place of, newest first; not the very old ones.
    pub(crate) fn history(&self, key: &JobKey) -> Result<Vec<TaskSummary>> {
        self.pages(&format!("{}/history", job_path(key)), &[])
    }

    /// `None`: there is no such task any more.
    pub(crate) fn task(&self, task_id: &str) -> Result<Option<TaskDetail>> {
        found(self.get(&format!("/tasks/{}", segment(task_id)), &[]))
    }

    /// The newest runs of instances.
    pub(crate) fn tasks(&self, query: &[(&str, &str)]) -> Result<Vec<TaskSummary>> {
        self.pages("/tasks", query)
    }

    pub(crate) fn hosts(&self) -> Result<Vec<HostSummary>> {
        self.pages("/hosts", &[])
    }

    /// With more of it than [`Client::hosts`] has; `None`: there is no such host.
    pub(crate) fn host(&self, host: &str) -> Result<Option<HostDetail>> {
        found(self.get(&format!("/hosts/{}", segment(host)), &[]))
    }

    pub(crate) fn host_maintenance(&self, host: &str) -> Result<HostSummary> {
        self.post(&format!("/hosts/{}/maintenance", segment(host)), &json!({}))
    }

    pub(crate) fn host_drain(&self, host: &str, how: &Drain) -> Result<HostSummary> {
        self.post(&format!("/hosts/{}/drain", segment(host)), how)
    }

    pub(crate) fn host_activate(&self, host: &str) -> Result<HostSummary> {
        self.post(&format!("/hosts/{}/activate", segment(host)), &json!({}))
    }

    pub(crate) fn remove_host(&self, host: &str, force: bool) -> Result<()> {
        let url = self.url(&format!("/hosts/{}?force={force}", segment(host)));
        self.ask_change(|| self.agent.delete(&url).call()).map(drop)
    }

    pub(crate) fn readmit(&self, machine: &str) -> Result<()> {
        let url = self.url(&format!("/removals/{}", segment(machine)));
        self.ask_change(|| self.agent.delete(&url).call()).map(drop)
    }

    /// Which let machines join.
    pub(crate) fn join_tokens(&self) -> Result<Vec<Token>> {
        self.pages("/tokens", &[])
    }

    /// `purpose`: `agent` or `scheduler`.
    pub(crate) fn rotate_token(&self, purpose: &str, how: &Rotate) -> Result<Token> {
        self.post(&format!("/tokens/{}/rotate", segment(purpose)), how)
    }

    pub(crate) fn prune(&self, what: &Prune) -> Result<Pruned> {
        self.post("/admin/prune", what)
    }

    pub(crate) fn reconcile(&self, whom: &Reconcile) -> Result<Reconciling> {
        self.post("/admin/reconcile", whom)
    }

    pub(crate) fn snapshots(&self) -> Result<Snapshots> {
        self.get("/snapshots", &[])
    }

    /// A backup, made now. That takes as long as the scheduler's disk does.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let url = self.url("/snapshots");
        let patience = Some(Duration::from_secs(3600));
        self.change(|| {
            let request = self.agent.post(&url).config().timeout_recv_response(patience).build();
            request.send_json(json!({}))
        })
    }

    /// The newest `limit` entries about who did what, newest first.
    pub(crate) fn audit(&self, query: &[(&str, &str)], limit: usize) -> Result<Vec<AuditEntry>> {
        let (mut entries, mut cursor) = (Vec::new(), None::<String>);
        while entries.len() < limit {
            let most = (limit - entries.len()).min(1000).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &most));
            query.extend(cursor.iter().map(|it| ("cursor", it.as_str())));
            let page: Page<AuditEntry> = self.get("/audit", &query)?;
            entries.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// The cluster's schedulers, as the one that leads knows them; as any of them does, if none leads.
    pub(crate) fn members(&self) -> Result<Vec<Scheduler>> {
        let members: Vec<Scheduler> = self.pages("/members", &[])?;
        let leader = members.iter().find(|it| it.leads && !it.api.is_empty());
        let leader = leader.filter(|_| members.iter().all(|it| it.behind.is_none()));
        if let Some(there) = leader.and_then(|it| self::leader(&self.base, &it.api)) {
            *self.leader.borrow_mut() = Some(there);
            return self.pages("/members", &[]);
        }
        Ok(members)
    }

    /// It is no scheduler of the cluster any more.
    pub(crate) fn dismiss(&self, member: &str) -> Result<()> {
        self.delete(&format!("/members/{}", segment(member)))
    }

    pub(crate) fn tiers(&self) -> Result<Vec<Tier>> {
        self.pages("/tiers", &[])
    }

    /// Of every role that has something.
    pub(crate) fn quotas(&self) -> Result<Vec<Quota>> {
        self.pages("/quotas", &[])
    }

    pub(crate) fn quota(&self, role: &str) -> Result<Quota> {
        self.get(&format!("/quotas/{}", segment(role)), &[])
    }

    pub(crate) fn set_quota(&self, role: &str, quota: &Amount) -> Result<Quota> {
        self.put(&format!("/quotas/{}", segment(role)), quota)
    }

    pub(crate) fn create(&self, jobs: Vec<JobSpec>) -> Result<Created> {
        self.post("/jobs", &CreateJobs { jobs })
    }

    /// `None`: the job does not run by the clock.
    pub(crate) fn cron(&self, key: &JobKey) -> Result<Option<CronDetail>> {
        found(self.get(&cron_path(key), &[]))
    }

    pub(crate) fn schedule(&self, key: &JobKey, job: &JobSpec) -> Result<CronDetail> {
        self.put(&cron_path(key), job)
    }

    pub(crate) fn deschedule(&self, key: &JobKey) -> Result<()> {
        self.delete(&cron_path(key))
    }

    pub(crate) fn start_cron(&self, key: &JobKey) -> Result<CronDetail> {
        self.post(&format!("{}/start", cron_path(key)), &json!({}))
    }

    /// What creating these jobs would come to.
    pub(crate) fn plan(&self, jobs: Vec<JobSpec>) -> Result<Forecast> {
        self.post("/jobs?dry_run=true", &CreateJobs { jobs })
    }

    /// The instances that were added.
    pub(crate) fn add(&self, key: &JobKey, count: u32) -> Result<InstanceSet> {
        let path = format!("{}/instances", job_path(key));
        self.post(&path, &AddInstances { count }).map(|Affected { instances }| instances)
    }

    /// `None`: all of them.
    pub(crate) fn kill(
        &self,
        key: &JobKey,
        instances: Option<&InstanceSet>,
        message: Option<&str>,
    ) -> Result<InstanceSet> {
        self.order("kill", key, instances, message)
    }

    pub(crate) fn restart(&self, key: &JobKey, instances: &InstanceSet) -> Result<InstanceSet> {
        self.order("restart", key, Some(instances), None)
    }

    fn order(
        &self,
        order: &str,
        key: &JobKey,
        instances: Option<&InstanceSet>,
        message: Option<&str>,
    ) -> Result<InstanceSet> {
        let selection = Selection {
            instances: instances.map(|it| it.iter().collect()),
            message: message.map(str::to_owned),
        };
        let path = format!("{}/{order}", job_path(key));
        self.post(&path, &selection).map(|Affected { instances }| instances)
    }

    /// What the log holds from `offset` on, at most a certain amount; `None` if it does not exist.
    pub(crate) fn log(&self, log: &Log<'_>, offset: u64) -> Result<Option<LogPiece>> {
        let Log { task_id, process, run, stream } = log;
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let path = format!("/tasks/{}/logs/{}/{run}/{stream}", segment(task_id), segment(process));
        let offset_text = offset.to_string();
        let query = [("offset", offset_text.as_str()), ("length", "262144")];
        let Some(mut response) = found(self.fetch(&path, &query))? else { return Ok(None) };
        // What was rotated away cannot be had any more.
        let begins = response.headers().get("airglow-log-offset");
        let begins = begins.and_then(|it| it.to_str().ok()?.parse().ok()).unwrap_or(offset);
        let mut data = Vec::new();
        let read = response.body_mut().as_reader().read_to_end(&mut data);
        read.map_err(|error| self.strange(&error))?;
        let next = begins + data.len() as u64;
        Ok(Some(LogPiece { skipped: begins.saturating_sub(offset), data, next }))
    }

    /// All pages of a list.
    fn pages<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.extend(cursor.iter().map(|it| ("cursor", it.as_str())));
            let page: Page<T> = self.get(path, &query)?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let response = self.fetch(path, query)?;
        self.read(response)
    }

    /// Reads, as often as it takes or is reasonable.
    fn fetch(&self, path: &str, query: &[(&str, &str)]) -> Result<Response<Body>> {
        self.patiently(|| {
            let request = self.agent.get(self.url(path)).query_pairs(query.iter().copied());
            match request.call() {
                Ok(response) => self.accept(response),
                Err(source) => Err(self.unreachable(source)),
            }
        })
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.change(|| self.agent.post(self.url(path)).send_json(body))
    }

    fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.change(|| self.agent.put(self.url(path)).send_json(body))
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.ask_change(|| self.agent.delete(self.url(path)).call()).map(drop)
    }

    /// A change whose answer says nothing more.
    fn done(&self, method: &str, path: &str, body: &impl Serialize) -> Result<()> {
        let ask = || match method {
            "PUT" => self.agent.put(self.url(path)).send_json(body),
            _ => self.agent.post(self.url(path)).send_json(body),
        };
        self.ask_change(ask).map(drop)
    }

    fn change<T: DeserializeOwned>(
        &self,
        ask: impl Fn() -> std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<T> {
        let response = self.ask_change(ask)?;
        self.read(response)
    }

    fn ask_change(
        &self,
        ask: impl Fn() -> std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>> {
        self.patiently(|| match ask() {
            Ok(response) => self.accept(response),
            Err(error) if never_connected(&error) => Err(self.unreachable(error)),
            Err(error) => Err(ClientError::Broken(error)),
        })
    }

    fn patiently(&self, mut ask: impl FnMut() -> Result<Response<Body>>) -> Result<Response<Body>> {
        let (mut attempt, mut sent_on) = (1, 0);
        loop {
            match ask() {
                Err(ClientError::Elsewhere { leader }) if sent_on < SENT_ON_MAX => {
                    tracing::debug!(leader, "sent on");
                    *self.leader.borrow_mut() = Some(leader);
                    sent_on += 1;
                }
                Err(ClientError::Unreachable { .. }) if self.leader.borrow().is_some() => {
                    // Whoever sent us there may know of another by now.
                    *self.leader.borrow_mut() = None;
                    pause(BETWEEN_ATTEMPTS);
                }
                Err(error) if error.may_pass() && attempt < self.attempts.get() => {
                    tracing::debug!(%error, attempt, "trying again");
                    pause(BETWEEN_ATTEMPTS);
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// An answer that is not a refusal.
    fn accept(&self, mut response: Response<Body>) -> Result<Response<Body>> {
        self.attempts.set(self.attempts_once_heard);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if let Some(leader) = self.elsewhere(&response) {
            return Err(ClientError::Elsewhere { leader });
        }
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let problem = serde_json::from_str(&text).unwrap_or_else(|_| Problem {
            title: status.to_string(),
            status: status.as_u16(),
            ..Problem::default()
        });
        Err(ClientError::Refused(Box::new(problem)))
    }

    fn read<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<T> {
        let body = response.body_mut().with_config().limit(u64::MAX).reader();
        serde_json::from_reader(std::io::BufReader::new(body)).map_err(|error| self.strange(&error))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base())
    }

    /// Where the one is who leads, by the word of one who does not. Whoever is believed about who
    /// they are is believed about that, but sends nobody from TLS to where everybody listens.
    fn elsewhere(&self, response: &Response<Body>) -> Option<String> {
        let moved = matches!(response.status().as_u16(), 307 | 308);
        let there = response.headers().get(header::LOCATION).filter(|_| moved)?;
        leader(&self.base, there.to_str().ok()?)
    }

    fn unreachable(&self, source: ureq::Error) -> ClientError {
        ClientError::Unreachable { uri: self.base(), source }
    }

    fn strange(&self, why: &impl ToString) -> ClientError {
        ClientError::Strange { uri: self.base(), why: why.to_string() }
    }
}

/// Which log: one of the two streams of one run of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log<'a> {
    pub(crate) task_id: &'a str,
    pub(crate) process: &'a str,
    pub(crate) run: u32,
    pub(crate) stream: Stream,
}

impl ClientError {
    /// Whether the same request may well succeed in a moment, and has not been carried out.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Elsewhere { .. } => true,
            Self::Refused(problem) => problem.status == 503,
            Self::Broken(_) | Self::Strange { .. } => false,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Unreachable { .. }
            | Self::Broken(_)
            | Self::Strange { .. }
            | Self::Elsewhere { .. } => None,
        }
    }
}

/// The base of the address that somebody is sent to.
fn leader(base: &str, there: &str) -> Option<String> {
    let (scheme, rest) = there.split_once("://")?;
    let host = rest.split(['/', '?']).next().filter(|it| !it.is_empty() && !it.contains('@'))?;
    let same_or_better = scheme == "https" || scheme == "http" && !base.starts_with("https://");
    same_or_better.then(|| format!("{scheme}://{host}"))
}

fn roots(pem: &str) -> RootCerts {
    let certificates = parse_pem(pem.as_bytes()).filter_map(|it| match it {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    RootCerts::Specific(Arc::new(certificates.collect()))
}

/// What a file with authorities holds.
pub(crate) fn read_authority(path: &Path) -> std::result::Result<String, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    match Certificate::from_pem(text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(_) => Err(format!("{shown} holds no certificate in PEM")),
    }
}

/// Blocks the whole command, which has nothing else to do.
#[expect(clippy::disallowed_methods, reason = "a command line has no arbiter to block")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Where a scheduler that does not lead sends whoever asks it: the beginning of that URL.
fn found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn never_connected(error: &ureq::Error) -> bool {
    use std::io::ErrorKind;
    if let ureq::Error::Io(error) = error {
        return matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        );
    }
    matches!(
        error,
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
    )
}

/// A problem in full: what kind, what of it, and every complaint with its place.
fn sentence(problem: &Problem) -> String {
    let mut text = if problem.detail.is_empty() { &problem.title } else { &problem.detail }.clone();
    for error in &problem.errors {
        let place = if error.pointer.is_empty() { "/" } else { &error.pointer };
        write!(text, "\n{place}: {}", error.detail).expect("a string takes everything");
    }
    text
}

fn job_path(job: &JobKey) -> String {
    format!("/jobs/{}/{}/{}", segment(&job.role), segment(&job.environment), segment(&job.name))
}

fn cron_path(job: &JobKey) -> String {
    format!("/cron/{}/{}/{}", segment(&job.role), segment(&job.environment), segment(&job.name))
}

/// One component of a path, whatever is in it.
fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                all.push(char::from(byte));
            }
            other => write!(all, "%{other:02X}").expect("a string takes everything"),
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use airglow_web::api::FieldError;

    use super::*;

    #[test]
    fn every_complaint_is_told_with_its_place() {
        let complaint = |pointer: &str, detail: &str| FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        };
        let problem = Problem {
            title: "Invalid job".into(),
            detail: "2 mistakes".into(),
            errors: vec![complaint("/jobs/0/name", "is missing"), complaint("", "is odd")],
            ..Problem::default()
        };
        assert_eq!(sentence(&problem), "2 mistakes\n/jobs/0/name: is missing\n/: is odd");
        let bare = Problem { title: "404 Not Found".into(), ..Problem::default() };
        assert_eq!(sentence(&bare), "404 Not Found");
    }

    #[test]
    fn one_is_sent_on_to_where_it_is_no_less_safe() {
        for (base, there, then) in [
            ("http://a:1", "http://b:2/api/v1/jobs?x=1", Some("http://b:2")),
            ("http://a:1", "https://b:2/x", Some("https://b:2")),
            ("https://a:1", "https://b:2", Some("https://b:2")),
            ("https://a:1", "http://b:2/x", None),
            ("https://a:1", "https://a:1@evil/x", None),
            ("http://a:1", "ftp://b", None),
            ("http://a:1", "/api/v1", None),
        ] {
            assert_eq!(leader(base, there).as_deref(), then, "{base} {there}");
        }
    }

    #[test]
    fn names_fit_into_paths() {
        assert_eq!(segment("hello_world-1.x"), "hello_world-1.x");
        assert_eq!(segment("a b/ü%"), "a%20b%2F%C3%BC%25");
    }

    #[test]
    fn a_change_is_tried_again_only_if_it_never_left() {
        use std::io::{Error, ErrorKind};
        assert!(never_connected(&Error::from(ErrorKind::ConnectionRefused).into()));
        assert!(!never_connected(&Error::from(ErrorKind::ConnectionReset).into()));
        assert!(!ClientError::Broken(ureq::Error::BodyStalled).may_pass());
    }
}
