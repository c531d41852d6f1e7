//! The table as JSON Schema, for the API's own documentation.

use serde_json::{Map, Value, json};

use super::{Field, Kind, OBJECTS, Object, Presence};

/// JSON Schema of every object of the language, by name: `components.schemas` of an OpenAPI 3.1
/// document. A job is `Job`; references between them are `#/components/schemas/…`.
pub fn json_schema() -> Value {
    OBJECTS.iter().map(|it| (it.name.to_owned(), object(it))).collect::<Map<_, _>>().into()
}

fn object(object: &Object) -> Value {
    let fields = object.fields.iter().map(|it| (it.name.to_owned(), field(it)));
    let is_required = |it: &&Field| matches!(it.presence, Presence::Required);
    let required: Vec<_> = object.fields.iter().filter(is_required).map(|it| it.name).collect();
    json!({
        "type": "object",
        "description": object.about,
        "properties": fields.collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": false,
    })
}

fn field(field: &Field) -> Value {
    let mut schema = kind(&field.kind);
    schema["description"] = field.about.into();
    match field.presence {
        Presence::Required | Presence::Optional => {}
        Presence::Default(json) => {
            schema["default"] = serde_json::from_str(json).expect("a default is JSON");
        }
        Presence::Ignored(_) => schema["deprecated"] = true.into(),
    }
    schema
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::String => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer", "format": "int64"}),
        Kind::Float => json!({"type": "number", "format": "double"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Enum(it) => json!({"type": "string", "enum": it.values}),
        Kind::List(of) => json!({"type": "array", "items": kind(of)}),
        Kind::Map => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Object(object) => reference(object),
        Kind::Choice(alternatives) => {
            let any_of: Vec<_> = alternatives.iter().map(|it| reference(it.object)).collect();
            json!({"anyOf": any_of})
        }
    }
}

fn reference(object: &Object) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", object.name)})
}
