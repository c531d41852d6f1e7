//! What users do, and whether it was acknowledged.
//!
//! A user knows all schedulers and has a way to each that no fault touches, by its machine's own
//! shell as it were. Whoever is sent on to the leader asks there.

use std::time::Duration;

use serde_json::Value;

use super::{
    Mesh, checks,
    host::{self, Host, Part},
};
use crate::cluster::{jobs_of, within};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a user goes on asking when nobody leads.
const LED_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// From the root.
    pub(crate) path: &'a str,
    pub(crate) body: &'a str,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where it is to be had instead.
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Nobody leads, or whoever was asked does not know who.
    fn is_leaderless(&self) -> bool {
        matches!(self.status, 502 | 503)
    }
}

impl Mesh {
    /// What this scheduler itself says; none if there is no answer.
    pub(crate) fn ask(&self, name: &str, request: &Request<'_>) -> Option<Answer> {
        ask(self.host(name), request)
    }

    /// As [`Mesh::ask`], and goes wherever it is sent.
    pub(crate) fn ask_by_way_of(&self, name: &str, request: &Request<'_>) -> Option<Answer> {
        let mut answer = self.ask(name, request)?;
        for _ in 0..3 {
            let Some(location) = &answer.location else { break };
            let is_there = |it: &&Host| location.contains(&format!("//{}:", host::ip(it.number)));
            answer = ask(self.hosts.iter().find(is_there)?, request)?;
        }
        Some(answer)
    }

    pub(crate) fn api_of(&self, name: &str) -> String {
        format!("http://{}:8081", host::ip(self.host(name).number))
    }

    pub(crate) fn schedulers(&self) -> Vec<String> {
        let schedulers = self.hosts.iter().filter(|it| it.part == Part::Scheduler);
        schedulers.map(|it| it.name.clone()).collect()
    }

    /// From whoever leads; none if there is no answer, or there is none that tells what happened.
    fn answer(&self, request: &Request<'_>) -> Option<Answer> {
        let mut may_have_happened = false;
        let answer = within(LED_WITHIN, || {
            for name in self.schedulers() {
                if !self.host(&name).has_power() {
                    continue;
                }
                match self.ask_by_way_of(&name, request) {
                    Some(answer) if answer.is_leaderless() => may_have_happened = true,
                    Some(answer) => return Some(Some(answer)),
                    // It may have been done before the answer was lost.
                    None if request.method != "GET" && self.has_agent(&name) => return Some(None),
                    None => (),
                }
            }
            None
        })??;
        (answer.status < 400 || !may_have_happened).then_some(answer)
    }

    /// Null if there is no answer.
    pub(crate) fn get(&self, path: &str) -> Value {
        let path = &format!("/api/v1{path}");
        let answer = self.answer(&Request { method: "GET", path, body: "" });
        answer.filter(|it| it.status == 200).map_or(Value::Null, |it| it.json())
    }

    /// The answer's status and body; none if there is no answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let path = &format!("/api/v1{path}");
        self.answer(&Request { method, path, body }).map(|it| (it.status, it.json()))
    }

    /// Instances that run until they are told to end. Whether that was acknowledged is written down,
    /// and told.
    pub(crate) fn create(&mut self, name: &str, instances: u32) -> bool {
        self.create_with(name, instances, |_| ())
    }

    /// All of them are RUNNING, and all else is well.
    #[track_caller]
    pub(crate) fn gets(&mut self, name: &str, instances: u32) {
        assert!(self.create(name, instances), "{name} is not acknowledged");
        self.is_whole();
    }

    /// The same as [`Mesh::create`], of nobody but this scheduler and whom it names.
    pub(crate) fn create_by_way_of(&mut self, via: &str, name: &str, instances: u32) -> bool {
        let body = jobs_of(&[checks::endless(name, instances)]);
        let request = Request { method: "POST", path: "/api/v1/jobs", body: &body };
        let answer = self.ask_by_way_of(via, &request).map(|it| (it.status, it.json()));
        self.ledger.created(name, instances, answer)
    }

    pub(crate) fn create_with(
        &mut self,
        name: &str,
        instances: u32,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let mut spec = checks::endless(name, instances);
        change(&mut spec);
        let answer = self.send("POST", "/jobs", &jobs_of(&[spec]));
        self.ledger.created(name, instances, answer)
    }

    /// All instances of a job.
    pub(crate) fn kill_job(&mut self, name: &str) -> bool {
        let answer = self.send("POST", &format!("/jobs/www-data/test/{name}/kill"), "{}");
        self.ledger.killed(name, answer)
    }

    pub(crate) fn instances(&self, name: &str) -> Vec<Value> {
        let job = self.get(&format!("/jobs/www-data/test/{name}"));
        job["instances"].as_array().cloned().unwrap_or_default()
    }
}

fn ask(host: &Host, request: &Request<'_>) -> Option<Answer> {
    if !host.has_power() {
        return None;
    }
    let asked = ureq::http::Request::builder()
        .method(request.method)
        .uri(format!("http://{}:8081{}", host::ip(host.number), request.path))
        .header("content-type", "application/json")
        .body(request.body.to_owned())
        .unwrap();
    host.machine().inside(|| {
        let mut response = caller().run(asked).ok()?;
        let location = response.headers().get("location").and_then(|it| it.to_str().ok());
        let is_elsewhere = matches!(response.status().as_u16(), 307 | 308);
        let location = location.filter(|_| is_elsewhere).map(str::to_owned);
        let text = response.body_mut().read_to_string().ok()?;
        Some(Answer { status: response.status().as_u16(), location, text })
    })
}

fn caller() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(ANSWER_WITHIN))
        .build();
    config.into()
}
