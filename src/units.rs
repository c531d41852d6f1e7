//! Amounts as people write them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{Span, SpanRelativeTo};
use serde::Deserialize;

/// `"100 MB"` or a number of bytes.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a size such as \"100 MB\"")]
pub(crate) enum Bytes {
    Number(i64),
    Text(String),
}

/// As in the configuration language: a KB is 1024 bytes.
const UNITS: [(&str, u32); 10] = [
    ("BYTES", 0),
    ("B", 0),
    ("KB", 10),
    ("K", 10),
    ("MB", 20),
    ("M", 20),
    ("GB", 30),
    ("G", 30),
    ("TB", 40),
    ("T", 40),
];

impl Bytes {
    pub(crate) fn read(&self) -> Result<i64> {
        match self {
            Self::Number(bytes) => Ok(*bytes),
            Self::Text(text) => size(text),
        }
    }
}

/// `100 MB`, `10g`: in bytes.
pub(crate) fn size(text: &str) -> Result<i64> {
    bytes(text).with_context(|| format!("expected a size such as \"100 MB\", not {text:?}"))
}

#[expect(clippy::cast_possible_truncation, reason = "it is checked to fit")]
#[expect(clippy::cast_precision_loss, reason = "powers of two are exact")]
fn bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_uppercase();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let bytes = number.trim().parse::<f64>().ok()? * (1_i64 << shift) as f64;
    (0.0..1e18).contains(&bytes).then_some(bytes as i64)
}

/// A number of cores, in thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a sensible number of cores"
)]
pub(crate) fn cores(cpu: f64) -> Result<u64> {
    if !(0.0..1e6).contains(&cpu) {
        bail!("expected a number of cores such as 1.5, not {cpu}");
    }
    Ok((cpu * 1000.0).round() as u64)
}

/// `7 days`, `36h`, `1h3m`, `1 week 2 days`
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let example = || format!("expected a time such as \"7 days\", not {text:?}");
    let span: Span = text.trim().parse().with_context(example)?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).with_context(example)?;
    let Ok(duration) = Duration::try_from(signed) else { bail!(example()) };
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("100 MB", 100 << 20),
            ("1.5kb", 1536),
            ("2 GB", 2 << 30),
            ("10g", 10 << 30),
            ("10 bytes", 10),
            ("7B", 7),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "MB", "12", "1 XB", "-1 MB", "1 M B", "nan MB", "1e30 TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(Bytes::Number(5).read().unwrap(), 5);
    }

    #[test]
    fn times_have_units() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (text, time) in [
            ("7 days", hours(168)),
            ("36h", hours(36)),
            ("1h60m", hours(2)),
            ("1 week 2 days", hours(216)),
            ("0s", hours(0)),
        ] {
            assert_eq!(duration(text).unwrap(), time, "{text}");
        }
        assert_eq!((cores(1.5).unwrap(), cores(0.0).unwrap()), (1500, 0));
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(cores(bad).is_err(), "{bad}");
        }
        for bad in ["", "7", "many days", "-1 day", "1 month"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
