//! An agent that is killed again and again, for two minutes, while tasks start, fail, restart, log,
//! rotate and end: no run is lost, none is doubled, and of what was said no byte is missing.
//!
//! The tasks keep their own accounts. Each run marks its beginning in the sandbox by a word that it
//! has made up, says that word, and then counts. So the marks tell how many runs there were, and
//! each log tells whose it is, and whether it is whole.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use airglow_model::wire::{ProcessView, RunState, Status};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{agent::Settings, rig::Rig, trials};

trials![nothing_is_lost_however_often_the_agent_is_killed];

const LASTS: Duration = Duration::from_secs(120);

/// So many tasks at a time, whatever becomes of them.
const AT_ONCE: usize = 6;

/// Agents live for one of these times, in turn: too short to connect, and long enough to get on.
const LIVES: [u64; 7] = [5, 700, 60, 1500, 0, 250, 3000];

fn nothing_is_lost_however_often_the_agent_is_killed() {
    let mut rig = Rig::new(Settings::ISOLATED);
    let end = Instant::now() + LASTS;
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for life in LIVES.iter().cycle().map(|it| Duration::from_millis(*it)) {
        if end < Instant::now() {
            break;
        }
        let until = Instant::now() + life;
        while Instant::now() < until {
            start_more(&mut rig, &mut kinds);
            rig.hear(until - Instant::now());
        }
        rig.kill_agent();
        rig.start_agent();
    }
    rig.connect();
    for (id, _) in kinds.iter().filter(|(_, kind)| **kind == Kind::IsKilled) {
        rig.kill(id);
    }
    rig.until("all have ended", |rig| rig.pending() == 0);
    assert!(AT_ONCE < kinds.len(), "hardly anything has happened");
    for (id, kind) in &kinds {
        check(&mut rig, id, *kind);
    }
    assert_eq!(rig.processes(), [0_i32; 0]);
}

/// What becomes of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Finishes,
    Fails,
    IsKilled,
}

fn start_more(rig: &mut Rig, kinds: &mut BTreeMap<String, Kind>) {
    while rig.pending() < AT_ONCE {
        let number = kinds.len();
        let kind = [Kind::Finishes, Kind::Fails, Kind::Finishes, Kind::IsKilled][number % 4];
        let id = format!("t{number}");
        rig.launch(&id, task(kind));
        kinds.insert(id, kind);
        // A few tasks later, so that it has come to something.
        let doomed = number.checked_sub(AT_ONCE / 2).map(|it| format!("t{it}"));
        if let Some(id) = doomed.filter(|it| kinds[it] == Kind::IsKilled) {
            rig.kill(&id);
        }
    }
}

/// How many lines a run has to say, each of a hundred bytes.
const LINES: usize = 3000;

/// `first` fails twice before it succeeds; then come `loud`, of whom there is much to read, and
/// `last`, which cleans up.
fn task(kind: Kind) -> Value {
    let count = format!(
        "for ((i = 0; i < {LINES}; i++)); do printf '%099d\\n' $i; ((i % 300)) || sleep 0.2; done"
    );
    let end = match kind {
        Kind::Finishes => "exit 0",
        Kind::Fails => "exit 1",
        Kind::IsKilled => "exec sleep 10000",
    };
    let process = |name: &str, cmdline: &str| {
        let mark = format!("mark=$$-$EPOCHREALTIME; echo $mark >> marks.{name}; echo $mark");
        json!({
            "name": name, "cmdline": format!("{mark}; {cmdline}"),
            "max_failures": 3, "min_duration": 0,
            "logger": { "mode": "rotate", "rotate": { "log_size": 65536, "backups": 100 } },
        })
    };
    let mut last = process("last", "echo bye");
    last["final"] = json!(true);
    json!({
        "processes": [
            process("first", "sleep 0.1; echo tried; (($(wc -l < marks.first) == 3))"),
            process("loud", &format!("{count}; {end}")),
            last,
        ],
        "constraints": [{ "order": ["first", "loud"] }],
        "finalization_wait": 30,
    })
}

fn check(rig: &mut Rig, id: &str, kind: Kind) {
    let expected = match kind {
        Kind::Finishes => RunState::Finished,
        Kind::Fails => RunState::Failed,
        Kind::IsKilled => RunState::Killed,
    };
    let reports = rig.reports.values().filter(|it| *it.task_id.0 == *id);
    let ends: Vec<&Status> = reports.filter(|it| it.state.is_terminal()).collect();
    // An agent that does not know whether it has said so says it again.
    let is_one = !ends.is_empty() && ends.iter().all(|it| it.message == ends[0].message);
    assert!(is_one && ends[0].state == expected, "{id} ends {ends:?} and not {expected:?}");
    for process in rig.view(id).processes {
        let runs = check_runs(rig, id, &process, kind);
        let expected = match (process.name.as_str(), kind) {
            ("last", _) | ("loud", Kind::Finishes) => 1,
            ("first", Kind::Finishes | Kind::Fails) | ("loud", Kind::Fails) => 3,
            // However far it has come by then.
            _ => runs,
        };
        assert_eq!(runs, expected, "{id}: {process:?}");
    }
}

/// Each run that there was has marked its beginning once, and has the log that it has written.
fn check_runs(rig: &mut Rig, id: &str, process: &ProcessView, kind: Kind) -> usize {
    let name = &process.name;
    let marks = fs::read_to_string(rig.sandbox(id).join(format!("marks.{name}")));
    let marks = marks.unwrap_or_default();
    let marked: Vec<_> = marks.lines().collect();
    let begun: Vec<_> = process.runs.iter().filter(|it| it.pid.is_some()).collect();
    // Who is killed right at the beginning has not made a mark.
    let most_unmarked = usize::from(kind == Kind::IsKilled);
    let is_right = (marked.len()..=marked.len() + most_unmarked).contains(&begun.len());
    assert!(is_right, "{id}: {marked:?} of {process:?}");
    for (run, mark) in begun.iter().zip(&marked) {
        let log = String::from_utf8(rig.log(id, name, run.run)).unwrap();
        let whole = said(name, mark);
        let is_whole = run.exit_code.is_some_and(|it| 0 <= it);
        let is_right = if is_whole { log == whole } else { whole.starts_with(&log) };
        assert!(is_right, "{id}: {run:?} has {} bytes: {}", log.len(), difference(&log, &whole));
    }
    begun.len()
}

/// All that a run has to say.
fn said(process: &str, mark: &str) -> String {
    let mut said = format!("{mark}\n");
    match process {
        "first" => said.push_str("tried\n"),
        "loud" => (0..LINES).for_each(|it| writeln!(said, "{it:099}").unwrap()),
        _ => said.push_str("bye\n"),
    }
    said
}

fn difference(found: &str, expected: &str) -> String {
    let same = found.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    format!("line {same} is {:?}", found.lines().nth(same))
}
