//! `airglow task`: what one instance says.

use std::{collections::BTreeMap, io::Write, time::Duration};

use airglow_model::{task::Status, wire::Stream};
use airglow_web::api::{Process, TaskDetail, TaskSummary};

use super::{
    Global, Outcome, Session,
    exit::{Code, Failure},
    key::InstanceSpec,
    screen,
};
use crate::client::{Log, pause};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Print what the processes of an instance wrote
    Logs(Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCE]")]
    instance: InstanceSpec,
    /// Only this process
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Which of the process's runs, counted from 0 [default: the newest]
    #[arg(long, value_name = "N")]
    run: Option<u32>,
    /// What it wrote to stderr, instead of stdout
    #[arg(long)]
    stderr: bool,
    /// Go on until the task ends
    #[arg(short, long)]
    follow: bool,
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    let Verb::Logs(args) = verb;
    let session = global.session(&args.instance.key.cluster)?;
    let mut tail = Tail { session: &session, args: &args, read: BTreeMap::new(), last: None };
    let newest = task(&session, &args.instance)?;
    let earlier = if has_begun(newest.task.status) { None } else { earlier(&session, &newest)? };
    if let Some(earlier) = &earlier {
        let TaskSummary { task_id, status, .. } = &earlier.task;
        let (now, then) = (screen::name(newest.task.status), screen::name(*status));
        screen::aside(&screen::faint(&format!(
            "The instance is {now}; this is its run before, {task_id}, which is {then}"
        )));
    }
    if !args.follow {
        return tail.whole(earlier.as_ref().unwrap_or(&newest));
    }
    if let Some(earlier) = &earlier {
        tail.pass(earlier)?;
    }
    tail.follow()
}

/// Whether there may be something to read of it.
fn has_begun(status: Status) -> bool {
    !matches!(status, Status::Throttled | Status::Pending | Status::Assigned)
}

/// The newest run before that has something to read, or might have if its host could be asked.
fn earlier(session: &Session, newest: &TaskDetail) -> Result<Option<TaskDetail>, Failure> {
    let mut ancestor = newest.ancestor.clone();
    while let Some(id) = ancestor {
        let Some(run) = session.client.task(&id)? else { break };
        if run.processes_unknown.is_some() || run.processes.iter().any(|it| !it.runs.is_empty()) {
            return Ok(Some(run));
        }
        ancestor = run.ancestor;
    }
    Ok(None)
}

/// The newest run of the instance that is meant; when none is named, of the only one there is.
fn task(
    session: &Session,
    InstanceSpec { key, instances }: &InstanceSpec,
) -> Result<TaskDetail, Failure> {
    let job = session.job(key)?;
    let none = || {
        Failure::new(Code::InvalidParameter, format!("Job {key} not found"))
            .hint(format!("`airglow job list {}` shows the jobs there are", key.cluster))
    };
    let job = job.ok_or_else(none)?;
    let chosen: Vec<&TaskSummary> = job
        .instances
        .iter()
        .filter(|it| instances.as_ref().is_none_or(|set| set.contains(it.instance)))
        .collect();
    match chosen.as_slice() {
        [task] => session.client.task(&task.task_id)?.ok_or_else(none),
        [] => Err(Failure::new(Code::InvalidParameter, format!("{key} has no such instance"))),
        several => {
            let (first, last) = (several[0].instance, several[several.len() - 1].instance);
            Err(Failure::new(
                Code::InvalidParameter,
                format!("Which instance? {key} has {first} to {last}"),
            )
            .hint(format!("For the first: airglow task logs {key}/{first}")))
        }
    }
}

/// What was read so far of each log, as long as there are logs.
struct Tail<'a> {
    session: &'a Session,
    args: &'a Args,
    /// Task, process and run; up to where.
    read: BTreeMap<Source, u64>,
    /// Whose words were printed last.
    last: Option<Source>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Source {
    task_id: String,
    process: String,
    run: u32,
}

impl Tail<'_> {
    /// Prints what there is.
    fn whole(&mut self, detail: &TaskDetail) -> Outcome {
        self.reachable(detail)?;
        let unknown = detail.processes_unknown.as_ref();
        if let Some(why) = unknown.filter(|_| has_begun(detail.task.status)) {
            return Err(Failure::new(Code::Failed, format!("Its host cannot be asked: {why}")));
        }
        self.pass(detail)?;
        self.something(detail)
    }

    /// A host that is away has what was written, and nobody else does.
    fn reachable(&self, detail: &TaskDetail) -> Outcome {
        let Some(name) = &detail.task.host else { return Ok(()) };
        let hosts = self.session.client.hosts()?;
        match hosts.iter().find(|it| it.host == *name) {
            Some(host) if host.state != "up" => {
                let message = format!("host {name} is {}; its logs cannot be read now", host.state);
                Err(Failure::new(Code::Failed, message))
            }
            _ => Ok(()),
        }
    }

    /// Prints what comes, until the task ends.
    fn follow(&mut self) -> Outcome {
        loop {
            let detail = task(self.session, &self.args.instance)?;
            self.pass(&detail)?;
            if !detail.task.active {
                let state = screen::status(detail.task.status);
                screen::aside(&screen::faint(&format!("The task has ended: {state}")));
                return Ok(());
            }
            pause(Duration::from_millis(300));
        }
    }

    /// Prints what is new in the logs that are meant.
    fn pass(&mut self, detail: &TaskDetail) -> Outcome {
        let titled = detail.processes.len() > 1 && self.args.process.is_none();
        for process in self.processes(detail)? {
            for run in self.runs(detail, process) {
                let task_id = detail.task.task_id.clone();
                let source = Source { task_id, process: process.name.clone(), run };
                self.print(source, titled)?;
            }
        }
        Ok(())
    }

    fn processes<'d>(&self, detail: &'d TaskDetail) -> Result<Vec<&'d Process>, Failure> {
        let Some(name) = &self.args.process else { return Ok(detail.processes.iter().collect()) };
        let found = detail.processes.iter().find(|it| it.name == *name);
        if found.is_none() && !detail.processes.is_empty() {
            let names: Vec<_> = detail.processes.iter().map(|it| it.name.as_str()).collect();
            let message = format!("The task has no process {name}");
            return Err(Failure::new(Code::InvalidParameter, message)
                .hint(format!("It has {}", names.join(", "))));
        }
        Ok(found.into_iter().collect())
    }

    /// The run that was asked for; else the newest, and all that come after one that was read.
    fn runs(&self, detail: &TaskDetail, process: &Process) -> Vec<u32> {
        if let Some(run) = self.args.run {
            return vec![run];
        }
        let known = |run: u32| {
            let (task_id, process) = (detail.task.task_id.clone(), process.name.clone());
            self.read.contains_key(&Source { task_id, process, run })
        };
        let runs: Vec<u32> = process.runs.iter().map(|it| it.run).collect();
        match runs.iter().position(|&run| known(run)) {
            Some(first) => runs[first..].to_vec(),
            None => runs.last().copied().into_iter().collect(),
        }
    }

    fn print(&mut self, source: Source, titled: bool) -> Outcome {
        let stream = if self.args.stderr { Stream::Stderr } else { Stream::Stdout };
        let mut offset = self.read.get(&source).copied().unwrap_or(0);
        loop {
            let Source { task_id, process, run } = &source;
            let log = Log { task_id, process, run: *run, stream };
            let Some(piece) = self.session.client.log(&log, offset)? else { break };
            self.read.insert(source.clone(), piece.next);
            if piece.data.is_empty() {
                break;
            }
            if piece.skipped > 0 {
                let bytes = piece.skipped;
                screen::aside(&screen::faint(&format!("({bytes} bytes were rotated away)")));
            }
            let mut out = screen::out();
            if titled && self.last.as_ref() != Some(&source) {
                let gap = if self.last.is_some() { "\n" } else { "" };
                writeln!(out, "{gap}{}", screen::faint(&format!("==> {process} (run {run}) <==")))?;
            }
            out.write_all(&piece.data)?;
            out.flush()?;
            drop(out);
            self.last = Some(source.clone());
            offset = piece.next;
        }
        Ok(())
    }

    /// Silence has to be told apart from a process that has not started.
    fn something(&self, detail: &TaskDetail) -> Outcome {
        if !self.read.is_empty() {
            return Ok(());
        }
        let state = screen::name(detail.task.status);
        let message = match self.args.run {
            Some(run) => format!("There is no log of run {run}"),
            None => format!("Nothing has run yet: the instance is {state}"),
        };
        let TaskSummary { role, environment, name, instance, .. } = &detail.task;
        let cluster = &self.args.instance.key.cluster;
        Err(Failure::new(Code::Failed, message).hint(format!(
            "airglow job status {cluster}/{role}/{environment}/{name} tells more of instance {instance}"
        )))
    }
}
