//! One update: how far it has come, instance by instance; what failed and why; what changes.
//!
//! What moves is in two parts that the script asks for alone (`?part=now`); what was decided when it
//! began comes with the page only.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{Data, Query},
};
use airglow_model::{
    ids::{JobKey, UpdateKey},
    machine::Timestamp,
    task::Task,
    update::{self, Action, Direction},
    view::{UpdateView, View},
};
use askama::Template;
use serde::Deserialize;

use self::{
    changes::{Changes, What},
    failures::Failure,
    grid::{Grid, Stage},
    words::Reason,
};
use super::{
    Section, Shell, Sorry, events_of, format,
    job::{Waiting, waiting},
    progress::{self, Moving},
    render,
};
use crate::{
    Site,
    api::{Problem, UpdateDetail},
    updates::{self, UpdatePath},
};

mod changes;
mod failures;
mod grid;
mod lines;
mod words;

/// What happened to instances, on one page: so many lines.
const EVENTS: usize = 200;
/// As many of them are seen at once.
const UNFOLDED: usize = 12;
/// As many batches are told of one by one.
const BATCHES: usize = 40;

#[derive(Deserialize)]
pub(crate) struct Choice {
    /// `now`: only what moves.
    #[serde(default)]
    part: String,
    page: Option<usize>,
}

#[derive(Template)]
#[template(path = "update.html")]
struct UpdatePage {
    shell: Shell,
    job: JobKey,
    now: Now,
    story: Story,
    changes: Vec<Changes>,
    detail: UpdateDetail,
    settings: Vec<(&'static str, String)>,
}

/// How far it has come.
#[derive(Template)]
#[template(path = "update_now.html")]
struct Now {
    clock: Timestamp,
    key: UpdateKey,
    is_forward: bool,
    moving: Moving,
    user: String,
    message: String,
    reasons: Vec<Reason>,
    /// Until when it goes on without a pulse.
    pulse_due: Option<Timestamp>,
    failures: Vec<Failure>,
    /// As many more.
    unshown: usize,
    grid: Grid,
    waiting: Vec<Waiting>,
    /// Runs that instances have, to be asked about before they are changed.
    stakes: String,
}

/// What happened, newest first.
#[derive(Template)]
#[template(path = "update_story.html")]
struct Story {
    clock: Timestamp,
    events: Vec<update::UpdateEvent>,
    steps: Vec<Step>,
    page: usize,
    pages: usize,
}

/// The same thing that happened to some instances at once.
struct Step {
    at: Timestamp,
    action: Action,
    message: String,
    instances: Vec<u32>,
}

pub(crate) async fn update(
    site: Data<Site>,
    path: UpdatePath,
    choice: Query<Choice>,
) -> Result<HttpResponse, Sorry> {
    let key = updates::key(path);
    let title = format!("Update of {}", key.job.name);
    let shell = Shell::new(&site, title, Section::Updates).live(events_of(&key.job));
    let is_part = choice.part == "now";
    let page = choice.page.unwrap_or(1);
    let found = site.scheduler.view().read(|view| {
        let it = view.updates.get(&key)?;
        let whole = (!is_part).then(|| updates::outline(view, it));
        Some((Now::of(view, it, shell.now), Story::of(it, page, shell.now), whole))
    });
    let gone = || Problem::not_found(format!("there is no update {key}"));
    let (mut now, story, whole) = found.ok_or_else(gone)?;
    failures::trace(&site, &key.job, &mut now.failures).await;
    let Some(detail) = whole else {
        let part = format!("<main id=\"main\" data-now=\"{}\">{now}{story}</main>", shell.now.0);
        return Ok(HttpResponse::Ok().content_type(ContentType::html()).body(part));
    };
    let (changes, settings) = (Changes::of(&detail), words::settings(&detail.settings));
    render(&UpdatePage { shell, job: key.job, now, story, changes, detail, settings })
}

impl UpdatePage {
    /// The number of the new configuration.
    fn target(&self) -> u32 {
        self.detail.target.as_ref().map_or(0, |it| it.config)
    }
}

impl Now {
    fn of(view: &View, it: &UpdateView, clock: Timestamp) -> Self {
        let update = &it.update;
        let job = view.jobs.get(&update.key.job);
        let scope = update.scope();
        let is_active = update.status.is_active();
        let waits = job.filter(|_| is_active).map(|job| waiting(job, |it| scope.contains(it)));
        let mut failures = failures::of(it);
        let unshown = failures.len().saturating_sub(failures::SHOWN);
        failures.truncate(failures::SHOWN);
        Self {
            clock,
            key: update.key.clone(),
            is_forward: update.roll.direction == Direction::Forward,
            moving: Moving::new(it),
            user: update.by.clone(),
            message: update.events.first().map(|it| it.message.clone()).unwrap_or_default(),
            reasons: words::reasons(update),
            pulse_due: update.pulse_due_at().filter(|_| update.status.is_rolling()),
            failures,
            unshown,
            grid: Grid::of(job, it),
            waiting: waits.unwrap_or_default(),
            stakes: job.map(|job| stakes(job.tasks.values(), update)).unwrap_or_default(),
        }
    }

    fn job(&self) -> &JobKey {
        &self.key.job
    }

    /// Where the API has it.
    fn api(&self) -> String {
        format!("/updates/{}", self.key)
    }

    fn status(&self) -> update::Status {
        self.moving.it.status
    }

    fn may_pause(&self) -> bool {
        let status = self.status();
        status.is_rolling() || self.is_awaiting()
    }

    fn may_resume(&self) -> bool {
        self.moving.it.active && !self.may_pause()
    }

    fn is_awaiting(&self) -> bool {
        matches!(
            self.status(),
            update::Status::RollForwardAwaitingPulse | update::Status::RollBackAwaitingPulse
        )
    }

    /// Of 100.
    fn percent(&self) -> u64 {
        let it = self.moving.it.progress;
        ((it.done + it.failed) * 100).checked_div(it.total).unwrap_or(100)
    }

    fn batches(&self) -> impl Iterator<Item = (usize, &grid::Group)> {
        let groups = self.grid.groups.iter().enumerate().map(|(at, it)| (at + 1, it));
        let current = self.grid.groups.iter().position(|it| it.stage != Stage::Over).unwrap_or(0);
        groups.skip(current.saturating_sub(BATCHES / 2)).take(BATCHES)
    }
}

/// `120 have the new version now, 120 an earlier one`.
fn stakes<'a>(tasks: impl Iterator<Item = &'a Task>, update: &update::Update) -> String {
    let target = update.target.as_ref().map(|it| it.config);
    let active = tasks.filter(|it| it.is_active()).filter_map(|it| it.run.as_ref());
    let (new, old): (Vec<_>, Vec<_>) = active.partition(|it| Some(it.config) == target);
    format!("{} run the new version now, {} an earlier one.", new.len(), old.len())
}

impl Story {
    fn of(it: &UpdateView, page: usize, clock: Timestamp) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let (mut count, first) = (0, page.max(1).saturating_sub(1).saturating_mul(EVENTS));
        for lot in it.lots.values().rev() {
            let all = Step::of(lot);
            let shown = all.len().min((first + EVENTS).saturating_sub(count));
            let skipped = first.saturating_sub(count).min(shown);
            count += all.len();
            steps.extend(all.into_iter().take(shown).skip(skipped));
        }
        let pages = count.div_ceil(EVENTS).max(1);
        if page > pages {
            return Self::of(it, pages, clock);
        }
        let events = it.update.events.iter().rev().cloned().collect();
        Self { clock, events, steps, page: page.max(1), pages }
    }

    fn unfolded(&self) -> &[Step] {
        &self.steps[..self.steps.len().min(UNFOLDED)]
    }

    fn folded(&self) -> &[Step] {
        &self.steps[self.steps.len().min(UNFOLDED)..]
    }
}

impl Step {
    /// What happened in one lot, newest first.
    fn of(lot: &[update::InstanceEvent]) -> Vec<Self> {
        let mut steps: Vec<Self> = Vec::new();
        for event in lot.iter().rev() {
            let same = |it: &&mut Self| {
                it.at == event.at && it.action == event.action && it.message == event.message
            };
            // What is the same is told close together.
            match steps.iter_mut().rev().take(8).find(same) {
                Some(step) => step.instances.push(event.instance),
                None => steps.push(Self {
                    at: event.at,
                    action: event.action,
                    message: event.message.clone(),
                    instances: vec![event.instance],
                }),
            }
        }
        steps
    }

    fn look(&self) -> format::Look {
        let (name, class, glyph) = match self.action {
            Action::Updating => ("begun", "running", "▸"),
            Action::Updated => ("done", "finished", "✓"),
            Action::UpdateFailed => ("failed", "failed", "✕"),
            Action::RollingBack => ("being turned back", "ending", "◂"),
            Action::RolledBack => ("back as it was", "lost", "↺"),
            Action::RollbackFailed => ("failed to go back", "failed", "✕"),
        };
        format::Look { name, class, glyph }
    }

    fn who(&self) -> String {
        grid::brief(&self.instances.iter().copied().collect())
    }
}
