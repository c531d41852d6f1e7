//! What counts as a number, a text, a truth: more than in JSON, because configurations are written
//! by hand and templates make texts of everything.

use serde_json::Value;

use super::Enum;

/// Whole numbers, fractions cut off, and texts that say a whole number.
///
/// # Errors
/// `Cannot coerce '…' to Integer`
pub fn integer(value: &Value) -> Result<i64, String> {
    let from_float = |it: f64| (it.is_finite() && it.abs() < 9.0e18).then(|| truncated(it));
    let integer = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(from_float)),
        Value::Bool(truth) => Some(i64::from(*truth)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    integer.ok_or_else(|| cannot(value, "Integer"))
}

/// # Errors
/// `Cannot coerce '…' to Float`
pub fn float(value: &Value) -> Result<f64, String> {
    let float = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(if *truth { 1.0 } else { 0.0 }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    float.filter(|it| it.is_finite()).ok_or_else(|| cannot(value, "Float"))
}

/// `true` and `false`, in any case, and numbers, of which zero alone is false.
///
/// # Errors
/// `Cannot coerce '…' to Boolean`
pub fn boolean(value: &Value) -> Result<bool, String> {
    let truth = match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => number.as_f64().map(|it| it != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    truth.ok_or_else(|| cannot(value, "Boolean"))
}

/// Texts, and what can be written as one.
///
/// # Errors
/// `Cannot coerce '…' to String`
pub fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(true) => Ok("True".to_owned()),
        Value::Bool(false) => Ok("False".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(cannot(value, "String")),
    }
}

/// # Errors
/// The value is none of the enum's; the message lists them.
pub fn one_of(kind: &Enum, value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if kind.values.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(not_one_of(kind.name, kind.values))
}

/// The complaint about a value that is none of an enum's.
pub fn not_one_of(name: &str, values: &[impl AsRef<str>]) -> String {
    let values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
    format!("{name} only accepts the following values: {}", values.join(", "))
}

pub(super) fn cannot(value: &Value, kind: &str) -> String {
    let shown = match value {
        Value::Null => "None".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    format!("Cannot coerce '{shown}' to {kind}")
}

#[expect(clippy::cast_possible_truncation, reason = "the caller has looked at its size")]
fn truncated(float: f64) -> i64 {
    float as i64
}
