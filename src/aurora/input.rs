//! Configurations that are data: JSON, and YAML of the same shape.
//!
//! `{"jobs": […]}`, or one job, or one task for those who run it by itself. Templates work as in
//! Python files. Names must be right: a field that a job does not have is a mistake.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use airglow_model::schema;
use serde_json::Value as Json;

use super::{
    Format,
    errors::{Mistake, Origin},
    value::{Language, Schema, Struct, Value},
};

mod bounded;
mod lines;
mod yaml_lines;

/// A job or a task in a file, or what is wrong with it, pointers being relative to `pointer`.
pub(super) struct Entry {
    pub(super) pointer: String,
    pub(super) found: Result<Found, Vec<Mistake>>,
}

pub(super) enum Found {
    Job(Rc<Struct>),
    Task(Rc<Struct>),
}

pub(super) fn read(text: &str, format: Format, file: &Arc<str>, language: &Language) -> Vec<Entry> {
    let json = match parse(text, format) {
        Ok(json) => json,
        Err((message, line)) => {
            let mistake = Mistake::new(message).at(Some(Origin { file: file.clone(), line }));
            return vec![Entry { pointer: String::new(), found: Err(vec![mistake]) }];
        }
    };
    let Some(Json::Array(jobs)) = json.get("jobs") else {
        return vec![Entry { pointer: String::new(), found: job_or_task(&json, language) }];
    };
    let entry = |(n, job)| {
        let job = build(job, &language.job()).map(Found::Job);
        Entry { pointer: format!("/jobs/{n}"), found: job }
    };
    let strange = beside_jobs(&json).into_iter();
    let strange = strange.map(|it| Entry { pointer: String::new(), found: Err(vec![it]) });
    jobs.iter().enumerate().map(entry).chain(strange).collect()
}

/// A job has a task, and a task has processes.
fn job_or_task(json: &Json, language: &Language) -> Result<Found, Vec<Mistake>> {
    if json.get("processes").is_some() && json.get("task").is_none() {
        build(json, &language.task()).map(Found::Task)
    } else {
        build(json, &language.job()).map(Found::Job)
    }
}

/// What somebody wrote that nobody would read.
fn beside_jobs(file: &Json) -> Vec<Mistake> {
    let fields = file.as_object().into_iter().flat_map(|it| it.keys());
    let strange = fields.filter(|it| *it != "jobs").map(|name| Mistake {
        message: schema::unknown_attribute("a file of jobs", name, ["jobs"]),
        pointer: format!("/{name}"),
        ..Mistake::default()
    });
    strange.collect()
}

/// Where in a text that could be read things are. It is looked through once, when somebody wants to
/// know.
pub(super) struct Lines<'a> {
    text: &'a str,
    format: Format,
    yaml: OnceCell<yaml_lines::Lines<'a>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str, format: Format) -> Self {
        Self { text, format, yaml: OnceCell::new() }
    }

    /// The line where a pointer leads to, as far as that is known, or 0.
    pub(super) fn line_of(&self, pointer: &str) -> usize {
        match self.format {
            Format::Auto | Format::Json => lines::line_of(self.text, pointer),
            Format::Yaml => {
                self.yaml.get_or_init(|| yaml_lines::Lines::of(self.text)).line_of(pointer)
            }
        }
    }
}

fn build(json: &Json, schema: &Rc<Schema>) -> Result<Rc<Struct>, Vec<Mistake>> {
    let Json::Object(fields) = json else {
        return Err(vec![Mistake::new(format!("Cannot coerce '{json}' to {}", schema.name))]);
    };
    let given = fields.iter().map(|(name, it)| (name.clone(), Value::from_json(it)));
    let mut wrong = Vec::new();
    let built = Struct::new(schema, given.collect(), None, &mut wrong);
    let located = |it: super::value::Mistake| Mistake {
        message: it.detail,
        pointer: format!("/{}", it.field),
        ..Mistake::default()
    };
    if wrong.is_empty() { Ok(built) } else { Err(wrong.into_iter().map(located).collect()) }
}

/// The text as JSON, or what is wrong with it and in which line.
fn parse(text: &str, format: Format) -> Result<Json, (String, usize)> {
    match format {
        Format::Yaml => bounded::read(text).map_err(|error| {
            let line = error.location().map_or(0, |it| it.line());
            (error.to_string(), line)
        }),
        Format::Auto | Format::Json => {
            serde_json::from_str(text).map_err(|error| (error.to_string(), error.line()))
        }
    }
}
