//! Reads what somebody wrote against the table and goes on after every mistake.

use std::{collections::BTreeSet, fmt};

use serde_json::{Map, Value};

use super::{Alternative, Field, Kind, Object, Presence, coerce, default_value, whole};
use crate::spec::Complaint;

/// Where in the job we are.
pub(super) enum Pointer<'a> {
    Root,
    Into(&'a Self, &'a str),
    Nth(&'a Self, usize),
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Into(outer, name) => {
                write!(f, "{outer}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Nth(outer, index) => write!(f, "{outer}/{index}"),
        }
    }
}

pub(super) struct Reader<'a> {
    /// The job's name, which some complaints mention.
    job: &'a str,
    complaints: Vec<Complaint>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(job: &'a Value) -> Self {
        let name = job.get("name").or_else(|| job.get("task")?.get("name"));
        Self { job: name.and_then(Value::as_str).unwrap_or_default(), complaints: Vec::new() }
    }

    pub(super) fn complaints(self) -> Vec<Complaint> {
        self.complaints
    }

    pub(super) fn object(
        &mut self,
        object: &'static Object,
        value: &Value,
        at: &Pointer<'_>,
    ) -> Map<String, Value> {
        let mut fields = Map::new();
        let Value::Object(given) = value else {
            self.complain(at, coerce::cannot(value, object.name));
            return fields;
        };
        let unknown = given.keys().filter(|it| object.field(it).is_none());
        for name in unknown.collect::<BTreeSet<_>>() {
            self.complain(&Pointer::Into(at, name), object.unknown(name));
        }
        for field in object.fields {
            let value = match (given.get(field.name), &field.presence) {
                // As good as not there: programs write null for what they do not have.
                (None | Some(Value::Null), _) | (_, Presence::Ignored(_)) => continue,
                (Some(value), _) => self.value(&field.kind, value, &Pointer::Into(at, field.name)),
            };
            // What cannot be read is kept as null, so that it does not count as missing.
            fields.insert(field.name.to_owned(), value.unwrap_or(Value::Null));
        }
        self.fill(object, &mut fields, at);
        fields.retain(|_, value| !value.is_null());
        fields
    }

    fn fill(&mut self, object: &'static Object, fields: &mut Map<String, Value>, at: &Pointer<'_>) {
        for field in object.fields {
            let at = Pointer::Into(at, field.name);
            match field.presence {
                _ if fields.contains_key(field.name) => {}
                Presence::Optional | Presence::Ignored(_) => {}
                Presence::Required => self.complain(&at, missing(object, field, self.job)),
                Presence::Default(json) => match default_value(json, fields) {
                    Some(default) => {
                        let value = self.value(&field.kind, &default, &at).unwrap_or(Value::Null);
                        fields.insert(field.name.to_owned(), value);
                    }
                    // Whatever it would be taken from is missing or wrong, and that has been said.
                    None if !self.complaints.is_empty() => {}
                    None => self.complain(&at, missing(object, field, self.job)),
                },
            }
        }
    }

    fn value(&mut self, kind: &'static Kind, value: &Value, at: &Pointer<'_>) -> Option<Value> {
        let read = match kind {
            Kind::String => coerce::text(value).map(Value::from),
            Kind::Integer => coerce::integer(value).map(Value::from),
            Kind::Float => coerce::float(value).map(Value::from),
            Kind::Boolean => coerce::boolean(value).map(Value::from),
            Kind::Enum(kind) => coerce::one_of(kind, value).map(Value::from),
            Kind::Object(object) => return Some(Value::Object(self.object(object, value, at))),
            Kind::List(of) => self.list(of, value, at),
            Kind::Map => self.map(value, at),
            Kind::Choice(alternatives) => return self.choice(alternatives, value, at),
        };
        read.map_err(|detail| self.complain(at, detail)).ok()
    }

    fn list(
        &mut self,
        of: &'static Kind,
        value: &Value,
        at: &Pointer<'_>,
    ) -> Result<Value, String> {
        let Value::Array(items) = value else { return Err(coerce::cannot(value, "List")) };
        let items = items.iter().enumerate();
        let read = |(n, item)| self.value(of, item, &Pointer::Nth(at, n)).unwrap_or(Value::Null);
        Ok(items.map(read).collect())
    }

    fn map(&mut self, value: &Value, at: &Pointer<'_>) -> Result<Value, String> {
        let Value::Object(given) = value else { return Err(coerce::cannot(value, "Map")) };
        let mut texts = Map::new();
        for (key, value) in given {
            match coerce::text(value) {
                Ok(text) => drop(texts.insert(key.clone(), text.into())),
                Err(detail) => self.complain(&Pointer::Into(at, key), detail),
            }
        }
        Ok(Value::Object(texts))
    }

    /// The first alternative that fits; if none does, what is wrong with the likeliest one, and
    /// what could be read of it.
    fn choice(
        &mut self,
        alternatives: &'static [Alternative],
        value: &Value,
        at: &Pointer<'_>,
    ) -> Option<Value> {
        let tags: Vec<_> = alternatives.iter().filter_map(|it| it.tag).collect();
        let set = tags.iter().filter(|it| value.get(it).is_some_and(|it| !it.is_null())).count();
        if !tags.is_empty() && (value.as_object().is_some_and(Map::is_empty) || set > 1) {
            self.complain(at, "If a container is specified it must set one type.".to_owned());
            return None;
        }
        let mut likeliest: Option<Attempt> = None;
        for Alternative { object, tag } in alternatives {
            let mut reader = Self { job: self.job, complaints: Vec::new() };
            let read = reader.object(object, value, at);
            let complaints = reader.complaints;
            if complaints.is_empty() {
                return Some(tagged(*tag, read));
            }
            let known = value.as_object().into_iter().flat_map(Map::keys);
            let strange = known.filter(|it| object.field(it).is_none()).count();
            let badness = (strange, complaints.len());
            if likeliest.as_ref().is_none_or(|it| badness < it.badness) {
                let read = whole::object(object, read);
                // Without any field there is nothing to tell by which one it is.
                let read = (!read.is_empty()).then(|| tagged(*tag, read));
                likeliest = Some(Attempt { badness, complaints, read });
            }
        }
        let Attempt { complaints, read, .. } = likeliest?;
        self.complaints.extend(complaints);
        read
    }

    fn complain(&mut self, at: &Pointer<'_>, detail: String) {
        self.complaints.push(Complaint { pointer: at.to_string(), detail });
    }
}

/// An alternative that does not fit.
struct Attempt {
    /// How many fields are not its own, and how many complaints there are.
    badness: (usize, usize),
    complaints: Vec<Complaint>,
    read: Option<Value>,
}

fn tagged(tag: Option<&str>, read: Map<String, Value>) -> Value {
    let read = Value::Object(read);
    match tag {
        Some(tag) => Value::Object(Map::from_iter([(tag.to_owned(), read)])),
        None => read,
    }
}

/// Some have been told in their own words for so long that scripts look for them.
fn missing(object: &Object, field: &Field, job: &str) -> String {
    match (object.name, field.name) {
        ("Job", "cluster") => format!("Cluster required for job \"{job}\""),
        ("Job", "role") => format!("Role required for job \"{job}\""),
        ("Job", "task") => format!("Task required for job \"{job}\""),
        // A task is named after its first process.
        ("Task", "processes" | "name") => format!("Processes required for task on job \"{job}\""),
        ("Task", "resources") => "Task must specify resources!".to_owned(),
        (object, field) => format!("{object}[{field}] is required."),
    }
}
