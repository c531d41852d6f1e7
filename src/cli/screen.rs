//! What the commands print: results on stdout, everything else on stderr.
//!
//! Colours and movement are for terminals only; what is read by a program is plain lines.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use airglow_model::{machine::Timestamp, task::Status};
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::exit::Failure;

/// For results.
pub(crate) fn out() -> anstream::AutoStream<io::StdoutLock<'static>> {
    anstream::AutoStream::auto(io::stdout()).lock()
}

/// For warnings, progress and errors. What cannot be told is not worth failing over.
pub(crate) fn aside(line: &str) {
    let mut stderr = anstream::stderr().lock();
    drop(writeln!(stderr, "{line}"));
}

pub(crate) fn warn(line: &str) {
    aside(&format!("{} {line}", paint("WARNING:", AnsiColor::Yellow.on_default().bold())));
}

pub(crate) fn report(failure: &Failure) {
    let Failure::Told { message, next, .. } = failure else { return };
    aside(&paint(message, AnsiColor::Red.on_default()));
    if let Some(next) = next {
        aside(next);
    }
}

/// As one JSON value on stdout.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    Ok(writeln!(out(), "{text}")?)
}

pub(crate) fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

pub(crate) fn bold(text: &str) -> String {
    paint(text, Style::new().bold())
}

pub(crate) fn faint(text: &str) -> String {
    paint(text, Style::new().dimmed())
}

pub(crate) fn status(status: Status) -> String {
    paint(name(status), color(status))
}

/// The state's name, as users know it.
pub(crate) fn name(status: Status) -> &'static str {
    match status {
        Status::Throttled => "THROTTLED",
        Status::Pending => "PENDING",
        Status::Assigned => "ASSIGNED",
        Status::Starting => "STARTING",
        Status::Running => "RUNNING",
        Status::Killing => "KILLING",
        Status::Restarting => "RESTARTING",
        Status::Preempting => "PREEMPTING",
        Status::Draining => "DRAINING",
        Status::Partitioned => "PARTITIONED",
        Status::Finished => "FINISHED",
        Status::Failed => "FAILED",
        Status::Killed => "KILLED",
        Status::Lost => "LOST",
    }
}

fn color(status: Status) -> Style {
    match status {
        Status::Running | Status::Finished => AnsiColor::Green.on_default(),
        Status::Failed | Status::Lost => AnsiColor::Red.on_default(),
        Status::Throttled | Status::Partitioned => AnsiColor::Magenta.on_default(),
        Status::Pending | Status::Assigned | Status::Starting => AnsiColor::Yellow.on_default(),
        Status::Killing
        | Status::Restarting
        | Status::Preempting
        | Status::Draining
        | Status::Killed => AnsiColor::Cyan.on_default(),
    }
}

/// Columns without lines between them, wrapped to the terminal.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Without anything that would move a terminal's cursor or change its colours.
pub(crate) fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    // Where something was drawn again and again in one place, what came last counts.
    let text = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    text.replace('\t', "    ").chars().filter(|it| !it.is_control()).collect()
}

/// The time of day on this machine, to the second.
pub(crate) fn local_time(at: Timestamp) -> String {
    formatted(at, "%Y-%m-%d %H:%M:%S")
}

/// The same, for names.
pub(crate) fn compact_time(at: Timestamp) -> String {
    formatted(at, "%Y%m%d-%H%M%S")
}

/// Without the day, for what is being watched.
pub(crate) fn clock(at: Timestamp) -> String {
    formatted(at, "%H:%M:%S")
}

/// In UTC and by ISO 8601 without a zone, where Aurora's client told times like that.
pub(crate) fn utc_time(at: Timestamp) -> String {
    formatted_in(jiff::tz::TimeZone::UTC, at, "%Y-%m-%dT%H:%M:%S")
}

fn formatted(at: Timestamp, format: &str) -> String {
    formatted_in(jiff::tz::TimeZone::system(), at, format)
}

fn formatted_in(zone: jiff::tz::TimeZone, at: Timestamp, format: &str) -> String {
    let at = i64::try_from(at.0).ok().and_then(|it| jiff::Timestamp::from_millisecond(it).ok());
    at.map_or_else(String::new, |at| at.to_zoned(zone).strftime(format).to_string())
}

/// `3s`, `12m`, `5h`, `9d`: enough to see what is new.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.0.saturating_sub(since.0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// `512 B`, `1.5 MB`: as in the configuration language, a KB is 1024 bytes.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let (mut amount, mut units) = (bytes as f64, ["KB", "MB", "GB", "TB"].iter());
    let mut unit = "B";
    while 1024.0 <= amount {
        let Some(next) = units.next() else { break };
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// What is going on while a command waits, one line for each thing that is waited for: a moving
/// one on a terminal, elsewhere a new line whenever it changes.
#[derive(Default)]
pub(crate) struct Progress {
    live: Option<MultiProgress>,
    lines: BTreeMap<String, (String, Option<ProgressBar>)>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let live = io::stderr().is_terminal().then(MultiProgress::new);
        Self { live, lines: BTreeMap::new() }
    }

    pub(crate) fn show(&mut self, what: &str, line: &str) {
        if let Some((shown, bar)) = self.lines.get_mut(what) {
            if shown == line {
                return;
            }
            line.clone_into(shown);
            match bar {
                Some(bar) => bar.set_message(line.to_owned()),
                None => aside(line),
            }
            return;
        }
        let bar = self.live.as_ref().map(|live| {
            let bar = live.add(ProgressBar::new_spinner().with_style(spinner()));
            bar.set_message(line.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            aside(line);
        }
        self.lines.insert(what.to_owned(), (line.to_owned(), bar));
    }

    /// Nothing more will happen to it: its last line stays.
    pub(crate) fn settle(&mut self, what: &str) {
        if let Some((line, Some(bar))) = self.lines.get_mut(what) {
            bar.finish_with_message(line.clone());
        }
    }

    /// What moved is wiped away; the result says it better.
    pub(crate) fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.lines).into_values() {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {wide_msg}")
        .expect("the template is right")
        .tick_chars("⠁⠂⠄⡀⢀⠠⠐⠈ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let now = Timestamp(1_000_000_000);
        let age = |seconds: u64| age(Timestamp(now.0 - seconds * 1000), now);
        assert_eq!(age(0), "0s");
        assert_eq!(age(119), "119s");
        assert_eq!(age(120), "2m");
        assert_eq!(age(7200), "2h");
        assert_eq!(age(200_000), "2d");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1023, 1536, 5 << 20, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KB", "5.0 MB", "16777216.0 TB"]);
    }

    #[test]
    fn times_of_updates_are_in_utc() {
        assert_eq!(utc_time(Timestamp(1_403_716_352_999)), "2014-06-25T17:12:32");
    }

    #[test]
    fn output_moves_nothing_on_the_screen() {
        let table = [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m \x1b[2Jend", "red end"),
            ("10%\r20%\r", "20%"),
            ("a\tb\x07\x08", "a    b"),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn tables_line_up_without_lines() {
        let rows = [vec!["a".into(), "1".into()], vec!["long name".into(), "22".into()]];
        assert_eq!(table(&["JOB", "N"], rows), "JOB        N\na          1\nlong name  22");
    }
}
