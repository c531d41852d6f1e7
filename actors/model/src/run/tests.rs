use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    conduct::{Check, How, Pace},
    process::Exit,
    wire::ProcessState,
};

mod health;
mod leaving;
mod shown;

/// Plays a task against processes that do as they are told to, in virtual time, and writes down
/// what happens.
///
/// One process a line: `name flags… : runs…`. A run is how long it takes and how it ends: `2+`
/// succeeds after two seconds, `-` fails, `k` is killed, `l` is lost; the last one is repeated.
/// Flags: `final daemon ephemeral max=N wait=N` and `stubborn`, which takes no notice of SIGTERM.
///
/// Of the task: its orders as `a<b<c`, `max=N concurrency=N wait=N`, `checked`, and what becomes of
/// its farewells: `farewells=heard,deaf,mute`, each with a wait of 5 seconds if it is heard.
struct Play {
    run: Run,
    now: Timestamp,
    scripts: BTreeMap<Arc<str>, Script>,
    farewells: Vec<String>,
    asked: BTreeSet<Effect>,
    begun: BTreeSet<RunId>,
    /// Whether the agent crashes after each step: the next one has what was written down only.
    crashes: bool,
    newborn: Run,
    journal: Vec<(Timestamp, String)>,
    /// What will happen, and when.
    coming: BTreeSet<(Timestamp, RunId, String)>,
    log: String,
}

struct Script {
    runs: Vec<String>,
    stubborn: bool,
}

impl Play {
    fn new(task: &str, processes: &str) -> Self {
        let mut scripts = BTreeMap::new();
        let mut specs = Vec::new();
        for line in processes.lines().filter(|it| !it.trim().is_empty()) {
            let (flags, runs) = line.split_once(':').unwrap();
            let mut flags = flags.split_whitespace();
            let name = flags.next().unwrap();
            let flags: Vec<_> = flags.collect();
            let number =
                |flag: &str| flags.iter().find_map(|it| it.strip_prefix(flag)?.parse().ok());
            specs.push(serde_json::json!({
                "name": name, "cmdline": "", "final": flags.contains(&"final"),
                "daemon": flags.contains(&"daemon"), "ephemeral": flags.contains(&"ephemeral"),
                "max_failures": number("max=").unwrap_or(1),
                "min_duration": number("wait=").unwrap_or(15),
            }));
            let runs = runs.split_whitespace().map(str::to_owned).collect();
            scripts.insert(name.into(), Script { runs, stubborn: flags.contains(&"stubborn") });
        }
        let field = |name: &str| task.split_whitespace().find_map(|it| it.strip_prefix(name));
        let number = |name, usual: i64| field(name).map_or(usual, |it| it.parse().unwrap());
        let orders = task.split_whitespace().filter(|it| it.contains('<'));
        let order = |it: &str| serde_json::json!({ "order": it.split('<').collect::<Vec<_>>() });
        let spec: TaskSpec = serde_json::from_value(serde_json::json!({
            "name": "t", "processes": specs, "constraints": orders.map(order).collect::<Vec<_>>(),
            "resources": { "cpu": 1.0, "ram": 1, "disk": 1 },
            "max_failures": number("max=", 1), "max_concurrency": number("concurrency=", 0),
            "finalization_wait": number("wait=", 30),
        }))
        .unwrap();
        let farewells = field("farewells=").map_or("", |it| it).split_terminator(',');
        let farewells: Vec<_> = farewells.map(str::to_owned).collect();
        let conduct = conduct(task.contains("checked"), farewells.len());
        let newborn = Run::new(&spec, &conduct).unwrap();
        Self {
            run: newborn.clone(),
            now: Timestamp(0),
            scripts,
            farewells,
            asked: BTreeSet::new(),
            begun: BTreeSet::new(),
            crashes: false,
            newborn,
            journal: Vec::new(),
            coming: BTreeSet::new(),
            log: String::new(),
        }
    }

    fn tell(&mut self, event: &Event) {
        let before = self.run.stage.name();
        let Ok(next) = self.run.step(self.now, event) else { return };
        self.run = next;
        self.journal.push((self.now, serde_json::to_string(event).unwrap()));
        if self.crashes {
            self.crash();
        }
        if self.run.stage.name() != before {
            self.note(self.run.stage.name());
        }
        let effects = self.run.effects();
        let news: Vec<_> = effects.iter().filter(|it| !self.asked.contains(it)).cloned().collect();
        self.asked = effects.into_iter().collect();
        for effect in news {
            self.perform(effect);
        }
    }

    fn crash(&mut self) {
        let read = |run: Run, (at, event): &(Timestamp, String)| {
            run.step(*at, &serde_json::from_str(event).unwrap()).unwrap()
        };
        let found = self.journal.iter().fold(self.newborn.clone(), read);
        assert_eq!(found, self.run);
        self.run = found;
        self.asked.clear();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Report { state, message } if state.is_terminal() => {
                self.note(&format!("{state:?}: {message}"));
            }
            Effect::Report { .. } | Effect::Prepare | Effect::Check => {}
            Effect::Tend(id) => self.start(id),
            Effect::Farewell { step } => self.say(step),
            Effect::Term => {
                let obedient: Vec<_> =
                    self.run.alive().filter(|it| !self.scripts[&it.process].stubborn).collect();
                obedient.into_iter().for_each(|id| self.end(id, "15k"));
            }
            Effect::Kill => {
                let all: Vec<_> = self.run.alive().collect();
                all.into_iter().for_each(|id| self.end(id, "9k"));
                self.tell(&Event::Gone);
            }
        }
    }

    fn say(&mut self, step: usize) {
        self.note(&format!("POST {}", self.run.farewells[step].path));
        match self.farewells[step].as_str() {
            "mute" => {}
            answer => {
                let answered = answer == "heard";
                self.tell(&Event::FarewellSaid { step, answered });
            }
        }
    }

    fn start(&mut self, id: RunId) {
        if !self.begun.insert(id.clone()) {
            return;
        }
        self.note(&format!("{}/{}", id.process, id.run));
        let (at, now) = (self.now, self.now);
        let runs = &self.scripts[&id.process].runs;
        let run = runs.get(id.run as usize).or(runs.last()).unwrap();
        let (secs, _) = run.split_at(run.len() - 1);
        let ends = now + Duration::from_secs(secs.parse().unwrap());
        self.coming.insert((ends, id.clone(), run.clone()));
        self.tell(&Event::Started { id, pid: 1, at });
    }

    fn end(&mut self, id: RunId, how: &str) {
        self.coming.retain(|(_, it, _)| *it != id);
        self.coming.insert((self.now, id, how.to_owned()));
    }

    fn note(&mut self, what: &str) {
        let at = format!("{}s", self.now.0 / 1000);
        self.log.push_str(&format!("{at:>4} {what}\n"));
    }

    /// To the end, or until `horizon` seconds have passed.
    fn until(&mut self, horizon: u64) -> &mut Self {
        while !self.run.is_over() {
            let next = self.coming.first().cloned();
            let alarm = self.run.deadline();
            let at = next.iter().map(|it| it.0).chain(alarm.iter().map(|it| it.0)).min();
            let horizon = Timestamp(horizon * 1000);
            let Some(at) = at.filter(|it| *it <= horizon) else {
                self.now = horizon;
                break;
            };
            self.now = self.now.max(at);
            match next.filter(|it| it.0 == at) {
                Some(due) => {
                    self.coming.remove(&due);
                    let (_, id, how) = due;
                    let (number, how) = how.split_at(how.len() - 1);
                    let exit = match how {
                        "+" => Exit::Code(0),
                        "-" => Exit::Code(1),
                        "k" => Exit::Signal(number.parse().unwrap()),
                        _ => Exit::Lost,
                    };
                    self.tell(&Event::Ended { id, at: self.now, exit, leftover: false });
                }
                None => self.tell(&alarm.unwrap().1),
            }
        }
        self
    }

    /// Its first run succeeds, and something of it stays.
    fn leave_behind(&mut self, process: &str) {
        let id = RunId { process: process.into(), run: 0 };
        self.coming.retain(|(_, it, _)| *it != id);
        let (at, exit) = (self.now, Exit::Code(0));
        self.tell(&Event::Ended { id, at, exit, leftover: true });
    }

    fn begin(&mut self) -> &mut Self {
        self.tell(&Event::Prepared);
        self
    }

    fn kill(&mut self, within_ms: Option<u64>) -> &mut Self {
        self.tell(&Event::KillAsked { message: "Instructed to kill task.".into(), within_ms });
        self
    }
}

fn conduct(is_checked: bool, farewells: usize) -> Conduct {
    let pace = Pace {
        initial_interval: Duration::from_secs(15),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        max_consecutive_failures: 0,
        min_consecutive_successes: 1,
    };
    let farewell = |number: usize| Farewell {
        port: 80,
        path: format!("/leave{number}"),
        wait: Duration::from_secs(5),
    };
    Conduct {
        check: is_checked.then_some(Check { how: How::Tcp { port: 80 }, pace }),
        farewells: (1..=farewells).map(farewell).collect(),
    }
}

/// What happens from the beginning to the end.
fn story(task: &str, processes: &str) -> String {
    let mut play = Play::new(task, processes);
    play.begin().until(100_000);
    std::mem::take(&mut play.log)
}

fn assert_story(task: &str, processes: &str, expected: &str) {
    assert_told(&story(task, processes), expected);
}

fn assert_told(told: &str, expected: &str) {
    let lines = |text: &str| text.lines().map(|it| it.trim().to_owned()).collect::<Vec<_>>();
    let expected: Vec<_> = lines(expected).into_iter().filter(|it| !it.is_empty()).collect();
    assert_eq!(lines(told), expected, "\n{told}");
}

#[test]
fn p1_a_task_of_no_processes_is_over_at_once() {
    assert_story("", "", "0s over\n0s Finished: Task finished.");
}

#[test]
fn p2_processes_run_together_unless_they_are_ordered() {
    let three = "p1 : 1+\n p2 : 1+\n p3 : 1+";
    let together = "
        0s active\n 0s p1/0\n 0s p2/0\n 0s p3/0
        1s over\n 1s Finished: Task finished.";
    assert_story("", three, together);
    let ordered = "
        0s active\n 0s p1/0\n 1s p2/0\n 2s p3/0
        3s over\n 3s Finished: Task finished.";
    assert_story("p1<p2<p3", three, ordered);
}

#[test]
fn r1_two_layers_of_diamonds() {
    assert_story(
        "a<b<d a<c<d d<e d<f",
        "a : 1+\n b : 1+\n c : 2+\n d : 1+\n e : 1+\n f : 1+",
        "0s active\n 0s a/0\n 1s b/0\n 1s c/0\n 3s d/0\n 4s e/0\n 4s f/0
         5s over\n 5s Finished: Task finished.",
    );
}

#[test]
fn r2_r17_p10_what_waits_for_a_failed_process_never_runs_and_so_the_task_fails() {
    let processes = "a : 1+\n b : 1-\n c : 1+";
    let story = "0s active\n 0s a/0\n 1s b/0\n 2s over\n 2s Failed: Task failed.";
    assert_story("a<b<c max=2", processes, story);
    assert_story("a<b<c max=100", processes, story);
}

#[test]
fn a_process_may_fail_ten_times_and_its_task_still_succeed() {
    let mut play = Play::new("max=2", "failing max=10 : 0-\n succeeding max=10 : 0+");
    play.begin().until(1000);
    let (_, processes) = play.run.view();
    let failures: Vec<_> = processes.iter().map(|it| (it.runs.len(), it.failures)).collect();
    assert_eq!(failures, [(10, 10), (1, 0)]);
    assert!(play.log.ends_with("135s Finished: Task finished.\n"), "{}", play.log);
}

#[test]
fn r4_at_most_max_concurrency_processes_run_at_a_time() {
    assert_story(
        "concurrency=1",
        "a : 1+\n b : 1+\n c : 1+",
        "0s active\n 0s a/0\n 1s b/0\n 2s c/0\n 3s over\n 3s Finished: Task finished.",
    );
    // One that has to wait before it may try again keeps nobody's place.
    assert_story(
        "concurrency=1 max=0",
        "a max=2 wait=10 : 1-\n b : 2+",
        "0s active\n 0s a/0\n 1s b/0\n 11s a/1\n 12s over\n 12s Finished: Task finished.",
    );
}

#[test]
fn r5_a_killed_or_lost_run_is_followed_by_another() {
    let story = "0s active\n 0s a/0\n 1s a/1\n 2s over\n 2s Finished: Task finished.";
    assert_story("", "a wait=0 : 1k 1+", story);
    assert_story("", "a wait=0 : 1l 1+", story);
}

#[test]
fn p8_ephemeral_processes_are_not_waited_for() {
    assert_story(
        "",
        "main : 5+\n log daemon ephemeral max=2 : 100+",
        "0s active\n 0s main/0\n 0s log/0\n 5s cleaning\n 5s over\n 5s Finished: Task finished.",
    );
}

#[test]
fn p5_r16_a_task_of_ephemeral_processes_only_is_over_at_once() {
    assert_story("", "a ephemeral : 5+", "0s over\n0s Finished: Task finished.");
}

#[test]
fn p13_a_task_all_of_whose_processes_failed_waits_for_nothing() {
    let mut play = Play::new("max=0", "a : 1-\n b : 2-");
    play.begin().until(100);
    assert_eq!(play.run.deadline(), None);
    assert!(play.log.ends_with("2s Finished: Task finished.\n"), "{}", play.log);
}

#[test]
fn r10_finalizers_that_fail_change_nothing() {
    assert_story(
        "f1<f2",
        "main : 1+\n f1 final : 1-\n f2 final : 1+",
        "0s active\n 0s main/0\n 1s finalizing\n 1s f1/0\n 2s over\n 2s Finished: Task finished.",
    );
    assert_story(
        "",
        "main : 1+\n f1 final max=2 wait=0 : 1-\n f2 final : 1+",
        "0s active\n 0s main/0\n 1s finalizing\n 1s f1/0\n 1s f2/0\n 2s f1/1
         3s over\n 3s Finished: Task finished.",
    );
}

#[test]
fn r11_finalizers_run_when_the_task_failed() {
    assert_story(
        "",
        "main : 1-\n other : 100+\n f final : 1+",
        "0s active\n 0s main/0\n 0s other/0\n 1s cleaning\n 1s finalizing\n 1s f/0
         2s over\n 2s Failed: Task failed.",
    );
}

#[test]
fn finalization_has_one_span_of_time_in_all() {
    // SIGTERM is ignored for all of it: SIGKILL, and no finalizer.
    assert_story(
        "wait=10",
        "main : 1-\n other stubborn : 100+\n f final : 1+",
        "0s active\n 0s main/0\n 0s other/0\n 1s cleaning
         11s ending\n 11s over\n 11s Failed: Task failed.",
    );
    // A finalizer that takes too long is cut short.
    assert_story(
        "wait=10",
        "main : 1+\n f final stubborn : 100+",
        "0s active\n 0s main/0\n 1s finalizing\n 1s f/0\n 11s ending\n 11s over
         11s Finished: Task finished.",
    );
}

#[test]
fn e5_a_killed_task_cleans_up_and_finalizes() {
    let processes = "main : 100+\n f final : 1+";
    let mut play = Play::new("", processes);
    play.begin().until(5).kill(None).until(100);
    assert_told(
        &play.log,
        "0s active\n 0s main/0\n 5s cleaning\n 5s finalizing\n 5s f/0
         6s over\n 6s Killed: Instructed to kill task.",
    );
}

#[test]
fn e5_a_task_says_who_wanted_its_end() {
    let mut play = Play::new("", "main : 100+");
    let message = "Told to shut down executor.".to_owned();
    play.begin().tell(&Event::KillAsked { message, within_ms: Some(2000) });
    play.until(9);
    assert!(play.log.ends_with("0s Killed: Told to shut down executor.\n"), "{}", play.log);
}

#[test]
fn e7_a_task_that_takes_no_notice_of_anything_is_killed_all_the_same() {
    let mut play = Play::new("farewells=heard,heard wait=10", "main stubborn : 1000+");
    play.begin().kill(None).until(1000);
    assert_told(
        &play.log,
        "0s active\n 0s main/0\n 0s leaving\n 0s POST /leave1\n 5s POST /leave2\n 10s cleaning
         20s ending\n 20s over\n 20s Killed: Instructed to kill task.",
    );
}

#[test]
fn e7_every_end_has_its_state_and_its_words() {
    let ends = [
        Verdict::Success,
        Verdict::Failed,
        Verdict::Killed { message: "Instructed to kill task.".into() },
        Verdict::Unhealthy { reason: "Health check timed out.".into() },
        Verdict::Exceeded { message: "Disk limit exceeded.".into() },
        Verdict::Unprepared { why: "Failed to initialize sandbox: no".into() },
    ];
    let run = Play::new("", "main : 1+").run;
    let told: String = ends
        .into_iter()
        .map(|verdict| {
            let over = Run { stage: Stage::Over { verdict }, ..run.clone() };
            let effects = over.effects();
            let [Effect::Report { state, message }] = &*effects else { panic!("{effects:?}") };
            format!("{state:?} {message}\n")
        })
        .collect();
    assert_eq!(
        told,
        "\
Finished Task finished.
Failed Task failed.
Killed Instructed to kill task.
Failed Failed health check! Health check timed out.
Failed Disk limit exceeded.
Failed Failed to initialize sandbox: no
"
    );
}

#[test]
fn a_second_kill_may_be_in_more_of_a_hurry() {
    let mut play = Play::new("", "main stubborn : 100+");
    play.begin().until(5).kill(None).until(8).kill(Some(2000)).until(100);
    assert_told(
        &play.log,
        "0s active\n 0s main/0\n 5s cleaning\n 10s ending
         10s over\n 10s Killed: Instructed to kill task.",
    );
}

#[test]
fn e4_a_task_killed_before_it_had_a_sandbox_never_runs() {
    let mut play = Play::new("", "main : 1+");
    play.kill(None).begin().until(100);
    assert_told(&play.log, "0s over\n 0s Killed: Task killed during initialization.");
}

#[test]
fn what_a_run_left_behind_is_ended_with_the_task() {
    let mut play = Play::new("", "a : 1+\n b : 5+");
    play.begin();
    play.leave_behind("a");
    play.until(6);
    assert_eq!(play.run.stage.name(), "cleaning");
    assert!(play.run.effects().contains(&Effect::Term));
    play.tell(&Event::Gone);
    assert_eq!(play.run.state(), RunState::Finished);
}

#[test]
fn what_takes_no_notice_of_its_task_ending_is_killed() {
    let mut play = Play::new("wait=10", "a : 1+\n b : 5+\n f final : 1+");
    play.begin();
    play.leave_behind("a");
    play.until(14);
    assert_eq!(play.run.stage.name(), "cleaning");
    play.until(100);
    assert!(
        play.log.ends_with("15s ending\n 15s over\n 15s Finished: Task finished.\n"),
        "{}",
        play.log
    );
}

#[test]
fn r7_no_later_run_hides_what_an_earlier_one_left_behind() {
    let mut play = Play::new("a<b", "a : 1+\n b : 1+");
    play.begin();
    play.leave_behind("a");
    play.until(3);
    assert_eq!(play.run.stage.name(), "cleaning");
}

/// What happens to a task that is killed after `kill` seconds while its agent crashes all the time.
fn story_of_crashes(task: &str, processes: &str, crashes: bool, kill: u64) -> String {
    let mut play = Play::new(task, processes);
    play.crashes = crashes;
    play.begin().until(kill).kill(None).until(100_000);
    std::mem::take(&mut play.log)
}

#[test]
fn r13_a_task_goes_on_as_if_its_agent_had_never_crashed() {
    let task = "a<b max=2 wait=10";
    let processes = "a : 1+\n b max=2 : 1-\n d daemon ephemeral wait=1 : 2k 5+\n c final : 1+";
    let expected = "
        0s active\n 0s a/0\n 0s d/0\n 1s b/0\n 3s d/1\n 9s d/2\n 15s d/3\n 17s b/1\n 18s cleaning
        18s finalizing\n 18s c/0\n 19s over\n 19s Finished: Task finished.";
    assert_told(&story_of_crashes(task, processes, false, 100), expected);
    assert_told(&story_of_crashes(task, processes, true, 100), expected);
    let stubborn = format!("{processes}\n e stubborn : 100+");
    for kill in 0..20 {
        let [calm, wild] = [false, true].map(|it| story_of_crashes(task, &stubborn, it, kill));
        assert_eq!(calm, wild);
    }
}

#[test]
fn r8_lost_and_killed_runs_are_seen_after_a_crash() {
    let mut play = Play::new("", "a wait=0 : 1l 1k 100+");
    play.begin().until(5).crash();
    let (_, processes) = play.run.view();
    let states: Vec<_> = processes[0].runs.iter().map(|it| it.state).collect();
    assert_eq!(states, [ProcessState::Lost, ProcessState::Killed, ProcessState::Running]);
}

#[test]
fn stale_news_of_a_run_is_rejected() {
    let mut play = Play::new("", "a wait=0 : 1k 100+");
    play.begin().until(1);
    let old = RunId { process: "a".into(), run: 0 };
    let news = Event::Ended { id: old, at: Timestamp(2), exit: Exit::Code(0), leftover: false };
    assert!(play.run.step(Timestamp(2), &news).is_err());
}

#[test]
fn the_whole_table_of_stages() {
    let verdict = Verdict::Success;
    let until = Timestamp(30_000);
    let leaving = |is_heard| {
        let verdict = verdict.clone();
        Stage::Leaving { farewell: 0, is_heard, until, verdict }
    };
    let stages = [
        Stage::Preparing,
        Stage::Active,
        leaving(false),
        leaving(true),
        Stage::Cleaning { until, verdict: verdict.clone() },
        Stage::Finalizing { until, verdict: verdict.clone() },
        Stage::Ending { verdict: verdict.clone() },
        Stage::Over { verdict },
    ];
    // A task whose regular and final process both run, so that no stage is left by itself.
    let mut play = Play::new("checked farewells=heard", "a : 1+\n b : 1+\n f final : 1+");
    play.begin();
    let mut busy = play.run.clone();
    let at = Timestamp(1);
    let forked = Process::new(busy_policy()).step(at, &process::Event::Chosen).unwrap();
    busy.processes = std::iter::repeat_n(Arc::new(forked), 3).collect();
    let events = one_of_each();
    let mut table = String::new();
    for stage in stages {
        let before = Run { stage, ..busy.clone() };
        let cells: Vec<_> = events
            .iter()
            .map(|event| before.step(at, event).map_or("-", |after| after.stage.name()))
            .collect();
        table += &format!("{:11}{}\n", before.stage.name(), cells.join(" "));
    }
    assert_eq!(
        table,
        "\
preparing  active over - - - - - - - over over -
active     - - active active - active leaving - leaving leaving cleaning -
leaving    - - leaving leaving - - - leaving - - cleaning leaving
leaving    - - leaving leaving - - - - - - cleaning leaving
cleaning   - - cleaning cleaning - - - - - - cleaning cleaning
finalizing - - finalizing finalizing - - - - ending - finalizing finalizing
ending     - - ending ending - - - - - - - -
over       - - - - - - - - - - - -
"
    );
}

fn one_of_each() -> [Event; 12] {
    let id = || RunId { process: "a".into(), run: 0 };
    let at = Timestamp(1);
    [
        Event::Prepared,
        Event::NotPrepared { why: "no room".into() },
        Event::Started { id: id(), pid: 7, at },
        Event::Ended { id: id(), at, exit: Exit::Code(0), leftover: false },
        Event::Gone,
        Event::Healthy,
        Event::Unhealthy { reason: String::new() },
        Event::FarewellSaid { step: 0, answered: true },
        Event::Exceeded { message: String::new() },
        Event::KillAsked { message: String::new(), within_ms: None },
        Event::KillAsked { message: String::new(), within_ms: Some(5) },
        Event::TimedOut,
    ]
}

#[test]
fn what_happened_is_written_down_and_read_back() {
    for event in one_of_each() {
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&written).unwrap(), event, "{written}");
    }
}

fn busy_policy() -> process::Policy {
    process::Policy {
        max_failures: 1,
        daemon: false,
        ephemeral: false,
        min_duration: Duration::ZERO,
        max_runs: process::RUNS_MAX,
    }
}

#[test]
fn the_sine_table_with_180_mappers_takes_no_time_to_plan() {
    let mappers: String = (0..180).map(|it| format!("m{it} : 1+\n")).collect();
    let orders: String = (0..180).map(|it| format!("m{it}<reducer ")).collect();
    let told = story(&format!("{orders} concurrency=8"), &format!("{mappers}reducer : 1+"));
    assert!(told.ends_with("23s reducer/0\n 24s over\n 24s Finished: Task finished.\n"), "{told}");
}
