//! How a running task looks in a terminal: as many lines as there is room for.

use std::{collections::BTreeMap, time::Duration};

use airglow_executor::Progress;
use airglow_model::{
    machine::Timestamp,
    wire::{HealthView, ProcessState, ProcessView, RunView, StageView},
};

use super::{
    super::screen,
    output::Line,
    words::{self, lasted, span},
};

/// A terminal, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What the view is of.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) started_at: Timestamp,
    /// What the user may do, in the last line.
    pub(super) hint: &'a str,
}

/// What does not scroll: headline, column titles, the line above the output, and the hint.
const FRAME: usize = 4;
const NAME_MAX: usize = 32;

/// No line is longer than the terminal is wide, and the last line of the terminal stays free.
pub(super) fn picture(
    subject: &Subject<'_>,
    progress: &Progress,
    output: &[Line],
    now: Timestamp,
    size: Size,
) -> Vec<String> {
    let room = size.height.saturating_sub(1 + FRAME).max(2);
    let rows_max = room.saturating_sub(output.len().min(room / 2)).max(1);
    let mut lines = vec![headline(subject, progress, now)];
    lines.extend(processes(&progress.view.processes, rows_max, now));
    let rest = room.saturating_sub(lines.len().saturating_sub(2));
    let shown = &output[output.len().saturating_sub(rest)..];
    if !shown.is_empty() {
        lines.push(screen::faint(&"─".repeat(size.width.min(60))));
        let several = progress.view.processes.len() > 1;
        lines.extend(shown.iter().map(|it| it.painted(several)));
    }
    if !subject.hint.is_empty() {
        lines.push(screen::faint(subject.hint));
    }
    let cut = |line: String| console::truncate_str(&line, size.width, "…").into_owned();
    lines.into_iter().map(cut).collect()
}

fn headline(subject: &Subject<'_>, progress: &Progress, now: Timestamp) -> String {
    let mut parts = vec![
        screen::bold(subject.name),
        screen::status(words::status(progress.state)),
        span(now.since(subject.started_at)),
    ];
    let StageView { name, detail, until } = &progress.view.stage;
    if !progress.state.is_terminal() && !matches!(name.as_str(), "" | "active" | "over") {
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let until = until.map(|at| format!(", {} left", span(at.since(now)))).unwrap_or_default();
        parts.push(format!("{name}{detail}{until}"));
    }
    parts.extend(progress.view.health.as_ref().map(health));
    if let Some(usage) = progress.view.usage.as_ref().filter(|_| !progress.state.is_terminal()) {
        parts.push(screen::faint(&words::usage(usage.cpu, usage.ram)));
    }
    parts.join("  ")
}

fn health(health: &HealthView) -> String {
    let snoozed = if health.is_snoozed { ", snoozed" } else { "" };
    let (good, bad) = (health.consecutive_successes, health.consecutive_failures);
    match (health.is_healthy, bad) {
        (true, 0) => format!("healthy{snoozed}"),
        (true, bad) => format!("healthy, but {bad} checks failed{snoozed}"),
        (false, 0) => format!("not healthy yet, {good} checks succeeded{snoozed}"),
        (false, bad) => format!("not healthy yet, {bad} checks failed{snoozed}"),
    }
}

fn processes(all: &[ProcessView], rows_max: usize, now: Timestamp) -> Vec<String> {
    let (shown, hidden) = chosen(all, rows_max);
    let longest = shown.iter().map(|it| console::measure_text_width(&it.name)).max();
    let width = longest.unwrap_or_default().clamp(7, NAME_MAX);
    let titles = format!("  {:width$}  {:7}  {:>4}  {:>6}", "PROCESS", "STATE", "RUNS", "TIME");
    let mut lines = vec![screen::faint(&titles)];
    lines.extend(shown.iter().map(|it| row(it, width, now)));
    if !hidden.is_empty() {
        let counts = hidden.iter().map(|(state, count)| format!("{count} {}", words::name(*state)));
        let counts = counts.collect::<Vec<_>>().join(", ");
        lines.push(screen::faint(&format!("  … and {counts}")));
    }
    lines
}

/// Those that are most worth looking at, in their own order, and how many there are of the rest.
fn chosen(
    all: &[ProcessView],
    rows_max: usize,
) -> (Vec<&ProcessView>, BTreeMap<ProcessState, usize>) {
    if all.len() <= rows_max {
        return (all.iter().collect(), BTreeMap::new());
    }
    let mut places: Vec<usize> = (0..all.len()).collect();
    places.sort_by_key(|&place| (interest(all[place].state), place));
    // One row is for the rest.
    let (shown, hidden) = places.split_at(rows_max.saturating_sub(1));
    let mut counts = BTreeMap::new();
    for &place in hidden {
        *counts.entry(all[place].state).or_default() += 1;
    }
    let mut shown = shown.to_vec();
    shown.sort_unstable();
    (shown.into_iter().map(|place| &all[place]).collect(), counts)
}

fn interest(state: ProcessState) -> u8 {
    match state {
        ProcessState::Running | ProcessState::Forked => 0,
        ProcessState::Failed | ProcessState::Killed | ProcessState::Lost => 1,
        ProcessState::Waiting => 2,
        ProcessState::Success => 3,
    }
}

fn row(process: &ProcessView, width: usize, now: Timestamp) -> String {
    let name = console::truncate_str(&process.name, width, "…");
    let name = console::pad_str(&name, width, console::Alignment::Left, None);
    let last = process.runs.last();
    let state =
        screen::paint(&format!("{:7}", words::name(process.state)), words::color(process.state));
    let runs = last.map_or_else(|| "–".to_owned(), |it| (it.run + 1).to_string());
    let time = last.and_then(|it| lasted(it, now)).map_or_else(String::new, span);
    let mut line = format!("  {name}  {state}  {runs:>4}  {time:>6}");
    for note in notes(process, last) {
        line.push_str("  ");
        line.push_str(&note);
    }
    line
}

fn notes(process: &ProcessView, last: Option<&RunView>) -> Vec<String> {
    let mut notes: Vec<String> = last.and_then(words::end).into_iter().collect();
    if let Some(usage) = process.usage.as_ref().filter(|_| !process.state.is_terminal()) {
        notes.push(screen::faint(&words::usage(usage.cpu, usage.ram)));
    }
    let flags =
        [("final", process.is_final), ("daemon", process.daemon), ("ephemeral", process.ephemeral)];
    notes.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| screen::faint(flag)));
    notes
}

/// How often a picture is drawn.
pub(super) const EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use airglow_model::wire::{RunState, TaskView};

    use super::{super::output::Source, *};

    const NOW: Timestamp = Timestamp(100_000);

    fn process(name: &str, state: ProcessState, runs: Vec<RunView>) -> ProcessView {
        ProcessView {
            name: name.into(),
            state,
            is_final: false,
            daemon: false,
            ephemeral: false,
            failures: 0,
            runs,
            usage: None,
        }
    }

    fn run(number: u32, state: ProcessState, started: u64, ended: Option<u64>) -> RunView {
        RunView {
            run: number,
            state,
            pid: Some(7),
            started_at: Some(Timestamp(started)),
            ended_at: ended.map(Timestamp),
            exit_code: ended.map(|_| 3),
            message: None,
        }
    }

    fn progress(processes: Vec<ProcessView>) -> Progress {
        let stage = StageView { name: "active".into(), ..StageView::default() };
        let view = TaskView { stage, processes, ..TaskView::default() };
        Progress { state: RunState::Running, message: String::new(), view }
    }

    fn line(process: &str, text: &str) -> Line {
        let source = Source { process: process.into(), run: 0, is_stderr: false };
        Line { source, text: text.into() }
    }

    fn shown(progress: &Progress, output: &[Line], width: usize, height: usize) -> String {
        let subject =
            Subject { name: "task", started_at: Timestamp(88_000), hint: "Ctrl-C ends it" };
        let lines = picture(&subject, progress, output, NOW, Size { width, height });
        assert!(lines.len() < height, "{lines:?}");
        assert!(lines.iter().all(|it| console::measure_text_width(it) <= width), "{lines:?}");
        let plain = lines.iter().map(|it| anstream::adapter::strip_str(it).to_string());
        plain.map(|it| format!("{}\n", it.trim_end())).collect()
    }

    #[test]
    fn a_task_at_a_glance() {
        let mut cleanup = process("cleanup", ProcessState::Waiting, vec![]);
        cleanup.is_final = true;
        let failed = run(0, ProcessState::Failed, 88_000, Some(88_250));
        let again = run(1, ProcessState::Running, 90_000, None);
        let progress =
            progress(vec![process("server", ProcessState::Running, vec![failed, again]), cleanup]);
        assert_eq!(
            shown(&progress, &[line("server", "up"), line("server", "and running")], 80, 24),
            "\
task  RUNNING  12s
  PROCESS  STATE    RUNS    TIME
  server   RUNNING     2     10s
  cleanup  WAITING     –          final
────────────────────────────────────────────────────────────
server │ up
server │ and running
Ctrl-C ends it
"
        );
    }

    #[test]
    fn what_a_task_waits_for_is_in_its_headline() {
        let mut it = progress(vec![]);
        it.view.stage = StageView {
            name: "cleaning".into(),
            detail: "2 processes were asked to end".into(),
            until: Some(Timestamp(103_000)),
        };
        let health = HealthView { consecutive_failures: 2, ..HealthView::default() };
        it.view.health = Some(health);
        let headline = "task  RUNNING  12s  cleaning: 2 processes were asked to end, 3.0s left  \
                        not healthy yet, 2 checks failed";
        assert_eq!(shown(&it, &[], 200, 24).lines().next(), Some(headline));
    }

    #[test]
    fn of_many_processes_the_running_ones_are_shown() {
        let one = |n: usize| {
            let state = match n {
                0..100 => ProcessState::Success,
                100 => ProcessState::Failed,
                150..153 => ProcessState::Running,
                _ => ProcessState::Waiting,
            };
            let runs = if state == ProcessState::Waiting {
                vec![]
            } else {
                vec![run(0, state, 99_000, (state != ProcessState::Running).then_some(99_500))]
            };
            process(&format!("mapper{n:03}"), state, runs)
        };
        let progress = progress((0..181).map(one).collect());
        let output: Vec<_> = (0..50).map(|n| line("mapper150", &format!("line {n}"))).collect();
        assert_eq!(
            shown(&progress, &output, 40, 17),
            "\
task  RUNNING  12s
  PROCESS    STATE    RUNS    TIME
  mapper100  FAILED      1    0.5s  exi…
  mapper101  WAITING     –
  mapper150  RUNNING     1    1.0s
  mapper151  RUNNING     1    1.0s
  mapper152  RUNNING     1    1.0s
  … and 76 WAITING, 100 SUCCESS
────────────────────────────────────────
mapper150 │ line 44
mapper150 │ line 45
mapper150 │ line 46
mapper150 │ line 47
mapper150 │ line 48
mapper150 │ line 49
"
            .to_owned()
                + "Ctrl-C ends it\n"
        );
        for (width, height) in [(1, 1), (10, 5), (80, 8)] {
            let subject = Subject { name: "t", started_at: NOW, hint: "" };
            let lines = picture(&subject, &progress, &output, NOW, Size { width, height });
            assert!(lines.len() <= height.max(6), "{height}: {lines:?}");
        }
    }
}
