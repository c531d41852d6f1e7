//! What of a job, beyond its task, decides how a run of it goes on a host: how it is seen to be
//! healthy, and how it is asked to leave.
//!
//! Texts are as they were written. Whoever looks at the task fills in what only the host knows,
//! with [`How::bound`].

use std::{sync::Arc, time::Duration};

use crate::{
    config::Ports,
    spec::{HealthCheckConfig, HealthChecker, HttpLifecycleConfig, JobSpec},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conduct {
    /// Without one it counts as healthy as soon as it runs.
    pub check: Option<Check>,
    /// In the order in which they are said.
    pub farewells: Arc<[Farewell]>,
}

/// A request that a task leaves by itself: `POST http://localhost:PORT/PATH`.
#[derive(Clone, Debug, PartialEq)]
pub struct Farewell {
    pub port: u16,
    /// Begins with a slash.
    pub path: String,
    /// How long it may take after it has answered, whatever the answer was.
    pub wait: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub how: How,
    pub pace: Pace,
}

#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// `GET http://localhost:PORT/PATH`
    Http {
        port: u16,
        /// Begins with a slash.
        path: String,
        /// The body, in any case; empty for any.
        expected_response: String,
        /// The status; 0 for any.
        expected_code: i64,
    },
    /// Somebody listens on this port.
    Tcp { port: u16 },
    /// This command succeeds.
    Shell { command: String },
}

/// When it is looked at, and how its answers count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How long failures do not count.
    pub initial_interval: Duration,
    /// From the end of a check to the beginning of the next.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    pub max_consecutive_failures: u32,
    pub min_consecutive_successes: u32,
}

/// The port that an HTTP check asks, by its name.
const HEALTH_PORT: &str = "health";
/// Whoever asks for no pause between checks would keep a core busy with them.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Conduct {
    /// `ports`: by all their names, as [`crate::ports::resolved`] says.
    pub fn of(spec: &JobSpec, ports: &Ports) -> Self {
        let http = spec.lifecycle.http.as_ref();
        let farewells = http.and_then(|it| Some(farewells(it, *ports.get(&it.port)?)));
        Self {
            check: Check::of(&spec.health_check_config, ports),
            farewells: farewells.into_iter().flatten().collect(),
        }
    }
}

impl Check {
    fn of(config: &HealthCheckConfig, ports: &Ports) -> Option<Self> {
        let how = How::of(&config.health_checker, ports)?;
        let count = |it: i64| u32::try_from(it.max(0)).unwrap_or(u32::MAX);
        let pace = Pace {
            initial_interval: seconds(config.initial_interval_secs),
            interval: seconds(config.interval_secs).max(INTERVAL_MIN),
            timeout: seconds(config.timeout_secs),
            max_consecutive_failures: count(config.max_consecutive_failures),
            min_consecutive_successes: count(config.min_consecutive_successes),
        };
        Some(Self { how, pace })
    }
}

impl How {
    /// The closest look goes before others.
    fn of(checker: &HealthChecker, ports: &Ports) -> Option<Self> {
        if let Some(shell) = &checker.shell {
            return Some(Self::Shell { command: shell.shell_command.clone() });
        }
        let tcp = checker.tcp.as_ref().and_then(|it| ports.get(&it.port));
        if let Some(&port) = tcp {
            return Some(Self::Tcp { port });
        }
        let (http, port) = checker.http.as_ref().zip(ports.get(HEALTH_PORT).copied())?;
        Some(Self::Http {
            port,
            path: path(&http.endpoint),
            expected_response: http.expected_response.clone(),
            expected_code: http.expected_response_code,
        })
    }

    /// The same with its references replaced.
    ///
    /// # Errors
    /// Those of `bind`, which is given each text.
    pub fn bound<E>(&self, bind: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Http { port, path, expected_response, expected_code } => Self::Http {
                port: *port,
                path: bind(path)?,
                expected_response: bind(expected_response)?,
                expected_code: *expected_code,
            },
            Self::Tcp { port } => Self::Tcp { port: *port },
            Self::Shell { command } => Self::Shell { command: bind(command)? },
        })
    }
}

fn farewells(http: &HttpLifecycleConfig, port: u16) -> [Farewell; 2] {
    let farewell = |endpoint: &str, secs: i64| {
        let wait = Duration::from_secs(secs.max(0).unsigned_abs()).min(YEAR);
        Farewell { port, path: path(endpoint), wait }
    };
    [
        farewell(&http.graceful_shutdown_endpoint, http.graceful_shutdown_wait_secs),
        farewell(&http.shutdown_endpoint, http.shutdown_wait_secs),
    ]
}

fn path(endpoint: &str) -> String {
    let slash = if endpoint.starts_with('/') { "" } else { "/" };
    format!("{slash}{endpoint}")
}

/// Of what is no length of time, the nearest that is.
fn seconds(secs: f64) -> Duration {
    let secs = secs.clamp(0.0, YEAR.as_secs_f64());
    Duration::try_from_secs_f64(secs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// With `http=80` and `health=81`, unless `ports` says otherwise.
    fn conduct(changes: Value, ports: &[(&str, u16)]) -> Conduct {
        let mut job = json!({
            "cluster": "c", "role": "r", "name": "n",
            "task": { "processes": [], "name": "n", "resources": { "cpu": 1, "ram": 1, "disk": 1 } },
        });
        let Value::Object(changes) = changes else { panic!("an object") };
        job.as_object_mut().unwrap().extend(changes);
        let ports = ports.iter().map(|&(name, port)| (name.to_owned(), port)).collect();
        Conduct::of(&serde_json::from_value(job).unwrap(), &ports)
    }

    const PORTS: [(&str, u16); 2] = [("http", 80), ("health", 81)];

    fn how(checker: Value, ports: &[(&str, u16)]) -> String {
        let config = json!({ "health_check_config": { "health_checker": checker } });
        match conduct(config, ports).check.map(|it| it.how) {
            None => "none".to_owned(),
            Some(How::Http { port, path, .. }) => format!("http {port}{path}"),
            Some(How::Tcp { port }) => format!("tcp {port}"),
            Some(How::Shell { command }) => format!("shell {command}"),
        }
    }

    #[test]
    fn h17_a_job_with_a_port_called_health_is_checked_and_others_are_not() {
        let asked = conduct(json!({}), &PORTS).check.unwrap();
        assert_eq!(
            asked.how,
            How::Http {
                port: 81,
                path: "/health".into(),
                expected_response: "ok".into(),
                expected_code: 0,
            }
        );
        let second = Duration::from_secs(1);
        assert_eq!(
            asked.pace,
            Pace {
                initial_interval: 15 * second,
                interval: 10 * second,
                timeout: second,
                max_consecutive_failures: 0,
                min_consecutive_successes: 1,
            }
        );
        assert_eq!(conduct(json!({}), &[("http", 80)]).check, None);
    }

    #[test]
    fn h17_an_alias_called_health_is_as_good_as_a_port() {
        let given = Ports::from([("http".into(), 31000)]);
        let announce = serde_json::from_value(json!({ "portmap": { "health": "http" } })).unwrap();
        let ports = crate::ports::resolved(Some(&announce), &given).unwrap();
        let ports: Vec<_> = ports.iter().map(|(name, port)| (name.as_str(), *port)).collect();
        assert_eq!(how(json!({ "http": {} }), &ports), "http 31000/health");
    }

    #[test]
    fn of_several_ways_to_look_the_closest_is_taken() {
        let shell = json!({ "shell_command": "true" });
        let all = json!({ "http": {}, "tcp": { "port": "http" }, "shell": shell });
        assert_eq!(how(all, &PORTS), "shell true");
        assert_eq!(how(json!({ "shell": shell }), &[]), "shell true");
        assert_eq!(how(json!({ "http": {}, "tcp": { "port": "http" } }), &PORTS), "tcp 80");
        assert_eq!(how(json!({ "tcp": {} }), &PORTS), "tcp 81");
        assert_eq!(how(json!({ "tcp": { "port": "x" } }), &PORTS), "none");
        assert_eq!(how(json!({ "http": {}, "tcp": { "port": "x" } }), &PORTS), "http 81/health");
        assert_eq!(how(json!({ "http": { "endpoint": "up" } }), &PORTS), "http 81/up");
        assert_eq!(how(json!({}), &PORTS), "none");
    }

    #[test]
    fn what_only_the_host_knows_is_filled_in() {
        let command = "nc -z localhost {{thermos.ports[http]}}".to_owned();
        let bind = |text: &str| {
            let bound = text.replace("{{thermos.ports[http]}}", "80");
            if bound.contains("{{") { Err(bound) } else { Ok(bound) }
        };
        let bound = How::Shell { command }.bound(bind);
        assert_eq!(bound, Ok(How::Shell { command: "nc -z localhost 80".into() }));
        let unknown = How::Shell { command: "{{x}}".into() };
        assert_eq!(unknown.bound(bind), Err("{{x}}".to_owned()));
    }

    #[test]
    fn times_that_make_no_sense_harm_nobody() {
        let pace = |secs: f64| {
            let config = json!({ "health_check_config": {
                "initial_interval_secs": secs, "interval_secs": secs, "timeout_secs": secs,
            }});
            let pace = conduct(config, &PORTS).check.unwrap().pace;
            (pace.initial_interval, pace.interval, pace.timeout)
        };
        assert_eq!(pace(-1.0), (Duration::ZERO, INTERVAL_MIN, Duration::ZERO));
        assert_eq!(pace(0.0), (Duration::ZERO, INTERVAL_MIN, Duration::ZERO));
        assert_eq!(pace(1e300), (YEAR, YEAR, YEAR));
        let millis = Duration::from_millis;
        assert_eq!(pace(0.25), (millis(250), millis(250), millis(250)));
        assert_eq!(seconds(f64::NAN), Duration::ZERO);
    }

    #[test]
    fn e10_a_task_with_a_port_for_it_is_asked_twice_to_leave() {
        let farewell = |path: &str, secs| Farewell {
            port: 81,
            path: path.into(),
            wait: Duration::from_secs(secs),
        };
        let usual = [farewell("/quitquitquit", 5), farewell("/abortabortabort", 5)];
        assert_eq!(*conduct(json!({}), &PORTS).farewells, usual);
        let own = json!({ "lifecycle": { "http": {
            "port": "health", "graceful_shutdown_endpoint": "quit", "shutdown_endpoint": "/now",
            "graceful_shutdown_wait_secs": 60, "shutdown_wait_secs": 0,
        }}});
        let own = conduct(own, &PORTS);
        assert_eq!(*own.farewells, [farewell("/quit", 60), farewell("/now", 0)]);
    }

    #[test]
    fn e10_a_task_without_a_port_or_a_lifecycle_is_not_asked() {
        assert_eq!(*conduct(json!({}), &[("http", 80)]).farewells, []);
        assert_eq!(*conduct(json!({ "lifecycle": {} }), &PORTS).farewells, []);
    }
}
