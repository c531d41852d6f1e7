//! Which ports an instance needs, by what it refers to.
//!
//! A port is asked for by using it: whoever writes `{{thermos.ports[http]}}` gets one called http.
//! The announcer's portmap gives ports more names, or fixed numbers, which nobody has to give.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Complaints, DEDICATED, escape};
use crate::{
    spec::{Announcer, JobSpec},
    template::{Piece, Reference, parse},
};

impl Complaints {
    /// The names of the ports that a host has to give.
    pub(super) fn ports(&mut self, job: &JobSpec) -> BTreeSet<String> {
        let used = self.references(job);
        let ports = match &job.announce {
            Some(announce) => self.given(job, announce, used),
            None => used,
        };
        self.checked_port(job, &ports);
        ports
    }

    /// The ports behind all names in use.
    fn given(
        &mut self,
        job: &JobSpec,
        announce: &Announcer,
        used: BTreeSet<String>,
    ) -> BTreeSet<String> {
        let portmap = self.portmap(job, announce);
        let targets = portmap.values().filter_map(|it| match it {
            Target::Port(name) => Some(name.clone()),
            Target::Number => None,
        });
        let mut ports = BTreeSet::new();
        for name in used.into_iter().chain(targets) {
            match follow(&portmap, name) {
                Ok(Some(name)) => _ = ports.insert(name),
                Ok(None) => {}
                Err(Cycle) => {
                    self.add("/announce/portmap", "Found cycle in portmap!");
                    break;
                }
            }
        }
        ports
    }

    /// A port that is only checked is one that nobody listens on.
    fn checked_port(&mut self, job: &JobSpec, given: &BTreeSet<String>) {
        let Some(tcp) = &job.health_check_config.health_checker.tcp else { return };
        let is_alias = job.announce.as_ref().is_some_and(|it| it.portmap.contains_key(&tcp.port));
        if !is_alias && !given.contains(&tcp.port) {
            let port = &tcp.port;
            let detail = format!(
                "Nothing refers to {{{{thermos.ports[{port}]}}}}, so nobody will listen there"
            );
            self.add("/health_check_config/health_checker/tcp/port", detail);
        }
    }

    /// Reads the references in all texts. Returns the ports among them; every other one that is
    /// not known by the time of the launch is a mistake.
    fn references(&mut self, job: &JobSpec) -> BTreeSet<String> {
        let whole = serde_json::to_value(job).expect("a job is plain data");
        let mut ports = BTreeSet::new();
        self.visit(&mut String::new(), &whole, &mut ports);
        ports
    }

    fn visit(&mut self, pointer: &mut String, value: &Value, ports: &mut BTreeSet<String>) {
        let len = pointer.len();
        let mut visit = |this: &mut Self, name: &str, inner: &Value| {
            pointer.push('/');
            pointer.push_str(&escape(name));
            this.visit(pointer, inner, ports);
            pointer.truncate(len);
        };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, it)| visit(self, name, it)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, it)| visit(self, &i.to_string(), it));
            }
            Value::String(text) if text.contains("{{") => self.template(pointer, text, ports),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn template(&mut self, pointer: &str, text: &str, ports: &mut BTreeSet<String>) {
        let pieces = match parse(text) {
            Ok(pieces) => pieces,
            Err(invalid) => return self.add(pointer, invalid.to_string()),
        };
        let rendered = is_rendered(pointer);
        for piece in pieces {
            match piece {
                Piece::Reference(it) if rendered && it.is_known_at_launch() => {
                    ports.extend(it.port().map(str::to_owned));
                }
                Piece::Reference(it) if is_primary_port(pointer, &it) => {}
                Piece::Reference(it) if it.is_known_at_launch() => {
                    let detail =
                        format!("{{{{{it}}}}} is known only where the task runs, not here");
                    self.add(pointer, detail);
                }
                Piece::Reference(it) => {
                    self.add(
                        pointer,
                        format!("Failed to fully evaluate: {{{{{it}}}}} has no value"),
                    );
                }
                Piece::Text(_) | Piece::Escaped(_) => {}
            }
        }
    }

    fn portmap(&mut self, job: &JobSpec, announce: &Announcer) -> BTreeMap<String, Target> {
        let dedicated = job.constraints.contains_key(DEDICATED);
        let mut portmap = BTreeMap::new();
        for (name, target) in &announce.portmap {
            let target = if target == PRIMARY_PORT { &announce.primary_port } else { target };
            let number = target.parse::<i64>();
            if number.is_ok() && !dedicated {
                let pointer = format!("/announce/portmap/{}", escape(name));
                self.add(pointer, "Job must be dedicated in order to specify static ports!");
            }
            let target = if number.is_ok() { Target::Number } else { Target::Port(target.clone()) };
            portmap.insert(name.clone(), target);
        }
        portmap
    }
}

/// What a name in the portmap stands for.
enum Target {
    Port(String),
    Number,
}

/// Names in the portmap that stand for each other.
struct Cycle;

/// The port that has to be given for `name`, if it does not stand for a number.
fn follow(portmap: &BTreeMap<String, Target>, mut name: String) -> Result<Option<String>, Cycle> {
    for _ in 0..=portmap.len() {
        match portmap.get(&name) {
            None => return Ok(Some(name)),
            Some(Target::Number) => return Ok(None),
            // `http: http` is no news.
            Some(Target::Port(next)) if *next == name => return Ok(Some(name)),
            Some(Target::Port(next)) => name.clone_from(next),
        }
    }
    Err(Cycle)
}

const PRIMARY_PORT: &str = "{{primary_port}}";

/// The default portmap refers to its neighbour.
fn is_primary_port(pointer: &str, reference: &Reference) -> bool {
    pointer.starts_with("/announce/portmap/") && reference.to_string() == "primary_port"
}

/// Hosts fill in what they know only in what they run.
fn is_rendered(pointer: &str) -> bool {
    pointer.starts_with("/task/") || pointer.starts_with("/health_check_config/")
}
