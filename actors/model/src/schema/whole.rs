//! Makes what could be read of a job whole, so that what is left can be checked as well.
//!
//! What is missing gets its default or else a value that is right by its type and means nothing.
//! What was read without a mistake stays as it is.

use serde_json::{Map, Value};

use super::{Kind, Object, Presence, default_value};

const PLACEHOLDER: &str = "placeholder";

/// The object with all that it needs.
pub(super) fn object(object: &Object, mut read: Map<String, Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    for field in object.fields {
        let filled = match (read.remove(field.name), &field.presence) {
            (Some(value), _) => value_of(&field.kind, value),
            (None, Presence::Required) => placeholder(&field.kind),
            (None, Presence::Default(json)) => default_value(json, &fields)
                .map_or_else(|| placeholder(&field.kind), |it| value_of(&field.kind, it)),
            (None, Presence::Optional | Presence::Ignored(_)) => continue,
        };
        fields.insert(field.name.to_owned(), filled);
    }
    fields
}

fn value_of(kind: &Kind, value: Value) -> Value {
    match (kind, value) {
        (kind, Value::Null) => placeholder(kind),
        (Kind::Object(of), Value::Object(read)) => Value::Object(object(of, read)),
        (Kind::List(of), Value::Array(items)) => {
            items.into_iter().map(|it| value_of(of, it)).collect()
        }
        // The reader has made alternatives whole: it knows which one it took.
        (_, value) => value,
    }
}

fn placeholder(kind: &Kind) -> Value {
    match kind {
        Kind::String => PLACEHOLDER.into(),
        Kind::Integer => 1.into(),
        Kind::Float => 1.0.into(),
        Kind::Boolean => false.into(),
        Kind::Enum(kind) => kind.values.first().copied().into(),
        Kind::List(_) => Value::Array(Vec::new()),
        Kind::Map => Value::Object(Map::new()),
        Kind::Object(of) => Value::Object(object(of, Map::new())),
        // None is ever required.
        Kind::Choice(_) => Value::Null,
    }
}
