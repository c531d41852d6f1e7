//! What configurations are made of: structs with typed fields, lists, maps, and scalars that may
//! still be templates.
//!
//! No Python in here. Python objects become these values, and so does what JSON and YAML files say,
//! so that defaults, coercions and templates work the same for all of them. A value does not know
//! its own type; the field that holds it does. Values are never changed, only copied, and copies
//! are cheap.

use std::{fmt, rc::Rc};

use airglow_model::{
    schema,
    template::{Reference, Step},
};

use super::{errors::Origin, scope::Scope};

mod types;

pub(super) use types::{Enum, FieldType, Language, Presence, Schema, Type};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// For a number or a truth as well, as long as it is a template.
    Text(Rc<str>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Rc<[Value]>),
    Map(Rc<[(Rc<str>, Value)]>),
    Struct(Rc<Struct>),
    /// Takes a field's value away.
    Empty,
    /// Something that no field takes, such as a function, as a text for the message about it.
    Other(Rc<str>),
    /// Something wrong that has been complained about.
    Invalid,
}

/// An object of the language, or of one that the file declares.
#[derive(Debug)]
pub(super) struct Struct {
    pub(super) schema: Rc<Schema>,
    /// Beside the schema's fields; those without a value are [`Value::Empty`].
    fields: Vec<Value>,
    /// The latest first.
    binds: Vec<Rc<Scope>>,
    /// What surrounded this when it was taken out of another object: looked at after `binds`.
    context: Vec<Rc<Scope>>,
    pub(super) origin: Option<Origin>,
}

/// Where it was written does not matter.
impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.schema, &other.schema)
            && self.fields == other.fields
            && self.binds == other.binds
    }
}

/// Something wrong with one field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mistake {
    pub(super) object: String,
    pub(super) field: String,
    pub(super) detail: String,
}

impl Value {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The text that a reference to this stands for; structures have none.
    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => {
                schema::text(&self.as_scalar()?).ok()
            }
            Self::List(_)
            | Self::Map(_)
            | Self::Struct(_)
            | Self::Empty
            | Self::Other(_)
            | Self::Invalid => None,
        }
    }

    pub(super) fn as_struct(&self) -> Option<&Rc<Struct>> {
        if let Self::Struct(object) = self { Some(object) } else { None }
    }

    pub(super) fn as_scalar(&self) -> Option<serde_json::Value> {
        match self {
            Self::Text(text) => Some((**text).into()),
            Self::Integer(integer) => Some((*integer).into()),
            Self::Float(float) => Some((*float).into()),
            Self::Boolean(truth) => Some((*truth).into()),
            Self::List(_)
            | Self::Map(_)
            | Self::Struct(_)
            | Self::Empty
            | Self::Other(_)
            | Self::Invalid => None,
        }
    }

    /// One step into what this names. Maps and lists are lenient about how it is written.
    pub(super) fn get(&self, step: &Step) -> Option<&Self> {
        let (Step::Name(name) | Step::Key(name)) = step;
        let found = match (self, step) {
            (Self::Struct(object), Step::Name(name)) => object.get(name),
            (Self::List(items), Step::Key(key)) => items.get(key.parse::<usize>().ok()?),
            (Self::Map(entries), _) => {
                entries.iter().find(|(key, _)| **key == **name).map(|(_, value)| value)
            }
            _ => None,
        };
        found.filter(|it| **it != Self::Empty)
    }

    pub(super) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;

        match json {
            // As good as not there.
            Json::Null => Self::Empty,
            Json::Bool(truth) => Self::Boolean(*truth),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => number.as_f64().map_or(Self::Invalid, Self::Float),
            },
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, it)| (key.as_str().into(), Self::from_json(it)))
                    .collect(),
            ),
        }
    }

    /// Without what is empty or invalid.
    pub(super) fn to_json(&self) -> Option<serde_json::Value> {
        match self {
            Self::List(items) => {
                Some(items.iter().map(|it| it.to_json().unwrap_or_default()).collect())
            }
            Self::Map(entries) => {
                let entries = entries.iter();
                let entries =
                    entries.filter_map(|(key, it)| Some((key.to_string(), it.to_json()?)));
                Some(serde_json::Value::Object(entries.collect()))
            }
            Self::Struct(object) => {
                let fields = object.fields();
                let fields =
                    fields.filter_map(|(it, value)| Some((it.name.clone(), value.to_json()?)));
                Some(serde_json::Value::Object(fields.collect()))
            }
            Self::Text(_) | Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => {
                self.as_scalar()
            }
            Self::Empty | Self::Other(_) | Self::Invalid => None,
        }
    }
}

/// As messages show it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Empty => f.write_str("Empty"),
            Self::Invalid => f.write_str("…"),
            Self::List(_) => f.write_str("[…]"),
            Self::Map(_) => f.write_str("{…}"),
            Self::Struct(object) => write!(f, "{}(…)", object.schema.name),
            Self::Text(_) | Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => {
                f.write_str(&self.as_text().unwrap_or_default())
            }
        }
    }
}

impl Struct {
    /// With the schema's defaults where nothing is given.
    pub(super) fn new(
        schema: &Rc<Schema>,
        given: Vec<(String, Value)>,
        origin: Option<Origin>,
        mistakes: &mut Vec<Mistake>,
    ) -> Rc<Self> {
        let fields = schema.fields.iter().map(|it| match &it.presence {
            Presence::Default(value) => value.clone(),
            Presence::Required | Presence::Optional | Presence::Ignored(_) => Value::Empty,
        });
        let (schema, fields) = (schema.clone(), fields.collect());
        let blank = Self { schema, fields, binds: Vec::new(), context: Vec::new(), origin: None };
        blank.with(given, origin, mistakes)
    }

    /// A copy with other values in some fields.
    pub(super) fn with(
        &self,
        given: Vec<(String, Value)>,
        origin: Option<Origin>,
        mistakes: &mut Vec<Mistake>,
    ) -> Rc<Self> {
        let mut copy = self.copy();
        copy.origin = origin.or(copy.origin);
        for (name, value) in given {
            let Some((index, field)) = self.schema.field(&name) else {
                let known = self.schema.fields.iter().map(|it| it.name.as_str());
                let detail = schema::unknown_attribute(&self.schema.name, &name, known);
                mistakes.push(Mistake { object: self.schema.name.clone(), field: name, detail });
                continue;
            };
            let mut details = Vec::new();
            copy.fields[index] = field.kind.coerce(value, &mut details);
            mistakes.extend(details.into_iter().map(|detail| Mistake {
                object: self.schema.name.clone(),
                field: name.clone(),
                detail,
            }));
        }
        Rc::new(copy)
    }

    /// A copy in which references find `scope` before all that was bound earlier.
    pub(super) fn bind(&self, scope: Scope) -> Rc<Self> {
        let mut copy = self.copy();
        copy.binds.insert(0, Rc::new(scope));
        Rc::new(copy)
    }

    /// A copy in which references find `scope` after all that was bound.
    pub(super) fn within(&self, scopes: impl IntoIterator<Item = Rc<Scope>>) -> Rc<Self> {
        let mut copy = self.copy();
        copy.context.extend(scopes);
        Rc::new(copy)
    }

    /// This object's own values, where an object of another schema is wanted.
    pub(super) fn cast(self: &Rc<Self>, schema: &Rc<Schema>) -> Rc<Self> {
        let value = |field: &FieldType| self.get(&field.name).cloned().unwrap_or(Value::Empty);
        let fields = schema.fields.iter().map(value).collect();
        let mut cast = Self { schema: schema.clone(), fields, ..self.copy() };
        cast.context.insert(0, Rc::new(Scope::Attributes(self.clone())));
        Rc::new(cast)
    }

    /// A copy with each field's value replaced.
    pub(super) fn map(&self, mut change: impl FnMut(&FieldType, &Value) -> Value) -> Rc<Self> {
        let fields = self.fields().map(|(field, value)| change(field, value)).collect();
        Rc::new(Self { fields, ..self.copy() })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.schema.field(name).map(|(index, _)| &self.fields[index])
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&FieldType, &Value)> {
        self.schema.fields.iter().zip(&self.fields)
    }

    pub(super) fn binds(&self) -> &[Rc<Scope>] {
        &self.binds
    }

    pub(super) fn context(&self) -> &[Rc<Scope>] {
        &self.context
    }

    fn copy(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            fields: self.fields.clone(),
            binds: self.binds.clone(),
            context: self.context.clone(),
            origin: self.origin.clone(),
        }
    }
}

/// The part of `bind(…)` that a name and a value make up.
pub(super) fn binding(name: &str, value: Value) -> Result<(Reference, Value), String> {
    let reference = Reference::parse(name).map_err(|it| it.to_string())?;
    Ok((reference, value))
}

/// Whether an object is complete and its scalars are of their types.
///
/// # Errors
/// What is wrong first, and the way to it.
pub(super) fn check(value: &Value, kind: &Type) -> Result<(), String> {
    match (value, kind) {
        (Value::Struct(object), _) => object.fields().try_for_each(|(field, value)| {
            let at = format!("{}[{}]", object.schema.name, field.name);
            match (value, &field.presence) {
                (Value::Empty, Presence::Required) => Err(format!("{at} is required.")),
                (Value::Empty, _) => Ok(()),
                _ => check(value, &field.kind).map_err(|it| format!("{at} failed: {it}")),
            }
        }),
        (Value::List(items), Type::List(of)) => items.iter().try_for_each(|it| {
            check(it, of).map_err(|it| format!("Element in {} failed check: {it}", kind.name()))
        }),
        (Value::Text(text), Type::Integer | Type::Float | Type::Boolean) => {
            Err(format!("'{text}' is not of type {}", kind.name()))
        }
        _ => Ok(()),
    }
}
