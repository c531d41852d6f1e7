//! YAML as JSON, as long as it does not come to too much: a few lines of aliases to aliases may
//! stand for more than any memory holds.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Values, however they are written down. A job is a few dozen.
const MOST: usize = 1_000_000;

pub(super) fn read(text: &str) -> Result<Value, serde_yaml_ng::Error> {
    let left = Cell::new(MOST);
    Bounded(&left).deserialize(serde_yaml_ng::Deserializer::from_str(text))
}

/// How many more there may be.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        let too_many = || D::Error::custom(format!("it comes to more than {MOST} values"));
        self.0.set(left.ok_or_else(too_many)?);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON has a word for")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Number::from_f64(it).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, it: D) -> Result<Value, D::Error> {
        self.deserialize(it)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            map.insert(name, fields.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_what_serde_makes_of_it() {
        for text in [
            "",
            "a: 1\nb: [x, -2, 1.5, true, null, ~, 'y', 1e3, 0x10, 0o17]\nc: {d: |\n  text\n}",
            "a: &a {x: [1]}\nb: *a\n1: c\ntrue: d",
            "- 18446744073709551615\n- .nan\n- 'é\\n'",
            "jobs: [",
            "!tag x",
            "? [a]\n: b",
            "'18446744073709551616': 18446744073709551616",
        ] {
            let (ours, theirs) = (read(text), serde_yaml_ng::from_str::<Value>(text));
            assert_eq!(ours.as_ref().ok(), theirs.as_ref().ok(), "{text}: {ours:?} {theirs:?}");
        }
    }

    #[test]
    fn a_few_lines_do_not_fill_the_memory() {
        let list = |of: &str| format!("[{}]", vec![of; 3000].join(", "));
        let text = format!("a: &a {}\nb: {}\n", list("1"), list("*a"));
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("more than 1000000 values"), "{error}");
        let doubled = |n: usize| format!("x{n}: &x{n} [*x{0}, *x{0}]\n", n - 1);
        let text = format!("x0: &x0 [1]\n{}", (1..60).map(doubled).collect::<String>());
        assert!(read(&text).is_err());
    }
}
