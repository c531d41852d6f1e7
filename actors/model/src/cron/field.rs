//! One field of a schedule: which of its values are meant.

use std::fmt::Write;

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Field {
    /// In the plural, for sentences.
    name: &'static str,
    first: u8,
    /// In how many steps the field begins anew: 60 minutes, 24 hours.
    count: u8,
    /// What its values are called, from the first.
    names: &'static [&'static str],
    /// Another way to write the first value, after the last: Sunday is 0 and 7.
    again: Option<u8>,
}

pub(super) static MINUTES: Field =
    Field { name: "minutes", first: 0, count: 60, names: &[], again: None };

pub(super) static HOURS: Field =
    Field { name: "hours", first: 0, count: 24, names: &[], again: None };

pub(super) static DAYS: Field =
    Field { name: "days of the month", first: 1, count: 31, names: &[], again: None };

pub(super) static MONTHS: Field = Field {
    name: "months",
    first: 1,
    count: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    again: None,
};

pub(super) static WEEKDAYS: Field = Field {
    name: "days of the week",
    first: 0,
    count: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    again: Some(7),
};

/// The values that are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Values {
    /// A bit each.
    bits: u64,
    /// The step of the `*` that it begins with, if it does.
    star: Option<u8>,
}

impl Values {
    pub(super) fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|it| self.bits >> it & 1 == 1)
    }

    /// The first of them that is no less than `from`.
    pub(super) fn at_or_after(self, from: i8) -> Option<i8> {
        let rest = self.bits.checked_shr(u32::try_from(from).ok()?)?;
        let further = i8::try_from(rest.trailing_zeros()).ok()?;
        (rest != 0).then(|| from + further)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = i8> {
        std::iter::successors(self.at_or_after(0), move |it| self.at_or_after(it + 1))
    }
}

impl Field {
    fn last(&self) -> u8 {
        self.first + self.count - 1
    }

    pub(super) fn has_all(&self, values: Values) -> bool {
        values.bits == self.all()
    }

    /// Whether nobody wanted to rule anything out: what begins with `*` counts as that, even with a
    /// step, as it always has.
    pub(super) fn is_open(&self, values: Values) -> bool {
        values.star.is_some() || self.has_all(values)
    }

    fn all(&self) -> u64 {
        ((1 << self.count) - 1) << self.first
    }

    /// What `text` means, or what is wrong with it and what would be right.
    pub(super) fn read(&self, text: &str) -> Result<Values, String> {
        let (mut bits, mut star) = (0, None);
        // Real crontabs say `*,`.
        for (i, element) in text.split(',').enumerate().filter(|(_, it)| !it.is_empty()) {
            let (range, step) = self.split(element)?;
            let (from, to) = self.range(range, step.is_some())?;
            let step = step.unwrap_or(1);
            if i == 0 && range == "*" {
                star = Some(step);
            }
            bits |= self.walk(from, to, step);
        }
        if bits == 0 {
            return Err(format!("The {} '{text}' are none: write * for any", self.name));
        }
        Ok(Values { bits, star })
    }

    fn split<'a>(&self, element: &'a str) -> Result<(&'a str, Option<u8>), String> {
        let Some((range, text)) = element.split_once('/') else { return Ok((element, None)) };
        let (name, most) = (self.name, self.count - 1);
        let step = digits(text).ok_or_else(|| {
            format!(
                "In the {name} '{element}' the step '{text}' is no number: write */{most} at most"
            )
        })?;
        match step {
            0 => Err(format!("In the {name} '{element}' the step is 0: write */1 for each")),
            step if step > most => Err(format!(
                "In the {name} '{element}' the step of {step} leaves one value: write that one, or a \
                 step up to {most}"
            )),
            step => Ok((range, Some(step))),
        }
    }

    /// From where to where; backwards means around the end.
    fn range(&self, text: &str, has_step: bool) -> Result<(u8, u8), String> {
        if text == "*" {
            return Ok((self.first, self.last()));
        }
        let Some((from, to)) = text.split_once('-') else {
            let value = self.value(text)?;
            return Ok((value, if has_step { self.last().max(value) } else { value }));
        };
        let are_names = [from, to].iter().all(|it| self.named(it).is_some());
        let (from, to) = (self.value(from)?, self.value(to)?);
        if to < from && !are_names {
            return Err(format!(
                "The {} '{text}' run backwards: write {from}-{},{}-{to}",
                self.name,
                self.last(),
                self.first
            ));
        }
        Ok((from, to))
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        if let Some(value) = self.named(text) {
            return Ok(value);
        }
        let last = self.again.unwrap_or(self.last());
        let value = digits(text).filter(|it| (self.first..=last).contains(it));
        value.ok_or_else(|| {
            let numbers = format!("{} to {last}", self.first);
            let or_names = match self.names {
                [first, .., last] => format!(", or {first} to {last}"),
                _ => String::new(),
            };
            let name = self.name;
            format!("The {name} cannot be '{text}': write {numbers}{or_names}, or * for any")
        })
    }

    fn named(&self, text: &str) -> Option<u8> {
        let (value, _) =
            (self.first..).zip(self.names).find(|(_, it)| it.eq_ignore_ascii_case(text))?;
        Some(value)
    }

    /// What the values are called.
    pub(super) fn names(&self, values: Values) -> String {
        let named = (self.first..).zip(self.names);
        let named = named.filter(|(value, _)| values.bits >> value & 1 == 1);
        named.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }

    fn walk(&self, from: u8, to: u8, step: u8) -> u64 {
        let to = if to < from { to + self.count } else { to };
        let around = |it: u8| self.first + (it - self.first) % self.count;
        (from..=to).step_by(step.into()).fold(0, |bits, it| bits | 1 << around(it))
    }

    /// The shortest way to say the same without steps.
    pub(super) fn write(&self, values: Values) -> String {
        if self.has_all(values) { "*".to_owned() } else { ranges(values.bits) }
    }

    /// The same, but what begins with `*` still does.
    pub(super) fn write_open(&self, values: Values) -> String {
        match values.star.filter(|_| !self.has_all(values)) {
            None => self.write(values),
            Some(step) => {
                let rest = values.bits & !self.walk(self.first, self.last(), step);
                let comma = if rest == 0 { "" } else { "," };
                format!("*/{step}{comma}{}", ranges(rest))
            }
        }
    }
}

fn ranges(bits: u64) -> String {
    let mut text = String::new();
    let mut from = bits.trailing_zeros();
    while from < u64::BITS {
        let count = (bits >> from).trailing_ones();
        let comma = if text.is_empty() { "" } else { "," };
        let end = from + count;
        match count {
            1 => write!(text, "{comma}{from}"),
            _ => write!(text, "{comma}{from}-{}", end - 1),
        }
        .expect("memory takes everything");
        from = bits.checked_shr(end).map_or(u64::BITS, |rest| end + rest.trailing_zeros());
    }
    text
}

/// Digits and nothing else: `+5` is a number to Rust.
fn digits(text: &str) -> Option<u8> {
    let are_digits = text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| are_digits)
}
