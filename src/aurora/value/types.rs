//! Types: the language's own, from the table of [`airglow_model::schema`], and those that files
//! declare.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use airglow_model::schema::{self, Field, Kind, OBJECTS, Object};

use super::{Struct, Value};

#[derive(Clone, Debug)]
pub(in crate::aurora) enum Type {
    String,
    Integer,
    Float,
    Boolean,
    Enum(Rc<Enum>),
    List(Rc<Type>),
    Map(Rc<Type>),
    Struct(Rc<Schema>),
    Choice(Rc<[Type]>),
}

#[derive(Debug)]
pub(in crate::aurora) struct Enum {
    pub(in crate::aurora) name: String,
    pub(in crate::aurora) values: Vec<String>,
}

#[derive(Debug)]
pub(in crate::aurora) struct Schema {
    pub(in crate::aurora) name: String,
    pub(in crate::aurora) fields: Vec<FieldType>,
    /// The struct that this one is declared to be a kind of.
    pub(in crate::aurora) parent: Option<Rc<Schema>>,
}

#[derive(Clone, Debug)]
pub(in crate::aurora) struct FieldType {
    pub(in crate::aurora) name: String,
    pub(in crate::aurora) kind: Type,
    pub(in crate::aurora) presence: Presence,
}

#[derive(Clone, Debug)]
pub(in crate::aurora) enum Presence {
    Required,
    Optional,
    Default(Value),
    /// Taken and dropped; the sentence says why.
    Ignored(&'static str),
}

impl Type {
    pub(in crate::aurora) fn name(&self) -> String {
        match self {
            Self::String => "String".to_owned(),
            Self::Integer => "Integer".to_owned(),
            Self::Float => "Float".to_owned(),
            Self::Boolean => "Boolean".to_owned(),
            Self::Enum(it) => it.name.clone(),
            Self::List(of) => format!("{}List", of.name()),
            Self::Map(of) => format!("String{}Map", of.name()),
            Self::Struct(it) => it.name.clone(),
            Self::Choice(of) => {
                let names: Vec<_> = of.iter().map(Self::name).collect();
                format!("Choice_{}", names.join("_"))
            }
        }
    }

    /// The value as one of this type, or [`Value::Invalid`] and what is wrong with it.
    pub(in crate::aurora) fn coerce(&self, value: Value, mistakes: &mut Vec<String>) -> Value {
        match value {
            Value::Empty | Value::Invalid => return value,
            Value::Other(_) => return self.refuse(&value, mistakes),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Struct(_) => {}
        }
        match self {
            Self::String | Self::Integer | Self::Float | Self::Boolean | Self::Enum(_) => {
                self.coerce_scalar(value, mistakes)
            }
            Self::List(of) => {
                let Value::List(items) = &value else { return self.refuse(&value, mistakes) };
                Value::List(items.iter().map(|it| of.coerce(it.clone(), mistakes)).collect())
            }
            Self::Map(of) => {
                let Value::Map(entries) = &value else { return self.refuse(&value, mistakes) };
                let coerce =
                    |(key, it): &(Rc<str>, Value)| (key.clone(), of.coerce(it.clone(), mistakes));
                Value::Map(entries.iter().map(coerce).collect())
            }
            Self::Struct(schema) => {
                if let Value::Map(entries) = &value {
                    return from_map(schema, entries, mistakes);
                }
                let object = value.as_struct().filter(|it| it.schema.is_a(schema));
                let Some(object) = object else { return self.refuse(&value, mistakes) };
                let exact = Rc::ptr_eq(&object.schema, schema);
                Value::Struct(if exact { object.clone() } else { object.cast(schema) })
            }
            Self::Choice(alternatives) => choose(alternatives, &value, mistakes),
        }
    }

    fn coerce_scalar(&self, value: Value, mistakes: &mut Vec<String>) -> Value {
        let is_template = matches!(&value, Value::Text(text) if text.contains("{{"));
        let Some(scalar) = value.as_scalar() else { return self.refuse(&value, mistakes) };
        if is_template {
            return value;
        }
        let coerced = match self {
            Self::Integer => schema::integer(&scalar).map(Value::Integer),
            Self::Float => schema::float(&scalar).map(Value::Float),
            Self::Boolean => schema::boolean(&scalar).map(Value::Boolean),
            Self::Enum(it) => it.pick(&scalar),
            Self::String | Self::List(_) | Self::Map(_) | Self::Struct(_) | Self::Choice(_) => {
                schema::text(&scalar).map(Value::text)
            }
        };
        coerced.unwrap_or_else(|detail| {
            mistakes.push(detail);
            Value::Invalid
        })
    }

    fn refuse(&self, value: &Value, mistakes: &mut Vec<String>) -> Value {
        mistakes.push(format!("Cannot coerce '{value}' to {}", self.name()));
        Value::Invalid
    }

    fn is_of(&self, value: &Value) -> bool {
        let Self::Struct(schema) = self else { return false };
        value.as_struct().is_some_and(|it| it.schema.is_a(schema))
    }
}

fn from_map(
    schema: &Rc<Schema>,
    entries: &[(Rc<str>, Value)],
    mistakes: &mut Vec<String>,
) -> Value {
    let given = entries.iter().map(|(key, it)| (key.to_string(), it.clone()));
    let mut wrong = Vec::new();
    let built = Struct::new(schema, given.collect(), None, &mut wrong);
    mistakes.extend(wrong.into_iter().map(|it| it.detail));
    Value::Struct(built)
}

/// The alternative that the value is already of, or else the first that it can become.
fn choose(alternatives: &[Type], value: &Value, mistakes: &mut Vec<String>) -> Value {
    if let Some(exact) = alternatives.iter().find(|it| it.is_of(value)) {
        return exact.coerce(value.clone(), mistakes);
    }
    let mut fewest: Option<Vec<String>> = None;
    for alternative in alternatives {
        let mut wrong = Vec::new();
        let coerced = alternative.coerce(value.clone(), &mut wrong);
        if wrong.is_empty() {
            return coerced;
        }
        if fewest.as_ref().is_none_or(|it| wrong.len() < it.len()) {
            fewest = Some(wrong);
        }
    }
    mistakes.extend(fewest.into_iter().flatten());
    Value::Invalid
}

impl Enum {
    fn pick(&self, scalar: &serde_json::Value) -> Result<Value, String> {
        let text = schema::text(scalar)?;
        if self.values.contains(&text) {
            return Ok(Value::text(text));
        }
        Err(schema::not_one_of(&self.name, &self.values))
    }
}

impl Schema {
    pub(in crate::aurora) fn field(&self, name: &str) -> Option<(usize, &FieldType)> {
        self.fields.iter().enumerate().find(|(_, it)| it.name == name)
    }

    pub(in crate::aurora) fn is_a(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        Rc::ptr_eq(self, other) || self.parent.as_ref().is_some_and(|it| it.is_a(other))
    }
}

/// The types of the language itself. Two of them would not know each other's objects, so there is
/// one for each evaluation.
#[derive(Default)]
pub(in crate::aurora) struct Language {
    schemas: RefCell<BTreeMap<&'static str, Rc<Schema>>>,
}

impl Language {
    pub(in crate::aurora) fn objects(&self) -> impl Iterator<Item = Rc<Schema>> {
        OBJECTS.iter().map(|it| self.schema(it))
    }

    pub(in crate::aurora) fn job(&self) -> Rc<Schema> {
        self.schema(&schema::JOB)
    }

    pub(in crate::aurora) fn task(&self) -> Rc<Schema> {
        self.objects().find(|it| it.name == "Task").expect("the language has tasks")
    }

    pub(in crate::aurora) fn enums() -> impl Iterator<Item = Type> {
        schema::ENUMS.iter().map(|it| enum_type(it))
    }

    fn schema(&self, object: &'static Object) -> Rc<Schema> {
        if let Some(known) = self.schemas.borrow().get(object.name) {
            return known.clone();
        }
        let fields = object.fields.iter().map(|it| self.field(it)).collect();
        let schema = Rc::new(Schema { name: object.name.to_owned(), fields, parent: None });
        self.schemas.borrow_mut().insert(object.name, schema.clone());
        schema
    }

    fn field(&self, field: &'static Field) -> FieldType {
        let kind = self.kind(&field.kind);
        let presence = match field.presence {
            schema::Presence::Required => Presence::Required,
            schema::Presence::Optional => Presence::Optional,
            schema::Presence::Default(json) => {
                let json = serde_json::from_str(json).expect("a default is JSON");
                let mut mistakes = Vec::new();
                let value = kind.coerce(Value::from_json(&json), &mut mistakes);
                assert!(mistakes.is_empty(), "the default of {} fits: {mistakes:?}", field.name);
                Presence::Default(value)
            }
            schema::Presence::Ignored(why) => Presence::Ignored(why),
        };
        FieldType { name: field.name.to_owned(), kind, presence }
    }

    fn kind(&self, kind: &'static Kind) -> Type {
        match kind {
            Kind::String => Type::String,
            Kind::Integer => Type::Integer,
            Kind::Float => Type::Float,
            Kind::Boolean => Type::Boolean,
            Kind::Enum(it) => enum_type(it),
            Kind::List(of) => Type::List(Rc::new(self.kind(of))),
            Kind::Map => Type::Map(Rc::new(Type::String)),
            Kind::Object(object) => Type::Struct(self.schema(object)),
            Kind::Choice(alternatives) => {
                let types = alternatives.iter().map(|it| Type::Struct(self.schema(it.object)));
                Type::Choice(types.collect())
            }
        }
    }
}

fn enum_type(it: &schema::Enum) -> Type {
    let values = it.values.iter().map(|&value| value.to_owned()).collect();
    Type::Enum(Rc::new(Enum { name: it.name.to_owned(), values }))
}
