use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, jobs_of, spec};

const JOB: &str = "www-data/test/server";

/// It notes down what is asked of it, is well as long as there is a file `well`, and goes when it is
/// asked to leave if there is a file `polite`.
const SERVER: &str = r#"exec perl - {{thermos.ports[health]}} <<'END'
use strict; use warnings; use IO::Socket::INET;
my $listener = IO::Socket::INET->new(
  LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], Listen => 16, ReuseAddr => 1) or die $!;
while (my $client = $listener->accept) {
  my ($verb, $path) = split / /, <$client>;
  while (my $line = <$client>) { last if $line =~ /^\r?\n?$/ }
  open my $requests, '>>', 'requests' or die $!;
  print $requests "$verb $path\n";
  close $requests;
  my $text = -e 'well' ? 'ok' : 'sick';
  print $client "HTTP/1.0 200 OK\r\nContent-Length: ", length $text, "\r\n\r\n$text";
  close $client;
  exit 0 if $path eq '/quitquitquit' and -e 'polite';
}
END"#;

/// A job of one such server, looked at every 100 ms, of which the first 100 times do not count.
fn server() -> Value {
    let mut job = spec("server", SERVER, 1, true);
    job["health_check_config"] =
        json!({ "initial_interval_secs": 10, "interval_secs": 0.1, "max_consecutive_failures": 2 });
    job["lifecycle"] =
        json!({ "http": { "graceful_shutdown_wait_secs": 2, "shutdown_wait_secs": 1 } });
    job
}

struct Served {
    cluster: Cluster,
    task_id: String,
}

impl Served {
    /// It has been asked how it is, and was not well.
    fn start() -> Self {
        let cluster = Cluster::start();
        let (status, answer) = cluster.post("/jobs", &jobs_of(&[server()]));
        assert_eq!(status, 201, "{answer}");
        let task_id = eventually("it is starting", || {
            let instance = cluster.instances(JOB).into_iter().next()?;
            let task_id = instance["task_id"].as_str()?.to_owned();
            (instance["status"] == "STARTING").then_some(task_id)
        });
        let served = Self { cluster, task_id };
        served.says("checks", 3);
        served
    }

    fn detail(&self) -> Value {
        self.cluster.get(&format!("/tasks/{}", self.task_id))
    }

    /// Until that many checks more, at least.
    fn says(&self, count: &str, more: u64) {
        let count = || self.detail()["health"][count].as_u64();
        let before = eventually("there is health to be seen", count);
        eventually("it is checked", || (before + more <= count()?).then_some(()));
    }

    fn reaches(&self, status: &str) -> Value {
        eventually(status, || {
            let detail = self.detail();
            (detail["task"]["status"] == status).then_some(detail)
        })
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        let tasks = self.cluster.data("scheduler").join("agent/tasks");
        tasks.join(&self.task_id).join("sandbox").join(name)
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.file(name), "").unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).unwrap();
    }

    /// What it was asked, but for how it is.
    fn farewells(&self) -> Vec<String> {
        let requests = std::fs::read_to_string(self.file("requests")).unwrap();
        requests.lines().filter(|it| *it != "GET /health").map(str::to_owned).collect()
    }

    fn kill(&self) {
        self.cluster.succeeds(&["job", "killall", &format!("devcluster/{JOB}"), "--no-batching"]);
        self.reaches("KILLED");
    }
}

fn last_message(detail: &Value) -> &str {
    detail["events"].as_array().unwrap().last().unwrap()["message"].as_str().unwrap_or_default()
}

#[test]
fn h13_a_job_is_starting_until_it_is_healthy_and_fails_and_begins_again_when_it_is_not() {
    let served = Served::start();
    let reason = r#"Response differs from expected response (expected "ok", got "sick")"#;
    let starting = eventually("the server answers", || {
        let detail = served.detail();
        let last = detail["health"]["last"].as_array()?.last()?;
        (last["message"] == reason).then(|| detail.clone())
    });
    assert_eq!(starting["task"]["status"], "STARTING");
    served.touch("well");
    assert_eq!(last_message(&served.reaches("RUNNING")), "Task is healthy.");

    served.remove("well");
    let failed = served.reaches("FAILED");
    assert_eq!(last_message(&failed), format!("Failed health check! {reason}"));
    eventually("another run is on its way", || {
        let instance = served.cluster.instances(JOB).into_iter().next()?;
        (instance["task_id"] != served.task_id).then_some(())
    });
}

#[test]
fn a_health_check_that_snoozes_is_content_with_anything() {
    let served = Served::start();
    served.touch(".healthchecksnooze");
    served.reaches("RUNNING");
    // More than may fail, and more than do not count.
    served.says("checks", 110);
    let detail = served.detail();
    assert_eq!(detail["task"]["status"], "RUNNING", "{detail}");
    assert_eq!(detail["health"]["is_snoozed"], true, "{detail}");
    served.remove(".healthchecksnooze");
    served.reaches("FAILED");
}

#[test]
fn e10_a_task_is_asked_to_leave_twice_before_it_is_told() {
    let served = Served::start();
    served.touch("well");
    served.reaches("RUNNING");
    served.kill();
    assert_eq!(served.farewells(), ["POST /quitquitquit", "POST /abortabortabort"]);
}

#[test]
fn e10_who_leaves_when_asked_is_not_asked_again() {
    let served = Served::start();
    served.touch("well");
    served.touch("polite");
    served.reaches("RUNNING");
    served.kill();
    assert_eq!(served.farewells(), ["POST /quitquitquit"]);
}

#[test]
fn what_a_killed_task_is_waiting_for_can_be_seen() {
    let served = Served::start();
    served.touch("well");
    served.reaches("RUNNING");
    let leaving = std::thread::scope(|scope| {
        scope.spawn(|| served.kill());
        eventually("it says that it is leaving", || {
            let stage = served.detail()["stage"].clone();
            (stage["name"] == "leaving").then_some(stage)
        })
    });
    let detail = leaving["detail"].as_str().unwrap();
    assert!(detail.contains("quitquitquit") || detail.contains("abortabortabort"), "{leaving}");
}
