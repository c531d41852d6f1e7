//! How an update looks in a terminal: its status, its instances as a grid, those that are worth a
//! line, and what happened last; as many lines as there is room for.

use airglow_model::{
    instances::InstanceSet,
    machine::Timestamp,
    update::{Action, Direction, Status},
};
use airglow_web::api::{InstanceEvent, UpdateDetail, UpdateInstance, UpdateStage};
use anstyle::{AnsiColor, Style};

use super::{
    FullKey,
    grid::{Grid, Look},
    screen,
};

/// A terminal, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What is always there: headline, reason, legend and hint.
const FRAME: usize = 4;
const EVENTS_MAX: usize = 8;
const WORKING_MAX: usize = 5;

/// No line is longer than the terminal is wide, and the last line of the terminal stays free.
pub(super) fn picture(
    key: &FullKey,
    it: &UpdateDetail,
    now: Timestamp,
    Size { width, height }: Size,
) -> Vec<String> {
    let room = height.saturating_sub(1 + FRAME);
    let working = working(it, now, WORKING_MAX.min(room / 4));
    let events = events(it, EVENTS_MAX.min(room / 3));
    let rows_max = room.saturating_sub(working.len() + events.len()).max(1);
    let grid = Grid::new(&it.instances, width, rows_max);
    let mut lines = vec![headline(key, it, now)];
    if !it.summary.message.is_empty() {
        lines.push(screen::plain(&it.summary.message));
    }
    lines.extend(grid.lines());
    lines.push(grid.legend(&it.instances, it.summary.direction));
    lines.extend(working);
    lines.extend(events.iter().map(|it| screen::faint(it)));
    lines.extend(hint(key, it.summary.status).map(|it| screen::faint(&it)));
    let cut = |line: String| console::truncate_str(&line, width, "…").into_owned();
    lines.into_iter().map(cut).collect()
}

fn headline(key: &FullKey, it: &UpdateDetail, now: Timestamp) -> String {
    let summary = &it.summary;
    let (done, total) = (summary.progress.done, summary.progress.total);
    let status = screen::paint(summary.status.name(), color(summary.status));
    let until = if summary.active { now } else { summary.modified_at };
    let age = screen::age(summary.created_at, until);
    format!("{}  {status}  {done} of {total}  {age}", screen::bold(&key.to_string()))
}

pub(super) fn color(status: Status) -> Style {
    match status {
        Status::RollingForward | Status::RolledForward => AnsiColor::Green.on_default(),
        Status::RollForwardPaused
        | Status::RollForwardAwaitingPulse
        | Status::RollBackPaused
        | Status::RollBackAwaitingPulse => AnsiColor::Yellow.on_default(),
        Status::RollingBack
        | Status::RolledBack
        | Status::Aborted
        | Status::Error
        | Status::Failed => AnsiColor::Red.on_default(),
    }
}

/// Those that failed or are being worked on: the worst first, then who has been at it the longest.
fn working(it: &UpdateDetail, now: Timestamp, lines_max: usize) -> Vec<String> {
    let is_shown =
        |it: &&UpdateInstance| matches!(it.stage, UpdateStage::Working | UpdateStage::Failed);
    let mut all: Vec<_> = it.instances.iter().filter(is_shown).collect();
    all.sort_by_key(|it| (Look::of(it), it.since, it.instance));
    let shown = if all.len() <= lines_max { all.len() } else { lines_max.saturating_sub(1) };
    let mut lines: Vec<_> = all[..shown].iter().map(|it| line(it, now)).collect();
    if shown < all.len() && shown < lines_max {
        lines.push(screen::faint(&format!("  … and {} more", all.len() - shown)));
    }
    lines
}

fn line(it: &UpdateInstance, now: Timestamp) -> String {
    let status = it.status.map_or_else(|| "no run".to_owned(), screen::status);
    let age = it.since.map(|it| format!(" {}", screen::age(it, now))).unwrap_or_default();
    let host = it.host.as_ref().map(|it| format!(" on {it}")).unwrap_or_default();
    let why = it.why.as_ref().map(|it| format!(": {}", screen::plain(it))).unwrap_or_default();
    let failed = match it.stage {
        UpdateStage::Failed => screen::paint("failed, ", AnsiColor::Red.on_default()),
        UpdateStage::Waiting | UpdateStage::Working | UpdateStage::Done => String::new(),
    };
    format!("{:>3}  {failed}{status}{age}{host}{why}", it.instance)
}

/// The newest, oldest of them first.
fn events(it: &UpdateDetail, lines_max: usize) -> Vec<String> {
    let changes = it.events.iter().map(|it| {
        let by = if it.user.is_empty() { String::new() } else { format!(" by {}", it.user) };
        (it.at, format!("{}{by}{}", it.status, because(&it.message)))
    });
    let happened = alike(&it.instance_events).into_iter().map(told);
    // What happens to instances leads to what becomes of the update.
    let mut all: Vec<_> = happened.chain(changes).collect();
    all.sort_by_key(|(at, _)| *at);
    let newest = &all[all.len().saturating_sub(lines_max)..];
    newest.iter().map(|(at, what)| format!("{}  {what}", screen::clock(*at))).collect()
}

/// What happened to several within a second is one piece of news.
fn alike(events: &[InstanceEvent]) -> Vec<Vec<&InstanceEvent>> {
    let mut all: Vec<Vec<&InstanceEvent>> = Vec::new();
    for event in events {
        let second = |it: &InstanceEvent| it.at.0 / 1000;
        let same = |it: &Vec<&InstanceEvent>| {
            (it[0].action, &it[0].message) == (event.action, &event.message)
        };
        let recent = all.iter_mut().rev().take_while(|it| second(it[0]) == second(event));
        match recent.into_iter().find(|it| same(it)) {
            Some(alike) => alike.push(event),
            None => all.push(vec![event]),
        }
    }
    all
}

fn told(events: Vec<&InstanceEvent>) -> (Timestamp, String) {
    let InstanceEvent { at, action, message, .. } = events[0];
    let instances: InstanceSet = events.iter().map(|it| it.instance).collect();
    let s = if instances.len() == 1 { "" } else { "s" };
    let doing = match action {
        Action::Updating => "updating",
        Action::Updated => "updated",
        Action::UpdateFailed | Action::RollbackFailed => "failed",
        Action::RollingBack => "rolling back",
        Action::RolledBack => "rolled back",
    };
    (*at, format!("instance{s} {instances} {doing}{}", because(message)))
}

fn because(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {}", screen::plain(message)) }
}

/// What the user may do.
fn hint(key: &FullKey, status: Status) -> Option<String> {
    match status {
        Status::RollingForward | Status::RollingBack => {
            Some("Ctrl-C ends the watching, not the update".into())
        }
        Status::RollForwardPaused | Status::RollBackPaused => {
            Some(format!("Paused: `airglow update resume {key}` lets it go on"))
        }
        Status::RollForwardAwaitingPulse | Status::RollBackAwaitingPulse => {
            Some(format!("It waits for a pulse: `airglow update pulse {key}`"))
        }
        Status::RolledForward
        | Status::RolledBack
        | Status::Aborted
        | Status::Error
        | Status::Failed => None,
    }
}

/// What the newest of an update's messages says: why it came to where it is. The first is why it
/// was begun, which explains nothing.
pub(super) fn reason(it: &UpdateDetail) -> Option<String> {
    let said = it.events.iter().skip(1).rev().find(|it| !it.message.is_empty());
    said.map(|it| screen::plain(&it.message))
}

/// Which configuration its instances come to have, in words.
pub(super) fn outcome(status: Status, direction: Direction) -> &'static str {
    match (status, direction) {
        (Status::RolledForward, _) => "Every instance has the new configuration.",
        (Status::RolledBack, _) => "Every instance has again what it had before.",
        (_, Direction::Forward) => "Some instances may have the new configuration, others the old.",
        (_, Direction::Back) => "Some instances may not have been brought back.",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::{super::list::tests::summary, *};

    const NOW: Timestamp = Timestamp(1_403_716_400_000);

    /// By letters: done, working, without a place (?), failed, idle.
    pub(in crate::cli::update) fn instances(stages: &str) -> Vec<UpdateInstance> {
        let one = |(instance, letter): (usize, char)| {
            let (stage, status, why) = match letter {
                'd' => ("done", json!("RUNNING"), None),
                'w' => ("working", json!("STARTING"), None),
                '?' => ("working", json!("PENDING"), Some("Insufficient: CPU")),
                'f' => ("failed", json!("THROTTLED"), Some("exited (FAILED: no)")),
                _ => ("waiting", json!("RUNNING"), None),
            };
            let host = (letter == 'w').then_some("h1");
            let since = NOW.0 - 1000 * instance as u64;
            serde_json::from_value(json!({
                "instance": instance, "stage": stage, "status": status, "why": why,
                "host": host, "since": since,
            }))
            .unwrap()
        };
        stages.chars().enumerate().map(one).collect()
    }

    pub(in crate::cli::update) fn detail(instances: &[UpdateInstance]) -> UpdateDetail {
        let settings =
            airglow_model::update::Settings::from(&airglow_model::spec::UpdateConfig::default());
        serde_json::from_value(json!({
            "summary": summary(Status::RollingForward), "settings": settings, "metadata": {},
            "initial": [], "add": "", "update": "", "remove": "", "configs": [], "events": [],
            "instance_events": [], "instances": instances, "batches": [], "pending": [],
        }))
        .unwrap()
    }

    fn shown(it: &UpdateDetail, width: usize, height: usize) -> String {
        let key = "west/www-data/prod/web".parse().unwrap();
        let lines = picture(&key, it, NOW, Size { width, height });
        assert!(lines.len() < height.max(7), "{lines:?}");
        assert!(lines.iter().all(|it| console::measure_text_width(it) <= width), "{lines:?}");
        lines.iter().map(|it| anstream::adapter::strip_str(it).to_string() + "\n").collect()
    }

    #[test]
    fn an_update_at_a_glance() {
        let mut it = detail(&instances("ddwf?i"));
        it.events = serde_json::from_value(json!([
            {"at": NOW.0 - 9000, "status": "ROLLING_FORWARD", "user": "ada", "message": "v2"},
        ]))
        .unwrap();
        it.instance_events = serde_json::from_value(json!([
            {"at": NOW.0 - 8000, "instance": 0, "action": "UPDATING", "message": ""},
            {"at": NOW.0 - 7999, "instance": 3, "action": "UPDATING", "message": "x"},
            {"at": NOW.0 - 7998, "instance": 1, "action": "UPDATING", "message": ""},
            {"at": NOW.0 - 3000, "instance": 3, "action": "UPDATE_FAILED", "message": "exited"},
        ]))
        .unwrap();
        let clock = |ago: u64| screen::clock(Timestamp(NOW.0 - ago));
        let (begun, updating, failed) = (clock(9000), clock(8000), clock(3000));
        assert_eq!(
            shown(&it, 80, 24),
            format!(
                "\
west/www-data/prod/web  ROLLING_FORWARD  2 of 4  48s
  0 ██▒✗?·
█ 2 updated  ▒ 1 updating  ? 1 without a place  ✗ 1 failed  · 1 waiting
  3  failed, THROTTLED 3s: exited (FAILED: no)
  4  PENDING 4s: Insufficient: CPU
  2  STARTING 2s on h1
{begun}  ROLLING_FORWARD by ada: v2
{updating}  instances 0-1 updating
{updating}  instance 3 updating: x
{failed}  instance 3 failed: exited
Ctrl-C ends the watching, not the update
"
            )
        );
    }

    #[test]
    fn what_is_paused_says_how_it_goes_on_and_what_ended_says_why() {
        let mut it = detail(&instances("di"));
        it.summary = summary(Status::RollForwardPaused);
        it.summary.message = "Update auto paused".into();
        let text = shown(&it, 80, 24);
        assert!(text.contains("\nUpdate auto paused\n"), "{text}");
        assert!(text.ends_with("`airglow update resume west/www-data/prod/web` lets it go on\n"));
        it.summary = summary(Status::RolledBack);
        it.summary.direction = Direction::Back;
        let text = shown(&it, 80, 24);
        assert!(text.ends_with("█ 1 rolled back  · 1 waiting\n"), "{text}");
    }

    #[test]
    fn many_instances_leave_room_for_the_rest() {
        let many = ["d".repeat(4000), "w".repeat(100), "i".repeat(5900)].concat();
        let mut it = detail(&instances(&many));
        it.instance_events = (0..50)
            .map(|instance| InstanceEvent {
                at: Timestamp(NOW.0 - 50 + u64::from(instance)),
                instance,
                action: Action::Updated,
                message: String::new(),
            })
            .collect();
        for (width, height) in [(80, 24), (200, 60), (40, 12), (10, 5), (1, 1)] {
            let text = shown(&it, width, height);
            if 12 <= height {
                assert!(text.contains("and ") || width < 50, "{text}");
                assert!(text.contains('▒') && text.contains("4000"), "{text}");
            }
        }
    }
}
