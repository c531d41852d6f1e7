//! Asks a program of a job's owner whether an instance may go.
//!
//! It is Aurora's question, so that programs which answered Aurora answer Airglow: a POST that
//! names the task and shows its configuration, to be answered by an object of booleans.

use std::{collections::BTreeMap, thread, time::Duration};

use airglow_kit::now;
use airglow_model::{drain::Inquiry, machine::Timestamp};
use serde_json::{Value, json};

/// Nobody needs more words for yes or no.
const ANSWER_MAX: u64 = 64 * 1024;

/// Asks from a thread of its own, because nothing waits for a coordinator: neither those who decide
/// nor the end of the scheduler.
pub(super) fn ask(
    cluster: String,
    inquiry: Inquiry,
    timeout: Duration,
    tell: impl FnOnce(Inquiry, Result<(), String>) + Send + 'static,
) {
    thread::spawn(move || {
        let advice = advice(&cluster, &inquiry, timeout)
            .map_err(|why| format!("Its coordinator, {}, {why}", inquiry.url));
        tell(inquiry, advice);
    });
}

fn advice(cluster: &str, inquiry: &Inquiry, timeout: Duration) -> Result<(), String> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(timeout))
        .user_agent(concat!("airglow/", env!("CARGO_PKG_VERSION")))
        .build();
    let task = format!("{cluster}/{}", inquiry.task);
    let answer = config
        .new_agent()
        .post(&inquiry.url)
        .query("task", &task)
        .send_json(question(&task, inquiry, now()))
        .map_err(|error| format!("does not answer: {error}"))?;
    if answer.status() != 200 {
        return Err(format!("answers with status {}", answer.status().as_u16()));
    }
    let words: BTreeMap<String, Value> = answer
        .into_body()
        .with_config()
        .limit(ANSWER_MAX)
        .read_json()
        .map_err(|error| format!("answers what is no object: {error}"))?;
    let key = &inquiry.status_key;
    match words.get(key).and_then(Value::as_bool) {
        Some(true) => Ok(()),
        Some(false) => Err("says that it has to stay".into()),
        None => Err(format!("does not say whether '{key}' is true or false")),
    }
}

fn question(task: &str, inquiry: &Inquiry, at: Timestamp) -> Value {
    let mut question = json!({"task": task, "taskConfig": inquiry.spec});
    if let Some(forced_at) = inquiry.forced_at {
        let countdown = forced_at.0.saturating_sub(at.0);
        question["forceMaintenanceCountdownMs"] = json!(countdown.to_string());
    }
    question
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
    };

    use airglow_model::{
        ids::{Attempt, JobKey},
        spec::JobSpec,
    };

    use super::*;

    fn spec() -> JobSpec {
        serde_json::from_value(json!({
            "cluster": "test", "role": "www", "environment": "prod", "name": "web",
            "task": {
                "name": "web",
                "processes": [{"name": "web", "cmdline": "true"}],
                "resources": {"cpu": 0.1, "ram": 1 << 20, "disk": 1 << 20},
            },
        }))
        .unwrap()
    }

    fn inquiry(port: u16) -> Inquiry {
        Inquiry {
            task: JobKey::new("www", "prod", "web").task(3),
            attempt: Attempt(1),
            url: format!("http://127.0.0.1:{port}/sla"),
            status_key: "drain".into(),
            forced_at: Some(Timestamp(now().0 + 60_000)),
            spec: Box::new(spec()),
        }
    }

    /// What comes of it when the coordinator answers that, and what it was asked.
    fn asked(answer: &'static str) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let coordinator = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).unwrap() > 2 {}
            let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.trim().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            head + &String::from_utf8(body).unwrap()
        });
        let advice = advice("test", &inquiry(port), Duration::from_secs(20));
        (advice, coordinator.join().unwrap())
    }

    #[test]
    fn it_is_asked_as_aurora_asked() {
        let (advice, heard) = asked("HTTP/1.0 200 OK\r\n\r\n{\"drain\": true}");
        assert_eq!(advice, Ok(()));
        let first = heard.lines().next().unwrap().replace("%2F", "/");
        assert_eq!(first, "POST /sla?task=test/www/prod/web/3 HTTP/1.1");
        let body: Value = serde_json::from_str(heard.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["task"], "test/www/prod/web/3");
        assert_eq!(body["taskConfig"]["name"], "web");
        let countdown: u64 = body["forceMaintenanceCountdownMs"].as_str().unwrap().parse().unwrap();
        assert!((1..=60_000).contains(&countdown), "{countdown}");
    }

    #[test]
    fn whatever_is_not_a_yes_is_a_no() {
        for (answer, why) in [
            ("HTTP/1.0 200 OK\r\n\r\n{\"drain\": false}", "says that it has to stay"),
            ("HTTP/1.0 200 OK\r\n\r\n{\"other\": true}", "does not say whether 'drain'"),
            ("HTTP/1.0 200 OK\r\n\r\n[]", "answers what is no object"),
            ("HTTP/1.0 500 Oh\r\n\r\n{\"drain\": true}", "answers with status 500"),
            ("HTTP/1.0 302 Oh\r\nlocation: /\r\n\r\n", "answers with status 302"),
            ("", "does not answer"),
        ] {
            let said = asked(answer).0.unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
