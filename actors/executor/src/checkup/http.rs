//! Healthy is who answers as was agreed.

use std::time::Duration;

use tokio::time::timeout;

use crate::localhost::{self, Answer};

pub(super) async fn check(
    port: u16,
    path: &str,
    expected_response: &str,
    expected_code: i64,
    within: Duration,
) -> Result<(), String> {
    let answered = timeout(within, localhost::get(port, path)).await;
    let answer = answered.unwrap_or_else(|_| Err("timed out".to_owned()));
    let answer = answer.map_err(|why| format!("Failed to signal URL: {why}"))?;
    judge(&answer, expected_response, expected_code)
}

/// The code goes first, since who answers with another one hardly ever says what was expected.
fn judge(answer: &Answer, expected_response: &str, expected_code: i64) -> Result<(), String> {
    let code = i64::from(answer.status.as_u16());
    if expected_code != 0 && code != expected_code {
        return Err(format!(
            "Response code differs from expected response (expected {expected_code}, got {code})"
        ));
    }
    let body = if answer.status.is_success() { answer.body.as_slice() } else { &[] };
    let body = String::from_utf8_lossy(body).trim().to_lowercase();
    let expected = expected_response.to_lowercase();
    if expected.is_empty() || body == expected {
        return Ok(());
    }
    let (expected, body) = (cut(&expected), cut(&body));
    Err(format!(r#"Response differs from expected response (expected "{expected}", got "{body}")"#))
}

/// A whole page is no reason.
fn cut(text: &str) -> String {
    match text.chars().count() {
        0..10 => text.to_owned(),
        _ => text.chars().take(7).chain("...".chars()).collect(),
    }
}
