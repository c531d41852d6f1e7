//! How somebody wants a host to be drained.

use airglow_model::{
    host::DrainRequest,
    spec::{Complaint, SlaPolicy},
};
use serde_json::Value;

use crate::api::Problem;

const FIELDS: [&str; 4] = ["percentage", "count", "duration_secs", "timeout_secs"];

/// Aurora's: how long an instance has to have been up to count, and when nobody's policy counts
/// any more.
const DURATION_SECS: u64 = 30 * 60;
const TIMEOUT_SECS: u64 = 7 * 24 * 60 * 60;

/// Nobody waits longer, and sums of it are still points in time.
const SECS_MAX: u64 = 366 * 24 * 60 * 60;

const NO_PERCENTAGE: &str = "expected a number from 0 to 100";
const NO_COUNT: &str = "expected a whole number, zero or more";
const NO_SECS: &str = "expected a whole number of seconds, of at most a year";

/// The body's request, or everything that is wrong with it. Nothing at all means at once.
pub(super) fn read(body: &[u8], by: &str) -> Result<DrainRequest, Problem> {
    let body: Value = match body {
        [] => Value::Object(serde_json::Map::new()),
        body => serde_json::from_slice(body)
            .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?,
    };
    let mut complaints = Vec::new();
    let mut complain = |pointer: String, detail: &str| {
        complaints.push(Complaint { pointer, detail: detail.into() });
    };
    let Some(object) = body.as_object() else {
        complain(String::new(), "expected an object");
        return Err(Problem::invalid_request(complaints));
    };
    for field in object.keys().filter(|it| !FIELDS.contains(&it.as_str())) {
        let field = field.replace('~', "~0").replace('/', "~1");
        complain(format!("/{field}"), "unknown field");
    }
    let given = |field: &str| object.get(field).filter(|it| !it.is_null());
    let mut seconds = |field: &str, otherwise| {
        let secs = given(field).map(|it| it.as_u64().filter(|it| *it <= SECS_MAX));
        if secs == Some(None) {
            complain(format!("/{field}"), NO_SECS);
        }
        secs.flatten().unwrap_or(otherwise)
    };
    let has_policy = FIELDS[..3].iter().any(|it| given(it).is_some());
    let timeout_secs = seconds("timeout_secs", if has_policy { TIMEOUT_SECS } else { 0 });
    let duration_secs = i64::try_from(seconds("duration_secs", DURATION_SECS)).unwrap_or(0);
    let policy = match (given("percentage"), given("count")) {
        (Some(_), Some(_)) => {
            complain("/count".into(), "there is a percentage, so there can be no count");
            None
        }
        (None, Some(count)) => match count.as_u64().and_then(|it| i64::try_from(it).ok()) {
            Some(count) => Some(SlaPolicy::Count { count, duration_secs }),
            None => {
                complain("/count".into(), NO_COUNT);
                None
            }
        },
        (Some(share), None) => match share.as_f64().filter(|it| (0.0..=100.0).contains(it)) {
            Some(percentage) => Some(SlaPolicy::Percentage { percentage, duration_secs }),
            None => {
                complain("/percentage".into(), NO_PERCENTAGE);
                None
            }
        },
        (None, None) => {
            let percentage = if has_policy { 95.0 } else { 0.0 };
            Some(SlaPolicy::Percentage { percentage, duration_secs })
        }
    };
    match policy.filter(|_| complaints.is_empty()) {
        Some(policy) => Ok(DrainRequest { policy, timeout_secs, by: by.to_owned() }),
        None => Err(Problem::invalid_request(complaints)),
    }
}

/// In a sentence.
pub(super) fn in_words(DrainRequest { policy, timeout_secs, .. }: &DrainRequest) -> String {
    let stay = match policy {
        SlaPolicy::Percentage { percentage, .. } => format!("{percentage} % of each job stay up"),
        SlaPolicy::Count { count, .. } => format!("{count} instances of each job stay up"),
        SlaPolicy::Coordinator { .. } => "a coordinator decides".into(),
    };
    match timeout_secs {
        0 => "At once".into(),
        secs => format!("Within {secs} s; {stay} until then"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_a_sentence() {
        let told = |body: &str| in_words(&read(body.as_bytes(), "ada").unwrap());
        assert_eq!(told("{}"), "At once");
        let body = r#"{"percentage": 95, "timeout_secs": 60}"#;
        assert_eq!(told(body), "Within 60 s; 95 % of each job stay up until then");
    }

    #[test]
    fn what_is_not_said_is_as_in_aurora() {
        let read = |body: &str| {
            read(body.as_bytes(), "ada").map(|it| (it.policy, it.timeout_secs)).unwrap()
        };
        let percent = |percentage| SlaPolicy::Percentage { percentage, duration_secs: 1800 };
        assert_eq!(read(""), (percent(0.0), 0));
        assert_eq!(read("{}"), (percent(0.0), 0));
        assert_eq!(read(r#"{"timeout_secs": 60}"#), (percent(0.0), 60));
        assert_eq!(read(r#"{"percentage": 90.5}"#), (percent(90.5), TIMEOUT_SECS));
        let brief = SlaPolicy::Percentage { percentage: 95.0, duration_secs: 60 };
        assert_eq!(read(r#"{"duration_secs": 60}"#), (brief, TIMEOUT_SECS));
        let count = SlaPolicy::Count { count: 3, duration_secs: 0 };
        let body = r#"{"count": 3, "duration_secs": 0, "timeout_secs": 5, "percentage": null}"#;
        assert_eq!(read(body), (count, 5));
    }

    #[test]
    fn every_mistake_is_told() {
        let pointers = |body: &str| {
            let errors = read(body.as_bytes(), "ada").unwrap_err().errors;
            errors.into_iter().map(|it| it.pointer).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pointers("[]"), "");
        assert_eq!(
            pointers(r#"{"percentage": 101, "duration_secs": -1}"#),
            "/duration_secs /percentage"
        );
        assert_eq!(
            pointers(r#"{"percentage": 1, "count": 1, "tiemout_secs": 1}"#),
            "/tiemout_secs /count"
        );
        assert_eq!(pointers(r#"{"count": 1.5, "timeout_secs": 1e18}"#), "/timeout_secs /count");
        assert_eq!(read(b"{", "ada").unwrap_err().status, 400);
    }
}
