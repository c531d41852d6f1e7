//! Amounts as flags and arguments.

use std::time::Duration;

use crate::units;

/// `95`, `99.5%`
pub(crate) fn percentage(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(it) if it > 0.0 && it <= 100.0 => Ok(it),
        _ => Err("a percentage is above 0 and at most 100".into()),
    }
}

/// `30m`, `1h3m`, `7 days`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|error| format!("{error:#}"))
}

pub(crate) fn cores(text: &str) -> Result<f64, String> {
    let wrong = || format!("expected a number of cores such as 1.5, not {text:?}");
    let cpu: f64 = text.parse().map_err(|_| wrong())?;
    units::cores(cpu).map(|_| cpu).map_err(|_| wrong())
}

/// `10g`, `512 MB`: in whole megabytes, the last of which may be begun only.
pub(crate) fn megabytes(text: &str) -> Result<u64, String> {
    let bytes = units::size(text).map_err(|error| format!("{error:#}"))?;
    Ok(u64::try_from(bytes).unwrap_or_default().div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_limits() {
        assert_eq!((megabytes("10g"), megabytes("1.5 MB")), (Ok(10240), Ok(2)));
        assert_eq!((cores("0.5"), cores("4")), (Ok(0.5), Ok(4.0)));
        assert_eq!((percentage("99.5%"), percentage("100")), (Ok(99.5), Ok(100.0)));
        assert_eq!(duration("1h3m"), Ok(Duration::from_secs(3780)));
        for bad in ["10", "-1g", "x"] {
            assert!(megabytes(bad).is_err(), "{bad}");
        }
        for bad in ["-1", "x", "nan"] {
            assert!(cores(bad).is_err() && percentage(bad).is_err(), "{bad}");
        }
        assert!(percentage("0").is_err() && percentage("100.1").is_err());
        assert!(duration("5").is_err());
    }
}
