use std::{cell::RefCell, collections::VecDeque};

use airglow_model::conduct::How;
use tokio::{sync::mpsc, time::timeout};

use super::*;
use crate::{localhost::server::Server, template};

const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than anything takes that is not meant to take for ever.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

fn pace(interval: Duration, timeout: Duration) -> Pace {
    Pace {
        initial_interval: Duration::ZERO,
        interval,
        timeout,
        max_consecutive_failures: 0,
        min_consecutive_successes: 1,
    }
}

/// What is heard of one checkup.
struct Patient {
    told: mpsc::UnboundedReceiver<Told>,
    sandbox: tempfile::TempDir,
    appointment: Option<Appointment>,
}

impl Patient {
    fn new(how: How, pace: Pace, shell: Shell) -> Self {
        Self::of(how, pace, false, shell, |_| {})
    }

    fn of(
        how: How,
        pace: Pace,
        is_resumed: bool,
        shell: Shell,
        prepare: impl Fn(&std::path::Path),
    ) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let sandbox = tempfile::tempdir().unwrap();
        prepare(sandbox.path());
        let snooze_file = sandbox.path().join(".healthchecksnooze");
        let tell = move |told| drop(sender.send(told));
        let check = Check { how, pace };
        let appointment = Checkup::start(check, is_resumed, snooze_file, shell, tell);
        Self { told, sandbox, appointment: Some(appointment) }
    }

    async fn hears(&mut self) -> Option<Told> {
        timeout(PATIENCE, self.told.recv()).await.expect("something is told")
    }

    async fn sees(&mut self) -> HealthView {
        match self.hears().await {
            Some(Told::Seen(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    /// The next news that is not only for looking at.
    async fn news(&mut self) -> Option<Told> {
        loop {
            match self.hears().await {
                Some(Told::Seen(_)) => {}
                news => return news,
            }
        }
    }
}

fn unhealthy(reason: &str) -> Option<Told> {
    Some(Told::Unhealthy { reason: reason.into() })
}

fn shell(run: impl Fn(String) -> Result<(Exit, String), String> + 'static) -> Shell {
    Arc::new(move |command, _| {
        let ended = run(command);
        Box::pin(async { ended })
    })
}

fn no_shell() -> Shell {
    shell(|command| panic!("{command}"))
}

fn command(text: &str) -> How {
    How::Shell { command: text.into() }
}

/// Fails and succeeds as told, and for ever as told last.
fn scripted(script: &str) -> Shell {
    let script: RefCell<VecDeque<_>> = RefCell::new(script.chars().collect());
    shell(move |_| {
        let mut script = script.borrow_mut();
        let next = if 1 < script.len() { script.pop_front() } else { script.front().copied() };
        Ok((Exit::Code(i32::from(next == Some('F'))), "reason".into()))
    })
}

fn http(port: u16, expected_response: &str, expected_code: i64) -> How {
    let (path, expected_response) = ("/health".into(), expected_response.into());
    How::Http { port, path, expected_response, expected_code }
}

/// What the first check of a task makes of it: nothing, if it is healthy.
async fn first(how: How, within: Duration) -> String {
    let mut patient = Patient::new(how, pace(LONG, within), no_shell());
    match patient.news().await {
        Some(Told::Healthy) => String::new(),
        Some(Told::Unhealthy { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn says(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[actix_rt::test]
async fn h13_an_http_check_compares_what_it_is_answered() {
    let code = "Response code differs from expected response";
    let text = "Response differs from expected response";
    for (status, body, expected_response, expected_code, why) in [
        ("200 OK", "ok", "ok", 0, String::new()),
        ("200 OK", " OK\n", "ok", 0, String::new()),
        ("200 OK", "ok", "OK", 200, String::new()),
        ("200 OK", "nope", "ok", 0, format!(r#"{text} (expected "ok", got "nope")"#)),
        ("200 OK", "123456789", "ok", 0, format!(r#"{text} (expected "ok", got "123456789")"#)),
        ("200 OK", "1234567890", "ok", 0, format!(r#"{text} (expected "ok", got "1234567...")"#)),
        (
            "200 OK",
            "Überfüllung droht",
            "VERY WELL, THANKS",
            0,
            format!(r#"{text} (expected "very we...", got "überfül...")"#),
        ),
        ("200 OK", "nope", "", 0, String::new()),
        ("204 No", "", "", 200, format!("{code} (expected 200, got 204)")),
        ("404 No", "ok", "ok", 200, format!("{code} (expected 200, got 404)")),
        ("404 No", "ok", "ok", 0, format!(r#"{text} (expected "ok", got "")"#)),
        ("503 No", "ok", "", 503, String::new()),
        ("503 No", "ok", "", 0, String::new()),
    ] {
        let server = Server::answers(says(status, body)).await;
        let how = http(server.port, expected_response, expected_code);
        assert_eq!(first(how, LONG).await, why, "{status} {body}");
        let heard = server.heard();
        let expected = format!("GET /health HTTP/1.1\r\nhost: localhost:{}\r\n", server.port);
        assert!(heard[0].starts_with(&expected), "{heard:?}");
    }
}

#[actix_rt::test]
async fn h13_who_cannot_be_asked_is_not_well() {
    let fails = "Failed to signal URL: ";
    let nobody = Server::nobody().await;
    let why = first(http(nobody.port, "ok", 0), LONG).await;
    assert_eq!(why, format!("{fails}Connection refused (os error 111)"));
    for silent in [Server::answers("").await, Server::stuck("HTTP/1.1 200 OK\r\n\r\nok").await] {
        let why = first(http(silent.port, "ok", 0), SHORT * 10).await;
        assert_eq!(why, format!("{fails}timed out"));
    }
    for strange in ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok"] {
        let server = Server::answers(strange).await;
        let why = first(http(server.port, "ok", 0), LONG).await;
        assert!(why.starts_with(fails) && why.len() > fails.len(), "{why}");
    }
    let server = Server::answers(says("200 OK", "ok")).await;
    let path = "/ HTTP/1.1\r\nHost: example.com\r\n\r\nGET /".to_owned();
    let how =
        How::Http { port: server.port, path, expected_response: String::new(), expected_code: 0 };
    let why = first(how, LONG).await;
    assert!(why.starts_with(fails) && why.ends_with("is no path"), "{why}");
    assert_eq!(server.heard(), Vec::<String>::new());
}

#[actix_rt::test]
async fn h13_an_answer_is_not_read_for_ever() {
    let endless = Server::endless("HTTP/1.1 200 OK\r\n\r\n").await;
    let why = first(http(endless.port, "ok", 0), LONG).await;
    let expected = r#"Response differs from expected response (expected "ok", got "xxxxxxx...")"#;
    assert_eq!(why, expected);
    let endless = Server::endless("HTTP/1.1 200 OK\r\nX-Long: ").await;
    let why = first(http(endless.port, "ok", 0), LONG).await;
    assert!(why.starts_with("Failed to signal URL: "), "{why}");
}

#[actix_rt::test]
async fn h13_redirects_are_followed_on_this_host_alone() {
    let server = Server::replies(|request| match request.split(' ').nth(1) {
        Some("/health") => "HTTP/1.1 302 Found\r\nLocation: up\r\n\r\n".into(),
        Some("/up") => "HTTP/1.1 301 Moved\r\nLocation: /really?\r\n\r\n".into(),
        Some("/really?") => says("200 OK", "ok"),
        other => panic!("{other:?}"),
    });
    let server = server.await;
    assert_eq!(first(http(server.port, "ok", 200), LONG).await, "");
    let away = "HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\n\r\n";
    let server = Server::answers(away).await;
    let why = first(http(server.port, "ok", 0), LONG).await;
    let expected = "it redirects to http://example.com/, which is not on this host";
    assert_eq!(why, format!("Failed to signal URL: {expected}"));
    let server = Server::answers("HTTP/1.1 302 Found\r\nLocation: /health\r\n\r\n").await;
    let why = first(http(server.port, "ok", 0), LONG).await;
    assert_eq!(why, "Failed to signal URL: it redirects again and again");
    assert_eq!(server.heard().len(), 11);
}

#[actix_rt::test]
async fn h13_who_listens_on_ipv6_alone_is_asked_too() {
    let server = Server::on_ipv6("HTTP/1.0 200 OK\r\n\r\nok").await;
    assert_eq!(first(http(server.port, "ok", 200), LONG).await, "");
    assert_eq!(first(How::Tcp { port: server.port }, LONG).await, "");
}

#[actix_rt::test]
async fn a_tcp_check_is_content_with_somebody_who_listens() {
    let silent = Server::answers("").await;
    assert_eq!(first(How::Tcp { port: silent.port }, LONG).await, "");
    let nobody = Server::nobody().await;
    let why = first(How::Tcp { port: nobody.port }, LONG).await;
    let port = nobody.port;
    let expected = format!("Failed to connect to port {port}: Connection refused (os error 111)");
    assert_eq!(why, expected);
}

#[actix_rt::test]
async fn h14_a_shell_check_tells_how_its_command_ended() {
    let long = "é".repeat(2000);
    let cut = format!("{}...", "é".repeat(1000));
    let status = "Command 'test -e x' returned non-zero exit status";
    for (ended, why) in [
        (Ok((Exit::Code(0), String::new())), None),
        (Ok((Exit::Code(1), "no x\n".into())), Some(format!("{status} 1 with output 'no x\n'"))),
        (Ok((Exit::Signal(9), String::new())), Some(format!("{status} -9 with output ''"))),
        (Ok((Exit::Code(2), long)), Some(format!("{status} 2 with output '{cut}'"))),
        (
            Ok((Exit::Unstarted("No such file or directory".into()), String::new())),
            Some("OSError: No such file or directory".into()),
        ),
        (
            Ok((Exit::Lost, String::new())),
            Some("Internal health check error: the command was lost".into()),
        ),
        (Err("no shepherd".into()), Some("Internal health check error: no shepherd".into())),
    ] {
        let run = shell(move |command| {
            assert_eq!(command, "test -e x");
            ended.clone()
        });
        let mut patient = Patient::new(command("test -e x"), pace(LONG, LONG), run);
        let expected = why.map_or(Told::Healthy, |reason| Told::Unhealthy { reason });
        assert_eq!(patient.news().await, Some(expected));
    }
}

#[actix_rt::test]
async fn h14_a_command_that_takes_too_long_is_told_so_and_is_not_waited_for() {
    struct Waits(mpsc::UnboundedSender<()>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (given_up, mut is_given_up) = mpsc::unbounded_channel();
    let forever: Shell = Arc::new(move |_, within| {
        assert_eq!(within, SHORT);
        let waits = Waits(given_up.clone());
        Box::pin(async move {
            let _waits = waits;
            std::future::pending().await
        })
    });
    let mut patient = Patient::new(command("sleep 1000"), pace(LONG, SHORT), forever);
    assert_eq!(patient.news().await, unhealthy("Health check timed out."));
    timeout(PATIENCE, is_given_up.recv()).await.unwrap().unwrap();
}

#[actix_rt::test]
async fn h16_what_only_the_host_knows_is_in_the_command() {
    let names = template::Names::from([("thermos.ports[http]".into(), "31000".into())]);
    let how = command("nc -z localhost {{thermos.ports[http]}}");
    let bound = how.bound(|text| template::bind(text, &names)).unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let run = {
        let heard = heard.clone();
        shell(move |command| {
            heard.borrow_mut().push(command);
            Ok((Exit::Code(0), String::new()))
        })
    };
    let mut patient = Patient::new(bound, pace(LONG, LONG), run);
    assert_eq!(patient.sees().await.check, "nc -z localhost 31000");
    assert_eq!(patient.news().await, Some(Told::Healthy));
    assert_eq!(*heard.borrow(), ["nc -z localhost 31000"]);
    let unknown = command("{{mesos.nothing}}").bound(|text| template::bind(text, &names));
    assert_eq!(unknown.unwrap_err(), "Unexpected unbound refs: mesos.nothing");
}

#[actix_rt::test]
async fn h2_h8_health_and_its_end_are_told_once() {
    let pace = Pace { initial_interval: SHORT, min_consecutive_successes: 2, ..pace(SHORT, LONG) };
    let mut patient = Patient::new(command("x"), pace, scripted("FSSSSSF"));
    let mut seen = String::new();
    let end = loop {
        match patient.hears().await {
            Some(Told::Seen(view)) => seen.push(if view.is_healthy { 'h' } else { 's' }),
            Some(Told::Healthy) => seen.push('!'),
            end => break end,
        }
    };
    assert_eq!(seen, "sssh!hhhs");
    assert_eq!(end, unhealthy("Command 'x' returned non-zero exit status 1 with output 'reason'"));
    assert_eq!(patient.hears().await, None, "nobody looks any more");
}

#[actix_rt::test]
async fn what_was_seen_last_is_kept_and_no_more() {
    let pace = Pace { max_consecutive_failures: 100, ..pace(Duration::from_millis(1), LONG) };
    let mut patient = Patient::new(command("x"), pace, scripted("SF"));
    let none = patient.sees().await;
    assert_eq!(none, HealthView { check: "x".into(), ..HealthView::default() });
    let one = patient.sees().await;
    assert_eq!((one.checks, one.consecutive_successes, one.last.len()), (1, 1, 1));
    assert!(one.is_healthy && one.last[0].is_success && one.last[0].message.is_empty());
    assert_eq!(patient.hears().await, Some(Told::Healthy));
    let mut view = one;
    while view.checks < 15 {
        view = patient.sees().await;
    }
    assert!(view.is_healthy);
    assert_eq!((view.consecutive_failures, view.last.len()), (14, CHECKS_SHOWN));
    let newest = view.last.last().unwrap();
    assert!(!newest.is_success && newest.message.ends_with("with output 'reason'"), "{newest:?}");
    assert!(view.last.is_sorted_by_key(|it| it.at));
}

#[actix_rt::test]
async fn a_task_that_was_healthy_is_resumed_as_such() {
    let forgiving = Pace { initial_interval: LONG, ..pace(SHORT, LONG) };
    let run = scripted("SSF");
    let mut patient = Patient::of(command("x"), forgiving, true, run, |_| {});
    assert!(patient.sees().await.is_healthy);
    // That it is well is no news, and nothing is forgiven again.
    let why = "Command 'x' returned non-zero exit status 1 with output 'reason'";
    assert_eq!(patient.news().await, unhealthy(why));
}

#[actix_rt::test]
async fn a_snoozed_task_is_well_whatever_it_is() {
    let is_asked = no_shell();
    let asleep = |path: &std::path::Path| {
        // It need not lead anywhere, and is not followed.
        std::os::unix::fs::symlink("/nowhere", path.join(".healthchecksnooze")).unwrap();
    };
    let mut patient = Patient::of(command("x"), pace(SHORT, LONG), false, is_asked, asleep);
    assert!(!patient.sees().await.is_snoozed);
    assert!(patient.sees().await.is_snoozed);
    assert_eq!(patient.hears().await, Some(Told::Healthy));
    assert!(patient.sees().await.is_snoozed);
    fs::remove_file(patient.sandbox.path().join(".healthchecksnooze")).unwrap();
    assert_eq!(patient.news().await, unhealthy("Internal health check error: x"));
}

#[actix_rt::test]
async fn a_check_that_panics_has_failed_and_is_tried_again() {
    let pace = Pace { max_consecutive_failures: 2, ..pace(SHORT, LONG) };
    let mut patient = Patient::new(command("oh no"), pace, no_shell());
    let why = "Internal health check error: oh no";
    assert_eq!(patient.news().await, unhealthy(why));
}

#[actix_rt::test]
async fn nobody_is_checked_any_more_than_wanted() {
    let mut patient = Patient::new(command("x"), pace(SHORT, LONG), scripted("S"));
    assert_eq!(patient.news().await, Some(Told::Healthy));
    patient.appointment = None;
    while patient.hears().await.is_some() {}
    // Also if it is in the middle of it.
    let forever: Shell = Arc::new(|_, _| Box::pin(std::future::pending()));
    let mut patient = Patient::new(command("x"), pace(SHORT, LONG), forever);
    patient.sees().await;
    patient.appointment = None;
    assert_eq!(patient.hears().await, None);
}

#[actix_rt::test]
async fn a_thousand_tasks_are_checked_at_once_and_the_slow_ones_hold_up_nobody() {
    crate::probe::raise_open_files().unwrap();
    let silent = Server::answers("").await;
    let lively = Server::answers(says("200 OK", "ok")).await;
    let slow: Vec<_> = (0..300)
        .map(|_| Patient::new(http(silent.port, "ok", 0), pace(LONG, PATIENCE), no_shell()))
        .collect();
    let mut quick: Vec<_> = (0..700)
        .map(|_| Patient::new(http(lively.port, "ok", 0), pace(LONG, PATIENCE), no_shell()))
        .collect();
    for patient in &mut quick {
        assert_eq!(patient.news().await, Some(Told::Healthy));
    }
    for mut patient in slow {
        patient.sees().await;
        assert!(patient.told.try_recv().is_err(), "the slow ones are still at it");
    }
}

#[test]
fn checks_do_not_stay_in_step() {
    let parts: std::collections::BTreeSet<_> = (0..100).map(|_| a_part_of(LONG)).collect();
    assert!(20 < parts.len(), "{parts:?}");
    assert!(parts.iter().all(|it| *it < LONG));
    assert_eq!(a_part_of(Duration::ZERO), Duration::ZERO);
}
