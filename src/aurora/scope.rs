//! Which value a reference stands for, and what becomes of templates once it is known.
//!
//! Inside an object a reference is looked for among the object's own attributes, then in what was
//! bound to it, then in the object around it, and so on outwards. The first that has *all* of the
//! reference wins, so that binding `profile.heap` overrides that one part of a bound `profile`.
//! `self.` is the object itself and `super.` the outermost one.

use std::{collections::BTreeSet, rc::Rc};

use airglow_model::template::{self, InvalidReference, Piece, Reference, Step};

use super::value::{Presence, Struct, Type, Value};

/// Beyond this a template refers to itself.
const ROUNDS_MAX: usize = 100;
/// And beyond this it does so more than once.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// Names for references to find.
#[derive(Debug, PartialEq)]
pub(super) enum Scope {
    Bound(Vec<(Reference, Value)>),
    Attributes(Rc<Struct>),
}

impl Scope {
    fn find<'a>(&'a self, reference: &Reference) -> Option<Found<'a>> {
        match self {
            Self::Bound(bound) => bound
                .iter()
                .rev()
                .find_map(|(name, value)| Found::at(value).into(reference.after(name)?)),
            Self::Attributes(object) => attribute(object, reference.steps()),
        }
    }
}

/// What a reference led to, and the objects that it led through.
struct Found<'a> {
    value: &'a Value,
    through: Vec<&'a Struct>,
}

impl<'a> Found<'a> {
    fn at(value: &'a Value) -> Self {
        Self { value, through: Vec::new() }
    }

    fn into(mut self, steps: &[Step]) -> Option<Self> {
        for step in steps {
            if let Value::Struct(object) = self.value {
                self.through.push(object);
            }
            self.value = self.value.get(step)?;
        }
        Some(self)
    }
}

fn attribute<'a>(object: &'a Struct, steps: &[Step]) -> Option<Found<'a>> {
    let (Step::Name(first) | Step::Key(first), rest) = steps.split_first()?;
    let value = object.get(first).filter(|it| **it != Value::Empty)?;
    Found::at(value).into(rest)
}

/// What surrounds a value, innermost first.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    layer: Layer<'a>,
    outer: Option<&'a Chain<'a>>,
}

#[derive(Clone, Copy)]
enum Layer<'a> {
    Nothing,
    Attributes(&'a Struct),
    Scopes(&'a [Rc<Scope>]),
}

/// Why a template has no value.
#[derive(Debug, PartialEq)]
pub(super) enum Trouble {
    Invalid(InvalidReference),
    Endless(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(reference) => reference.fmt(f),
            Self::Endless(text) => {
                write!(f, "Unable to interpolate {text}!  Maximum replacements reached.")
            }
        }
    }
}

impl<'a> Chain<'a> {
    pub(super) const NOTHING: Chain<'static> = Chain { layer: Layer::Nothing, outer: None };

    pub(super) fn scopes(scopes: &'a [Rc<Scope>], outer: &'a Chain<'a>) -> Self {
        Chain { layer: Layer::Scopes(scopes), outer: Some(outer) }
    }

    fn attributes(object: &'a Struct, outer: &'a Chain<'a>) -> Self {
        Chain { layer: Layer::Attributes(object), outer: Some(outer) }
    }

    /// Calls `inside` with the chain as it is within `object`.
    pub(super) fn enter<R>(&self, object: &Struct, inside: impl FnOnce(&Chain<'_>) -> R) -> R {
        let context = Chain::scopes(object.context(), self);
        let binds = Chain::scopes(object.binds(), &context);
        inside(&Chain::attributes(object, &binds))
    }

    fn outward(&self) -> impl Iterator<Item = &Chain<'a>> {
        std::iter::successors(Some(self), |it| it.outer)
    }

    fn find(&self, reference: &Reference) -> Option<Found<'_>> {
        let objects = self.outward().filter_map(|it| match it.layer {
            Layer::Attributes(object) => Some(object),
            Layer::Nothing | Layer::Scopes(_) => None,
        });
        match reference.steps() {
            [Step::Name(name), rest @ ..] if name == "self" => {
                objects.into_iter().next().and_then(|it| attribute(it, rest))
            }
            [Step::Name(name), rest @ ..] if name == "super" => {
                objects.skip(1).last().and_then(|it| attribute(it, rest))
            }
            steps => self.outward().find_map(|it| match it.layer {
                Layer::Nothing => None,
                Layer::Attributes(object) => attribute(object, steps),
                Layer::Scopes(scopes) => scopes.iter().find_map(|it| it.find(reference)),
            }),
        }
    }

    /// The text that a reference stands for. A text found inside another object means what it
    /// means there; what stays open is looked for where the reference is.
    fn resolve(&self, reference: &Reference) -> Result<Option<String>, Trouble> {
        let Some(found) = self.find(reference) else { return Ok(None) };
        let Some(text) = found.value.as_text() else { return Ok(None) };
        if !text.contains("{{") || found.through.is_empty() {
            return Ok(Some(text));
        }
        expand_within(&found.through, &Chain::NOTHING, &text).map(Some)
    }

    /// Replaces references until nothing is left to replace.
    pub(super) fn expand(&self, text: &str) -> Result<(String, BTreeSet<Reference>), Trouble> {
        let mut current = text.to_owned();
        for _ in 0..ROUNDS_MAX {
            if !current.contains("{{") {
                return Ok((current, BTreeSet::new()));
            }
            let mut unbound = BTreeSet::new();
            let mut replaced = false;
            let mut next = String::with_capacity(current.len());
            for piece in template::parse(&current).map_err(Trouble::Invalid)? {
                match piece {
                    Piece::Text(plain) | Piece::Escaped(plain) => next.push_str(plain),
                    Piece::Reference(reference) => match self.resolve(&reference)? {
                        Some(text) => {
                            replaced = true;
                            next.push_str(&text);
                        }
                        None => {
                            next.push_str(&format!("{{{{{reference}}}}}"));
                            unbound.insert(reference);
                        }
                    },
                }
            }
            if !replaced {
                return Ok((next, unbound));
            }
            if next.len() > TEXT_BYTES_MAX {
                break;
            }
            current = next;
        }
        Err(Trouble::Endless(text.to_owned()))
    }
}

fn expand_within(objects: &[&Struct], chain: &Chain<'_>, text: &str) -> Result<String, Trouble> {
    match objects.split_first() {
        Some((outermost, inner)) => {
            chain.enter(outermost, |chain| expand_within(inner, chain, text))
        }
        None => chain.expand(text).map(|(text, _)| text),
    }
}

/// What happened while a value was evaluated, each at a JSON pointer.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) unbound: Vec<(String, BTreeSet<Reference>)>,
    pub(super) mistakes: Vec<(String, String)>,
    /// Fields that are wrong and have been complained about before.
    pub(super) invalid: Vec<String>,
    pub(super) origins: Vec<(String, super::errors::Origin)>,
}

/// The value with all that is known put into its templates.
pub(super) fn evaluate(
    value: &Value,
    kind: &Type,
    chain: &Chain<'_>,
    at: &str,
    report: &mut Report,
) -> Value {
    match (value, kind) {
        (Value::Text(text), _) if text.contains("{{") => {
            evaluate_text(text, kind, chain, at, report)
        }
        (Value::List(items), Type::List(of)) => {
            let items = items.iter().enumerate();
            let each = |(n, it)| evaluate(it, of, chain, &format!("{at}/{n}"), report);
            Value::List(items.map(each).collect())
        }
        (Value::Map(entries), Type::Map(of)) => {
            let each = |(key, it): &(Rc<str>, Value)| {
                let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                (key.clone(), evaluate(it, of, chain, &pointer, report))
            };
            Value::Map(entries.iter().map(each).collect())
        }
        (Value::Struct(object), _) => {
            if let Some(origin) = &object.origin {
                report.origins.push((at.to_owned(), origin.clone()));
            }
            Value::Struct(chain.enter(object, |chain| {
                object.map(|field, value| {
                    let at = format!("{at}/{}", field.name);
                    let open = report.unbound.len();
                    let evaluated = evaluate(value, &field.kind, chain, &at, report);
                    let by_default =
                        matches!(&field.presence, Presence::Default(it) if it == value);
                    if by_default && open < report.unbound.len() {
                        // Nobody wrote this reference; what it refers to is what is missing.
                        report.unbound.truncate(open);
                        return Value::Empty;
                    }
                    evaluated
                })
            }))
        }
        (Value::Invalid, _) => {
            report.invalid.push(at.to_owned());
            Value::Invalid
        }
        _ => value.clone(),
    }
}

fn evaluate_text(
    text: &str,
    kind: &Type,
    chain: &Chain<'_>,
    at: &str,
    report: &mut Report,
) -> Value {
    match chain.expand(text) {
        Err(trouble) => {
            report.mistakes.push((at.to_owned(), trouble.to_string()));
            Value::Invalid
        }
        Ok((text, unbound)) if unbound.is_empty() => {
            let mut details = Vec::new();
            let value = kind.coerce(Value::text(text), &mut details);
            report.mistakes.extend(details.into_iter().map(|it| (at.to_owned(), it)));
            value
        }
        Ok((text, unbound)) => {
            report.unbound.push((at.to_owned(), unbound));
            Value::text(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::aurora::value::{Language, binding};

    /// A job of the language itself, from JSON; evaluated, and its open references.
    fn evaluated(job: Json, bound: &[(&str, Value)]) -> (Json, Vec<String>) {
        let kind = Type::Struct(Language::default().job());
        let value = kind.coerce(Value::from_json(&job), &mut Vec::new());
        let bound = bound.iter().map(|(name, value)| binding(name, value.clone()).unwrap());
        let job = value.as_struct().unwrap().bind(Scope::Bound(bound.collect()));
        let mut report = Report::default();
        let value = evaluate(&Value::Struct(job), &kind, &Chain::NOTHING, "", &mut report);
        assert_eq!(report.mistakes, []);
        let open = |(at, names): (String, BTreeSet<Reference>)| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            format!("{at} {}", names.join(" "))
        };
        (value.to_json().unwrap(), report.unbound.into_iter().map(open).collect())
    }

    #[test]
    fn a_job_is_evaluated_outwards_from_each_of_its_templates() {
        let (job, open) = evaluated(
            json!({
                "role": "r", "contact": "{{task.processes[1].name}} {{nobody}}",
                "instances": "{{count}}",
                "task": {"processes": [
                    {"name": "a", "cmdline": "{{name}} {{role}} {{deep.er}} {{thermos.ports[{{name}}]}}"},
                    {"name": "b-{{role}}", "cmdline": "{{&name}}"},
                ]},
            }),
            &[
                ("count", Value::Integer(3)),
                ("deep", Value::from_json(&json!({"er": "x", "est": 1}))),
                ("deep.er", Value::text("{{contact}}!")),
            ],
        );
        assert_eq!((&job["name"], &job["instances"]), (&json!("a"), &json!(3)));
        assert_eq!(job["contact"], "b-r {{nobody}}");
        let commands = &job["task"]["processes"];
        assert_eq!(commands[0]["cmdline"], "a r b-r {{nobody}}! {{thermos.ports[a]}}");
        assert_eq!(commands[1]["cmdline"], "{{&name}}");
        assert_eq!(open, ["/contact nobody", "/task/processes/0/cmdline nobody thermos.ports[a]"]);
    }

    #[test]
    fn a_structure_is_no_text() {
        let (_, open) = evaluated(json!({"contact": "{{task}} {{update_config}}"}), &[]);
        assert_eq!(open, ["/contact task update_config"]);
    }

    #[test]
    fn what_refers_to_itself_is_given_up() {
        let bound = vec![binding("x", Value::text("{{x}}{{x}}")).unwrap()];
        let scopes = [Rc::new(Scope::Bound(bound))];
        let expanded = Chain::scopes(&scopes, &Chain::NOTHING).expand("{{x}}");
        assert_eq!(expanded, Err(Trouble::Endless("{{x}}".to_owned())));
    }
}
