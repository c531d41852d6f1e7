//! Configurations that are data: JSON, and YAML of the same shape.
//!
//! `{"jobs": […]}`, or one job. Templates work as in Python files. Names must be right: a field
//! that a job does not have is a mistake.

use std::{rc::Rc, sync::Arc};

use serde_json::Value as Json;

use super::{
    Format,
    errors::{Mistake, Origin},
    value::{Language, Struct, Value},
};

mod lines;

/// A job in a file, or what is wrong with it, pointers being relative to `pointer`.
pub(super) struct Entry {
    pub(super) pointer: String,
    pub(super) job: Result<Rc<Struct>, Vec<Mistake>>,
}

pub(super) fn read(text: &str, format: Format, file: &Arc<str>, language: &Language) -> Vec<Entry> {
    let json = match parse(text, format) {
        Ok(json) => json,
        Err((message, line)) => {
            let mistake = Mistake::new(message).at(Some(Origin { file: file.clone(), line }));
            return vec![Entry { pointer: String::new(), job: Err(vec![mistake]) }];
        }
    };
    match json.get("jobs") {
        Some(Json::Array(jobs)) => {
            let entry =
                |(n, job)| Entry { pointer: format!("/jobs/{n}"), job: build(job, language) };
            jobs.iter().enumerate().map(entry).collect()
        }
        _ => vec![Entry { pointer: String::new(), job: build(&json, language) }],
    }
}

/// The line where a pointer leads to, as far as that is known, or 0.
pub(super) fn line_of(text: &str, format: Format, pointer: &str) -> usize {
    match format {
        Format::Auto | Format::Json => lines::line_of(text, pointer),
        Format::Yaml => 0,
    }
}

fn build(job: &Json, language: &Language) -> Result<Rc<Struct>, Vec<Mistake>> {
    let Json::Object(fields) = job else {
        return Err(vec![Mistake::new(format!("Cannot coerce '{job}' to Job"))]);
    };
    let given = fields.iter().map(|(name, it)| (name.clone(), Value::from_json(it)));
    let mut wrong = Vec::new();
    let job = Struct::new(&language.job(), given.collect(), None, &mut wrong);
    let located = |it: super::value::Mistake| Mistake {
        message: it.detail,
        pointer: format!("/{}", it.field),
        ..Mistake::default()
    };
    if wrong.is_empty() { Ok(job) } else { Err(wrong.into_iter().map(located).collect()) }
}

/// The text as JSON, or what is wrong with it and in which line.
fn parse(text: &str, format: Format) -> Result<Json, (String, usize)> {
    match format {
        Format::Yaml => serde_yaml_ng::from_str(text).map_err(|error| {
            let line = error.location().map_or(0, |it| it.line());
            (error.to_string(), line)
        }),
        Format::Auto | Format::Json => {
            serde_json::from_str(text).map_err(|error| (error.to_string(), error.line()))
        }
    }
}
