//! The configuration language's objects and fields, as one table.
//!
//! Whoever takes a job from somebody reads it with this table: Python, JSON and YAML files, and the
//! API. So there is one place for names, types and defaults, every way in accepts the same, and
//! the documentation of the API cannot be out of date. [`crate::spec`] has the same objects as Rust
//! types; a test holds the two together.

use serde_json::{Map, Value};

use crate::spec::{Complaint, JobSpec};

mod coerce;
mod openapi;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod whole;

pub use coerce::{boolean, float, integer, not_one_of, one_of, text};
pub use openapi::json_schema;
pub use table::{ENUMS, JOB, OBJECTS};

/// An object of the language.
#[derive(Debug)]
pub struct Object {
    pub name: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub presence: Presence,
    pub about: &'static str,
}

/// What a field holds.
#[derive(Debug)]
pub enum Kind {
    String,
    Integer,
    Float,
    Boolean,
    Enum(&'static Enum),
    List(&'static Kind),
    /// From text to text.
    Map,
    Object(&'static Object),
    /// The first that fits.
    Choice(&'static [Alternative]),
}

#[derive(Debug)]
pub struct Enum {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

#[derive(Debug)]
pub struct Alternative {
    pub object: &'static Object,
    /// The field that says which alternative it is, where the fields alone do not.
    pub tag: Option<&'static str>,
}

/// What becomes of a field that is not there.
#[derive(Debug)]
pub enum Presence {
    Required,
    Optional,
    /// JSON. References in it, such as `"{{task.name}}"`, are to the object's own fields.
    Default(&'static str),
    /// Once had a meaning. It is taken and dropped; the sentence says what to do.
    Ignored(&'static str),
}

impl Object {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|it| it.name == name)
    }

    /// What is wrong with a field of that name: it is not one of ours.
    pub fn unknown(&self, field: &str) -> String {
        unknown_attribute(self.name, field, self.fields.iter().map(|it| it.name))
    }
}

/// A job as JSON, with the language's defaults and coercions, or everything that is wrong with it.
///
/// # Errors
/// Every complaint there is, each with a JSON pointer into `value`.
pub fn read_job(value: &Value) -> Result<JobSpec, Vec<Complaint>> {
    let (job, complaints) = read_job_leniently(value);
    if !complaints.is_empty() {
        return Err(complaints);
    }
    Ok(job.expect("the table describes the types"))
}

/// What can be read of a job, and everything that is wrong with it. What a complaint is about has
/// its default or a placeholder; whoever looks at the job further has to leave that out.
pub fn read_job_leniently(value: &Value) -> (Option<JobSpec>, Vec<Complaint>) {
    let mut reader = read::Reader::new(value);
    let read = reader.object(&JOB, value, &read::Pointer::Root);
    let job = Value::Object(whole::object(&JOB, read));
    (serde_json::from_value(job).ok(), reader.complaints())
}

/// The complaint about a field that an object does not have, with the name that may be meant.
pub fn unknown_attribute<'a>(
    object: &str,
    field: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let hint = closest(field, known).map(|it| format!(", did you mean {it}?")).unwrap_or_default();
    format!("Unknown schema attribute {field} in {object}{hint}")
}

/// The candidate that a misspelt word most likely stands for.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close_enough = 1 + word.chars().count() / 4;
    let measured = candidates.into_iter().map(|it| (distance(word, it), it));
    measured.filter(|(distance, _)| *distance <= close_enough).min().map(|(_, it)| it)
}

/// How many letters have to be added, removed, changed or swapped with their neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = rows[i][j] + usize::from(a[i] != b[j]);
            let mut least = change.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// A default's JSON, its references replaced by what `fields` has; `None` if they are not there.
fn default_value(json: &str, fields: &Map<String, Value>) -> Option<Value> {
    let mut complete = true;
    let json = crate::template::render(json, |reference| {
        let found = lookup(fields, reference.steps()).map(|text| Value::from(text).to_string());
        complete &= found.is_some();
        found.map(|quoted| quoted[1..quoted.len() - 1].to_owned())
    });
    let json = json.expect("references in the table are well formed");
    complete.then(|| serde_json::from_str(&json).expect("defaults in the table are JSON"))
}

fn lookup<'a>(fields: &'a Map<String, Value>, steps: &[crate::template::Step]) -> Option<&'a str> {
    use crate::template::Step;

    let (Step::Name(first), rest) = steps.split_first()? else { return None };
    let into = |value: &'a Value, step: &Step| match step {
        Step::Name(name) => value.get(name),
        Step::Key(key) => value.get(key.parse::<usize>().ok()?),
    };
    rest.iter().try_fold(fields.get(first)?, into)?.as_str()
}
