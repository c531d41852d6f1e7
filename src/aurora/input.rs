//! Configurations that are data: JSON, and YAML of the same shape.
//!
//! `{"jobs": […]}`, or one job. Templates work as in Python files. Names must be right: a field
//! that a job does not have is a mistake.

use std::rc::Rc;

use serde_json::Value as Json;

use super::{
    Format,
    errors::{Mistake, Origin},
    value::{Language, Struct, Value},
};

/// The jobs in a text, each as far as it could be read, and what is wrong with them.
pub(super) fn read(
    text: &str,
    format: Format,
    origin: &Origin,
    language: &Language,
) -> Result<Vec<Rc<Struct>>, Vec<Mistake>> {
    let json = parse(text, format).map_err(|(message, line)| {
        vec![Mistake::new(message).at(Some(Origin { line, ..origin.clone() }))]
    })?;
    let (jobs, prefix) = match json.get("jobs") {
        Some(Json::Array(jobs)) => (jobs.clone(), true),
        _ => (vec![json], false),
    };
    let schema = language.job();
    let mut found = Vec::new();
    let mut mistakes = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let at = if prefix { format!("/jobs/{n}") } else { String::new() };
        let Json::Object(fields) = job else {
            mistakes.push(Mistake {
                message: format!("Cannot coerce '{job}' to Job"),
                origin: Some(origin.clone()),
                pointer: at,
                ..Mistake::default()
            });
            continue;
        };
        let given = fields.iter().map(|(name, it)| (name.clone(), Value::from_json(it)));
        let mut wrong = Vec::new();
        found.push(Struct::new(&schema, given.collect(), None, &mut wrong));
        mistakes.extend(wrong.into_iter().map(|it| Mistake {
            message: it.detail,
            origin: Some(origin.clone()),
            pointer: format!("{at}/{}", it.field),
            ..Mistake::default()
        }));
    }
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

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
