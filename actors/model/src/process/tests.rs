use super::*;

const POLICY: Policy = Policy {
    max_failures: 1,
    daemon: false,
    ephemeral: false,
    min_duration: Duration::from_secs(10),
    max_runs: RUNS_MAX,
};

fn at(secs: u64) -> Timestamp {
    Timestamp(secs * 1000)
}

/// What it is after runs that end as told, each started as soon as it may be: `3+` succeeds at
/// second 3, `-` fails, `k` is killed, `l` is lost.
fn story(policy: Policy, runs: &str) -> String {
    let mut process = Process::new(policy);
    let mut told = Vec::new();
    for run in runs.split_whitespace() {
        let (secs, how) = run.split_at(run.len() - 1);
        let exit = match how {
            "+" => Exit::Code(0),
            "-" => Exit::Code(1),
            "k" => Exit::Signal(9),
            _ => Exit::Lost,
        };
        let ended = at(secs.parse().unwrap());
        let begun = process
            .step(ended, &Event::Chosen)
            .and_then(|it| it.step(ended, &Event::Started { at: ended, pid: 7 }))
            .and_then(|it| it.step(ended, &Event::Ended { at: ended, exit }));
        match begun {
            Ok(next) => process = next,
            Err(rejected) => told.push(format!("{run} {rejected}")),
        }
    }
    told.push(if let State::Waiting { until } = process.state {
        format!("waiting until {}", until.0 / 1000)
    } else {
        process.name().to_owned()
    });
    told.join("; ")
}

#[test]
fn the_whole_table() {
    let process = |state| Process { state, ..Process::new(POLICY) };
    let states = [
        State::Waiting { until: at(0) },
        State::Forked { at: at(0) },
        State::Running { at: at(0), pid: 7 },
        State::Finished,
        State::Failed,
    ];
    let ended = |exit| Event::Ended { at: at(1), exit };
    let events = [
        Event::Chosen,
        Event::Started { at: at(1), pid: 7 },
        ended(Exit::Code(0)),
        ended(Exit::Code(1)),
        ended(Exit::Signal(9)),
        ended(Exit::Lost),
        ended(Exit::Unstarted("no bash".into())),
    ];
    let table: String = states
        .into_iter()
        .map(|state| {
            let before = process(state);
            let cells: Vec<_> = events
                .iter()
                .map(|event| before.step(at(1), event).map_or("-", |after| after.name()))
                .collect();
            format!("{:9}{}\n", before.name(), cells.join(" "))
        })
        .collect();
    assert_eq!(
        table,
        "\
waiting  forked - - - - - -
forked   - running finished failed waiting waiting failed
running  - - finished failed waiting waiting failed
finished - - - - - - -
failed   - - - - - - -
"
    );
}

#[test]
fn p5_an_ephemeral_process_that_gives_up_has_finished() {
    assert_eq!(story(Policy { ephemeral: true, ..POLICY }, "1-"), "finished");
    assert_eq!(story(POLICY, "1-"), "failed");
}

#[test]
fn p7_a_daemon_ends_when_it_has_failed_too_often() {
    let daemon = |max_failures| Policy { daemon: true, max_failures, ..POLICY };
    assert_eq!(story(daemon(1), "1-"), "failed");
    assert_eq!(story(daemon(2), "1- 11+"), "waiting until 21");
    assert_eq!(story(daemon(2), "1- 11+ 21-"), "failed");
}

#[test]
fn p11_the_next_run_waits_for_min_duration_after_the_last() {
    let policy = Policy { daemon: true, max_failures: 2, ..POLICY };
    assert_eq!(story(policy, "5+"), "waiting until 15");
    let too_early = "chosen does not apply to something waiting; waiting until 15";
    assert_eq!(story(policy, "5+ 10-"), format!("10- {too_early}"));
    assert_eq!(story(policy, "5+ 15-"), "waiting until 25");
    assert_eq!(story(policy, "5+ 15- 25-"), "failed");
}

#[test]
fn p14_a_daemon_that_may_always_fail_never_ends() {
    let policy = Policy { daemon: true, max_failures: 0, ..POLICY };
    let rounds: String = (0..10).map(|it| format!("{}- {}+ ", it * 20, it * 20 + 10)).collect();
    assert_eq!(story(policy, &rounds), "waiting until 200");
}

#[test]
fn p17_the_number_of_runs_is_limited_however_they_end() {
    let policy = Policy { max_failures: 100, max_runs: 3, ..POLICY };
    assert_eq!(story(policy, "0- 10l"), "waiting until 20");
    assert_eq!(story(policy, "0- 10l 20-"), "failed");
    assert_eq!(story(Policy { daemon: true, ..policy }, "0- 10+ 20l"), "failed");
    assert_eq!(story(policy, "0- 10l 20+"), "finished");
}

#[test]
fn runs_that_were_killed_or_lost_do_not_count_as_failures() {
    assert_eq!(story(POLICY, "1k 11l 21k"), "waiting until 31");
    assert_eq!(story(POLICY, "1k 11l 21k 31-"), "failed");
}

#[test]
fn runs_are_shown_with_how_they_ended() {
    let process = Process::new(POLICY);
    let steps = [
        Event::Chosen,
        Event::Started { at: at(1), pid: 7 },
        Event::Ended { at: at(2), exit: Exit::Signal(9) },
        Event::Chosen,
        Event::Started { at: at(20), pid: 8 },
    ];
    let process = steps.iter().fold(process, |it, event| it.step(at(20), event).unwrap());
    let runs = serde_json::to_value(process.shown_runs(9)).unwrap();
    assert_eq!(
        runs,
        serde_json::json!([
            { "run": 0, "state": "KILLED", "pid": 7, "started_at": 1000, "ended_at": 2000, "exit_code": -9 },
            { "run": 1, "state": "RUNNING", "pid": 8, "started_at": 20000 },
        ])
    );
    assert_eq!(process.shown_state(), ProcessState::Running);
}
