//! Numbers, times and states in words and shapes. A state is never told by its colour alone.

use std::{borrow::Borrow, time::Duration};

use airglow_model::{machine::Timestamp, task::Status, wire::ProcessState};

use crate::api::Health;

/// How a state looks: a class for its colour and a shape, which is enough without the colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) glyph: &'static str,
}

pub(crate) fn status(status: &Status) -> Look {
    let (class, glyph) = match status {
        Status::Throttled | Status::Pending => ("waiting", "○"),
        Status::Assigned | Status::Starting => ("starting", "◔"),
        Status::Running => ("running", "●"),
        Status::Killing | Status::Restarting | Status::Preempting | Status::Draining => {
            ("ending", "◑")
        }
        Status::Partitioned => ("lost", "?"),
        Status::Finished => ("finished", "✓"),
        Status::Failed => ("failed", "✕"),
        Status::Killed => ("killed", "■"),
        Status::Lost => ("lost", "?"),
    };
    Look { name: status.name(), class, glyph }
}

pub(crate) fn process(state: &ProcessState) -> Look {
    let (name, class, glyph) = match state {
        ProcessState::Waiting => ("WAITING", "waiting", "○"),
        ProcessState::Forked => ("FORKED", "starting", "◔"),
        ProcessState::Running => ("RUNNING", "running", "●"),
        ProcessState::Success => ("SUCCESS", "finished", "✓"),
        ProcessState::Killed => ("KILLED", "killed", "■"),
        ProcessState::Failed => ("FAILED", "failed", "✕"),
        ProcessState::Lost => ("LOST", "lost", "?"),
    };
    Look { name, class, glyph }
}

pub(crate) fn host(state: &str) -> Look {
    match state {
        "up" => Look { name: "up", class: "running", glyph: "●" },
        "away" => Look { name: "away", class: "waiting", glyph: "○" },
        "unreachable" => Look { name: "unreachable", class: "failed", glyph: "✕" },
        _ => Look { name: "unknown", class: "lost", glyph: "?" },
    }
}

/// What a scheduler is to the others.
pub(crate) fn scheduler(part: &str) -> Look {
    match part {
        "leader" => Look { name: "leader", class: "running", glyph: "●" },
        "follower" => Look { name: "follower", class: "finished", glyph: "✓" },
        _ => Look { name: "joining", class: "waiting", glyph: "○" },
    }
}

/// What an operator wants of a host.
pub(crate) fn host_mode(mode: &str) -> Look {
    match mode {
        "SCHEDULED" => Look { name: "SCHEDULED", class: "waiting", glyph: "○" },
        "DRAINING" => Look { name: "DRAINING", class: "leaving", glyph: "◐" },
        "DRAINED" => Look { name: "DRAINED", class: "killed", glyph: "■" },
        _ => Look { name: "NONE", class: "running", glyph: "●" },
    }
}

/// What came of somebody's deed.
pub(crate) fn outcome(outcome: &str) -> Look {
    match outcome {
        "done" => Look { name: "done", class: "finished", glyph: "✓" },
        "refused" => Look { name: "refused", class: "failed", glyph: "✕" },
        "under way" => Look { name: "under way", class: "starting", glyph: "◔" },
        _ => Look { name: "unknown", class: "lost", glyph: "?" },
    }
}

/// `2026-11-21T01:49:42Z`.
pub(crate) fn iso(at: &Timestamp) -> String {
    let Ok(ms) = i64::try_from(at.0) else { return String::new() };
    let seconds = jiff::Timestamp::from_millisecond(ms - ms.rem_euclid(1000));
    seconds.map(|it| it.to_string()).unwrap_or_default()
}

/// `2026-11-21 01:49:42 UTC`.
pub(crate) fn utc(at: &Timestamp) -> String {
    iso(at).replace('T', " ").replace('Z', " UTC")
}

/// `12s ago`, `3m ago`, `2h ago`, `5d ago`. The script says the same, in the same words.
pub(crate) fn ago(at: &Timestamp, now: &Timestamp) -> String {
    match now.since(*at).as_secs() {
        0..5 => "just now".into(),
        seconds @ 5..60 => format!("{seconds}s ago"),
        seconds @ 60..3600 => format!("{}m ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h ago", seconds / 3600),
        seconds => format!("{}d ago", seconds / 86_400),
    }
}

/// What a task is doing, between its beginning and its end.
pub(crate) fn stage(name: &str) -> Look {
    match name {
        "preparing" => Look { name: "preparing", class: "starting", glyph: "◔" },
        "active" => Look { name: "active", class: "running", glyph: "●" },
        "leaving" => Look { name: "leaving", class: "ending", glyph: "◑" },
        "cleaning" => Look { name: "cleaning", class: "ending", glyph: "◑" },
        "finalizing" => Look { name: "finalizing", class: "ending", glyph: "◑" },
        "ending" => Look { name: "ending", class: "ending", glyph: "◑" },
        "over" => Look { name: "over", class: "finished", glyph: "✓" },
        _ => Look { name: "unknown", class: "lost", glyph: "?" },
    }
}

/// What became of a time at which a job was due.
pub(crate) fn fate(fate: &str) -> Look {
    match fate {
        "started" => Look { name: "started", class: "finished", glyph: "✓" },
        "missed" => Look { name: "missed", class: "lost", glyph: "?" },
        _ => Look { name: "skipped", class: "killed", glyph: "■" },
    }
}

pub(crate) fn health(it: &Health) -> Look {
    match (it.is_healthy, it.consecutive_failures) {
        (true, 0) => Look { name: "healthy", class: "finished", glyph: "✓" },
        (true, _) => Look { name: "healthy, failing", class: "waiting", glyph: "◑" },
        (false, 0) => Look { name: "not healthy yet", class: "starting", glyph: "◔" },
        (false, _) => Look { name: "not healthy", class: "failed", glyph: "✕" },
    }
}

/// `-rw-r--r--`, as `ls` says it.
pub(crate) fn mode(mode: &u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o010_000 => 'p',
        0o140_000 => 's',
        0o020_000 => 'c',
        0o060_000 => 'b',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// `40ms`, `2.5s`, `12s`, `3m 20s`, `2h 5m`, `4d 1h`.
pub(crate) fn duration(from: &Timestamp, to: impl Borrow<Timestamp>) -> String {
    let span: Duration = to.borrow().since(*from);
    match span.as_secs() {
        0 => format!("{}ms", span.as_millis()),
        1..10 => format!("{:.1}s", span.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        seconds @ 3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        seconds => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `12s left`, `3m 20s left`.
pub(crate) fn left(until: &Timestamp, now: &Timestamp) -> String {
    let seconds = until.since(*now).as_millis().div_ceil(1000);
    match seconds {
        0..60 => format!("{seconds}s left"),
        60..3600 => format!("{}m {}s left", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {}m left", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h left", seconds / 86400, seconds / 3600 % 24),
    }
}

/// `1 minute`, `10 minutes`, `1 day`: in the largest unit of which it is a whole number.
pub(crate) fn span(seconds: &u64) -> String {
    let units = [(604_800, "week"), (86_400, "day"), (3600, "hour"), (60, "minute")];
    let fits = units.into_iter().find(|(unit, _)| *seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, name) = fits.unwrap_or((1, "second"));
    count(usize::try_from(seconds / unit).unwrap_or(usize::MAX), name)
}

/// `99.95 %`.
pub(crate) fn percent(percent: &f64) -> String {
    format!("{} %", (percent * 100.0).round() / 100.0)
}

/// `1.25 s`, of milliseconds; nothing if nothing was measured.
pub(crate) fn waited(ms: &f64) -> String {
    if *ms == 0.0 { "–".into() } else { format!("{:.2} s", ms / 1000.0) }
}

/// `12s`, `3m 5s`, `2h 5m`, `5d 1h`.
pub(crate) fn uptime(seconds: &f64) -> String {
    let whole = Duration::try_from_secs_f64(*seconds).unwrap_or_default().as_secs();
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h {}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d {}h", whole / 86400, whole / 3600 % 24),
    }
}

/// `32 MB`, `1.5 GB`.
pub(crate) fn megabytes(mb: &u64) -> String {
    bytes(&mb.saturating_mul(1024 * 1024))
}

pub(crate) fn bytes(bytes: &u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut scale = 1_u64;
    while unit + 1 < UNITS.len() && *bytes / scale >= 1024 {
        scale *= 1024;
        unit += 1;
    }
    let whole = bytes.is_multiple_of(scale) || *bytes / scale >= 100;
    if whole {
        format!("{} {}", bytes / scale, UNITS[unit])
    } else {
        format!("{:.1} {}", *bytes as f64 / scale as f64, UNITS[unit])
    }
}

/// `1 core`, `0.25 cores`.
pub(crate) fn cores(cpu: &f64) -> String {
    let unit = if (cpu - 1.0).abs() < f64::EPSILON { "core" } else { "cores" };
    format!("{} {unit}", number(*cpu))
}

/// What is used of cores: `0`, `0.004`, `0.35`, `2.1`.
pub(crate) fn cpu(cores: &f64) -> String {
    match cores {
        ..0.0005 => "0".into(),
        ..0.1 => format!("{cores:.3}"),
        ..1.0 => format!("{cores:.2}"),
        _ => format!("{cores:.1}"),
    }
}

/// `0.4s`, `95s`, `2h 5m`: time of a core.
pub(crate) fn seconds(seconds: &f64) -> String {
    if *seconds < 100.0 {
        return format!("{seconds:.1}s");
    }
    let span = Duration::try_from_secs_f64(*seconds).unwrap_or(Duration::MAX);
    duration(&Timestamp(0), Timestamp(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

/// At most three decimals, none for nothing.
pub(crate) fn number(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1 host`, `3 hosts`.
pub(crate) fn count(count: impl Borrow<usize>, noun: &str) -> String {
    match count.borrow() {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// A script without the indentation that it has in a configuration file.
pub(crate) fn dedented(script: &str) -> String {
    let blank = |line: &&str| line.trim().is_empty();
    let lines: Vec<_> = script.trim_end().lines().skip_while(blank).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|it| !blank(it)).map(indent).min().unwrap_or(0);
    let lines: Vec<_> = lines.iter().map(|it| it.get(least..).unwrap_or_default()).collect();
    lines.join("\n")
}

/// How a run ended, in words: `0`, `3`, `SIGKILL (9)`.
pub(crate) fn exit(code: &i32) -> String {
    let signal = match code {
        -1 => "SIGHUP",
        -2 => "SIGINT",
        -3 => "SIGQUIT",
        -6 => "SIGABRT",
        -9 => "SIGKILL",
        -11 => "SIGSEGV",
        -13 => "SIGPIPE",
        -15 => "SIGTERM",
        code if *code < 0 => return format!("signal {}", code.unsigned_abs()),
        code => return code.to_string(),
    };
    signal.to_owned()
}

/// One segment of a path or a value of a query, so that any name can be in a link.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let now = Timestamp(1_000_000_000);
        for (earlier_secs, words) in [
            (0, "just now"),
            (42, "42s ago"),
            (60, "1m ago"),
            (7200, "2h ago"),
            (200_000, "2d ago"),
        ] {
            assert_eq!(ago(&Timestamp(now.0 - earlier_secs * 1000), &now), words);
        }
        assert_eq!(iso(&Timestamp(1_795_225_767_123)), "2026-11-21T01:49:27Z");
        assert_eq!(utc(&Timestamp(1_795_225_767_123)), "2026-11-21 01:49:27 UTC");
        assert_eq!(duration(&Timestamp(0), Timestamp(420)), "420ms");
        assert_eq!(duration(&Timestamp(0), Timestamp(200_000)), "3m 20s");
    }

    #[test]
    fn amounts_have_units() {
        assert_eq!(megabytes(&32), "32 MB");
        assert_eq!(megabytes(&1536), "1.5 GB");
        assert_eq!(bytes(&0), "0 B");
        assert_eq!(cores(&0.25), "0.25 cores");
        assert_eq!(cores(&1.0), "1 core");
        assert_eq!([0.0, 0.0042, 0.349, 2.06].map(|it| cpu(&it)), ["0", "0.004", "0.35", "2.1"]);
        assert_eq!([0.42, 95.0, 7500.0].map(|it| seconds(&it)), ["0.4s", "95.0s", "2h 5m"]);
        assert_eq!(exit(&-9), "SIGKILL");
        assert_eq!(exit(&3), "3");
        assert_eq!(segment("a b/ü"), "a%20b%2F%C3%BC");
    }

    #[test]
    fn a_mode_reads_as_ls_says_it() {
        for (bits, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o102_640, "-rw-r-S---"),
        ] {
            assert_eq!(mode(&bits), text);
        }
    }

    #[test]
    fn a_script_is_shown_without_its_files_indentation() {
        let script = "\n    while true; do\n      date\n\n    done\n  ";
        assert_eq!(dedented(script), "while true; do\n  date\n\ndone");
        assert_eq!(dedented("true"), "true");
        assert_eq!(dedented(" "), "");
    }

    #[test]
    fn no_two_states_that_matter_share_a_shape() {
        let shapes = [
            Status::Pending,
            Status::Running,
            Status::Finished,
            Status::Failed,
            Status::Killed,
            Status::Lost,
        ]
        .map(|it| status(&it).glyph);
        let different: std::collections::BTreeSet<_> = shapes.iter().collect();
        assert_eq!(different.len(), shapes.len());
    }
}
