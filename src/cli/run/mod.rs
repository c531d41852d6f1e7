//! `airglow run`: one task here and now, without a cluster.
//!
//! The same executor as an agent's runs it, so it is isolated, checked and ended as it would be
//! there. What is shown is what the executor says of it, and its logs as they are on the disk.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use airglow_executor::{Progress, RunAs};
use airglow_model::{
    config::Ports,
    ids::{Attempt, TaskId, is_identifier},
    machine::Timestamp,
    wire::{Launch, RunState},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Global, Outcome,
    config::{Reading, Written, binding},
    exit::{Code, Failure},
    screen,
};
use crate::{
    agent::{Solo, SoloOptions},
    client::pause,
};

mod changes;
mod output;
mod place;
mod ports;
mod quiet;
mod view;
mod words;

use changes::Changes;
use output::{Line, Output};
use place::Place;
use quiet::Quiet;
use view::{Size, Subject};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// In Python, JSON or YAML; a `.thermos` file exports tasks instead of jobs
    file: PathBuf,
    /// A job's key or name, or a task's name; may be left out if the file has only one
    #[arg(value_name = "JOB")]
    name: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// The same as --bind
    #[arg(short = 'E', long, value_name = "NAME=VALUE", value_parser = binding)]
    environment: Vec<(String, String)>,
    /// The number of one of the task's ports; repeat for more. Free ones are chosen for the rest
    #[arg(short = 'P', long = "port", value_name = "NAME:PORT", value_parser = ports::given)]
    ports: Vec<(String, u16)>,
    /// Where the task's folder is made [default: a folder for each run, in the user's state folder]
    #[arg(long, value_name = "DIR")]
    sandbox: Option<PathBuf>,
    /// Whose processes they are; only root may say so [default: the role's if we are root and there
    /// is such a user, else our own]
    #[arg(long, value_name = "USER", value_parser = user)]
    user: Option<String>,
    /// What `{{thermos.task_id}}` is [default: the task's name and the time]
    #[arg(long, value_name = "ID", value_parser = task_id)]
    task_id: Option<String>,
}

fn user(text: &str) -> Result<String, String> {
    is_identifier(text).then(|| text.to_owned()).ok_or_else(|| "that is no user's name".into())
}

fn task_id(text: &str) -> Result<String, String> {
    let is_name = is_identifier(text) && !text.starts_with('.');
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "a task's id is made of letters, digits, '_', '-' and '.', and does not begin with a dot"
            .into()
    })
}

pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let reading = args.reading.with(args.environment);
    let user = args.user.as_deref();
    let mut written = reading.runnable(&args.file, args.name.as_deref(), user)?;
    if let Some(user) = &args.user {
        written.spec.role.clone_from(user);
        written.spec.task.user = None;
    }
    let now = airglow_kit::now();
    let id = args.task_id.unwrap_or_else(|| usual_id(&written.spec.task.name, now));
    let launch = launch(&written, TaskId(id.into()), &args.ports)?;
    let place = Place::find(args.sandbox, &launch.task_id)?;
    introduce(&written, &launch, &place, &args.ports);
    // Who may be root here is root.
    let is_other = args.user.as_ref().is_some_and(|it| it != "root");
    let run_as = if is_other { RunAs::Role } else { RunAs::RoleOrOneself };
    let options = SoloOptions { data: place.data.clone(), run_as, launch: launch.clone() };
    let solo = Solo::start(options).map_err(|error| fatal(&error))?;
    let ended = Show::new(&written, &place, now, global.write_json).until_over(solo)?;
    conclude(&ended, &launch, &place, global)
}

fn fatal(error: &anyhow::Error) -> Failure {
    Failure::new(Code::Fatal, format!("{error:#}"))
}

/// `hello-20261121-063000.123456`
fn usual_id(task: &str, now: Timestamp) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = task.chars().map(safe).take(100).collect();
    let unique = std::process::id() % 1000;
    format!("{name}-{}.{:03}{unique:03}", screen::compact_time(now), now.0 % 1000)
}

fn launch(written: &Written, task_id: TaskId, given: &[(String, u16)]) -> Result<Launch, Failure> {
    let config = written.checked()?.config;
    let ports = ports::complete(given, &config.ports)
        .map_err(|why| Failure::new(Code::InvalidParameter, why))?;
    let task = config.job.task(0);
    Ok(Launch { task, attempt: Attempt(1), task_id, config: Arc::new(config), ports })
}

/// What a user wants to know while it runs, and what is different from what the file says.
fn introduce(written: &Written, launch: &Launch, place: &Place, given: &[(String, u16)]) {
    let spec = &written.spec;
    screen::aside(&format!("Running {} as {}", screen::bold(&spec.task.name), launch.task_id));
    let mut notes = vec![format!("Sandbox: {}", place.sandbox.display())];
    if !launch.ports.is_empty() {
        notes.push(format!("Ports:   {}", ports_as_text(&launch.ports, given)));
    }
    if spec.instances > 1 {
        notes.push(format!("This is instance 0 of {}.", spec.instances));
    }
    if spec.cron_schedule.is_some() {
        notes.push("It runs once, whatever its schedule.".into());
    } else if spec.service {
        notes.push("It runs once, although it is a service.".into());
    }
    for note in notes {
        screen::aside(&format!("  {}", screen::faint(&note)));
    }
}

fn ports_as_text(ports: &Ports, given: &[(String, u16)]) -> String {
    let is_given = |name: &str| given.iter().any(|(it, _)| it == name);
    let text = ports.iter().map(|(name, port)| {
        let chosen = if is_given(name) { "" } else { " (chosen)" };
        format!("{name} {port}{chosen}")
    });
    text.collect::<Vec<_>>().join(", ")
}

/// What the user sees of a task.
struct Show {
    name: String,
    started_at: Timestamp,
    finalization_wait: i64,
    output: Output,
    /// For a terminal: a picture that is drawn again and again, and the last lines of the output.
    live: Option<(ProgressBar, VecDeque<Line>)>,
    changes: Changes,
    /// Standard output belongs to the result.
    is_quiet: bool,
    notes: Vec<String>,
    over_at: Option<Timestamp>,
    _quiet: Option<Quiet>,
}

const INTERRUPTED: &str = "Interrupted by the user.";

/// A picture of a task is made twice a second.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);

/// More than any terminal is high.
const LINES_KEPT: usize = 500;

/// How it ended.
struct Ended {
    progress: Progress,
    was_interrupted: bool,
    took: Duration,
}

impl Show {
    fn new(written: &Written, place: &Place, started_at: Timestamp, is_quiet: bool) -> Self {
        let watched = io::stdout().is_terminal() && io::stderr().is_terminal() && !is_quiet;
        let live = watched.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                .with_style(ProgressStyle::with_template("{msg}").expect("the template is right"));
            (bar, VecDeque::new())
        });
        Self {
            name: written.spec.task.name.clone(),
            started_at,
            finalization_wait: written.spec.task.finalization_wait,
            output: Output::of(&place.sandbox),
            live,
            changes: Changes::default(),
            is_quiet,
            notes: Vec::new(),
            over_at: None,
            _quiet: watched.then(Quiet::begin),
        }
    }

    /// Shows the task until it is over. Whoever asks once is obeyed as the task wants it, whoever
    /// asks twice at once.
    fn until_over(mut self, mut solo: Solo) -> Result<Ended, Failure> {
        let mut obeyed: u32 = 0;
        let ended = loop {
            let (progress, interrupts) = (solo.progress(), solo.interrupts());
            self.show(&progress, interrupts)?;
            if self.is_last(&progress) || solo.has_ended() {
                break solo.stop();
            }
            match (obeyed, interrupts) {
                (0, 1..) => solo.kill(INTERRUPTED, None),
                (1, 2..) => solo.kill(INTERRUPTED, Some(Duration::ZERO)),
                (2, 3..) => break solo.stop(),
                _ => {}
            }
            obeyed = (obeyed + 1).min(interrupts);
            pause(view::EVERY);
        };
        ended.map_err(|error| fatal(&error))?;
        let progress = solo.progress();
        self.finish(&progress, solo.interrupts())?;
        let took = airglow_kit::now().since(self.started_at);
        Ok(Ended { progress, was_interrupted: solo.interrupts() > 0, took })
    }

    /// That a task is over is known a moment before what became of its processes is.
    fn is_last(&mut self, progress: &Progress) -> bool {
        if !progress.state.is_terminal() {
            return false;
        }
        let now = airglow_kit::now();
        let over_at = *self.over_at.get_or_insert(now);
        progress.view.stage.name == "over" || LAST_WORDS_WITHIN < now.since(over_at)
    }

    fn show(&mut self, progress: &Progress, interrupts: u32) -> Outcome {
        self.note(progress);
        let fresh = self.output.read(&progress.view.processes);
        let several = progress.view.processes.len() > 1;
        if let Some((bar, kept)) = &mut self.live {
            kept.extend(fresh);
            kept.drain(..kept.len().saturating_sub(LINES_KEPT));
            let hint = match interrupts {
                0 => format!(
                    "Ctrl-C ends it, and lets it clean up for {} s at most",
                    self.finalization_wait
                ),
                1 => "Ctrl-C again kills it".to_owned(),
                _ => "Killing it …".to_owned(),
            };
            let subject = Subject { name: &self.name, started_at: self.started_at, hint: &hint };
            let (height, width) = console::Term::stderr().size();
            let size = Size { width: width.into(), height: height.into() };
            let now = airglow_kit::now();
            let lines = view::picture(&subject, progress, kept.make_contiguous(), now, size);
            bar.set_message(lines.join("\n"));
            return Ok(());
        }
        for line in self.changes.since(progress) {
            screen::aside(&screen::faint(&line));
        }
        for line in fresh {
            let text = line.labelled(several);
            if self.is_quiet || line.source.is_stderr {
                screen::aside(&text);
            } else {
                writeln!(screen::out(), "{text}")?;
            }
        }
        Ok(())
    }

    /// What it is not kept from, as soon as that is known.
    fn note(&mut self, progress: &Progress) {
        if self.notes == progress.view.isolation {
            return;
        }
        self.notes.clone_from(&progress.view.isolation);
        let text = |it: &String| format!("  {}", screen::faint(&format!("Isolation: {it}")));
        let lines: Vec<_> = self.notes.iter().map(text).collect();
        match &self.live {
            Some((bar, _)) => bar.suspend(|| lines.iter().for_each(|it| screen::aside(it))),
            None => lines.iter().for_each(|it| screen::aside(it)),
        }
    }

    /// The last picture stays, without advice that is of no use any more.
    fn finish(&mut self, progress: &Progress, interrupts: u32) -> Outcome {
        // Twice: what is left of a log's last line comes when there is nothing else.
        self.show(progress, interrupts)?;
        self.show(progress, interrupts)?;
        let Some((bar, kept)) = &mut self.live else { return Ok(()) };
        let subject = Subject { name: &self.name, started_at: self.started_at, hint: "" };
        let (height, width) = console::Term::stderr().size();
        let size = Size { width: width.into(), height: height.into() };
        let now = airglow_kit::now();
        let lines = view::picture(&subject, progress, kept.make_contiguous(), now, size);
        bar.finish_and_clear();
        lines.iter().for_each(|it| screen::aside(it));
        Ok(())
    }
}

fn conclude(ended: &Ended, launch: &Launch, place: &Place, global: &Global) -> Outcome {
    let Ended { progress, was_interrupted, took } = ended;
    let Progress { state, message, view } = progress;
    let logs = place.sandbox.join(".logs");
    if global.write_json {
        screen::json(&serde_json::json!({
            "task_id": launch.task_id, "state": state, "message": message, "view": view,
            "ports": launch.ports, "sandbox": place.sandbox,
        }))?;
    }
    let name = screen::name(words::status(*state));
    let verdict = format!("{name} after {}: {message}", words::span(*took));
    let verdict = verdict.trim_end_matches([':', ' ']);
    let hint = screen::faint(&format!("Output: {}/PROCESS/RUN/stdout and stderr", logs.display()));
    match state {
        RunState::Finished => {
            screen::aside(&verdict.replacen(name, &screen::status(words::status(*state)), 1));
            screen::aside(&hint);
            Ok(())
        }
        RunState::Failed | RunState::Lost => Err(Failure::new(Code::Fatal, verdict).hint(hint)),
        RunState::Starting | RunState::Running | RunState::Killed => {
            let code = if *was_interrupted { Code::Interrupted } else { Code::Fatal };
            Err(Failure::new(code, verdict).hint(hint))
        }
    }
}
