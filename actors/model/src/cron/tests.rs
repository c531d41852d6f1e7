use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    config::TaskConfig,
    ids::JobKey,
    machine::{Machine, Timestamp},
    record::{Change, Record, RecordKey},
    spec::{JobSpec, Limits},
};

/// In seconds. Schedules of these tests are due at full minutes.
fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn key() -> JobKey {
    JobKey::new("www", "prod", "nightly")
}

fn template() -> Arc<TaskConfig> {
    let resources = json!({ "cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20 });
    let process = json!({ "name": "p", "cmdline": "true" });
    let task = json!({ "name": "t", "processes": [process], "resources": resources });
    let job = json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": "nightly", "task": task,
        "cron_schedule": "* * * * *",
    });
    let spec: JobSpec = serde_json::from_value(job).unwrap();
    Arc::new(spec.check(&Limits::usual("c")).unwrap().config)
}

fn order(schedule: &str, collision: Collision, catch_up: CatchUp) -> Order {
    let schedule = schedule.parse().unwrap();
    let rule = Rule { schedule, zone: None, collision, catch_up };
    Order { config: template(), instances: 2, rule, zone: Zone::UTC, by: "ada".into() }
}

fn scheduled(collision: Collision, catch_up: CatchUp) -> Event {
    Event::Scheduled(Box::new(order("* * * * *", collision, catch_up)))
}

fn start_asked(before: Before) -> Event {
    Event::StartAsked { by: "bob".into(), before }
}

const LAUNCHED: Event = Event::Launched { number: 1 };

fn effects(entry: &Entry) -> String {
    let words = |effect: &Effect| match effect {
        Effect::Watch => "watch".to_owned(),
        Effect::Kill { message } => format!("kill: {message}"),
        Effect::Launch { run, instances, by } => {
            format!("launch {} of template {} ×{instances} by {by}", run.number, run.template)
        }
    };
    entry.effects().iter().map(words).collect::<Vec<_>>().join(", ")
}

fn firing(it: &Firing) -> String {
    let seconds = |it: Timestamp| it.0 / 1000;
    let until = it.until.map(|it| format!("-{}", seconds(it))).unwrap_or_default();
    let by = it.by.as_ref().map(|it| format!(" by {it}")).unwrap_or_default();
    let fate = match it.fate {
        Fate::Started { number, at } => format!("#{number} started {}", seconds(at)),
        Fate::Skipped { why: Skip::Collided } => "collided".into(),
        Fate::Skipped { why: Skip::OneWaits } => "one waits".into(),
        Fate::Missed => "missed".into(),
    };
    format!("{}{until}{by} {fate}", seconds(it.at))
}

/// Plays a script, each event at its second, and prints what each step leads to, what that asks
/// for, and what became of times.
fn story(script: &[(u64, Event)]) -> String {
    let mut entry = Entry::unscheduled(key());
    let mut out = String::new();
    for (seconds, event) in script {
        let (name, old) = (event.name(), entry.clone());
        match entry.step(at(*seconds), event) {
            Ok(next) => entry = next,
            Err(rejected) => {
                out += &format!("{seconds} {name}: {rejected}\n");
                continue;
            }
        }
        let fired = |it: &Entry| it.timetable.as_ref().map_or(0, |it| it.fired);
        let new = usize::try_from(fired(&entry).saturating_sub(fired(&old))).unwrap();
        let all = entry.timetable.iter().flat_map(|it| it.firings.iter());
        let all: Vec<_> = all.map(firing).collect();
        let news = all[all.len() - new..].join(", ");
        let due = entry.deadline().map_or("never".into(), |(at, _)| (at.0 / 1000).to_string());
        out += &format!(
            "{seconds} {name} → {} [{}] {{{news}}} until {due}\n",
            entry.name(),
            effects(&entry)
        );
    }
    out
}

#[test]
fn the_whole_table() {
    let step = |entry: &Entry, now, event: &Event| entry.step(at(now), event).unwrap();
    let unscheduled = Entry::unscheduled(key());
    let idle = step(&unscheduled, 0, &scheduled(Collision::KillExisting, CatchUp::None));
    let waiting = step(&idle, 60, &Event::Due(Before::Active));
    let launching = step(&idle, 60, &Event::Due(Before::Over));
    let events = [
        scheduled(Collision::CancelNew, CatchUp::All),
        Event::Descheduled,
        Event::Due(Before::Over),
        Event::Due(Before::Active),
        start_asked(Before::Over),
        start_asked(Before::Active),
        Event::Looked(Before::Over),
        Event::Looked(Before::Active),
        LAUNCHED,
        Event::Launched { number: 9 },
        Event::Unanswered,
        Event::Rezoned("Asia/Tokyo".parse().unwrap()),
        Event::Rezoned(Zone::UTC),
    ];
    let mut table = String::new();
    for state in [unscheduled, idle, waiting, launching] {
        let row = events
            .each_ref()
            .map(|event| state.step(at(65), event).map_or("-", |next| next.name()));
        table += &format!("{:11} {}\n", state.name(), row.join(" "));
    }
    assert_eq!(
        table,
        "\
unscheduled idle - - - - - - - - - - - -
idle        idle unscheduled launching waiting launching waiting - - - - - idle -
waiting     waiting unscheduled - - - - launching waiting - - - waiting -
launching   launching unscheduled - - - - - - idle - launching launching -
"
    );
}

#[test]
fn each_time_starts_one_run() {
    assert_eq!(
        story(&[
            (10, scheduled(Collision::KillExisting, CatchUp::None)),
            (10, Event::Due(Before::Over)),
            (60, Event::Due(Before::Over)),
            (61, Event::Launched { number: 2 }),
            (61, LAUNCHED),
            (61, LAUNCHED),
            (130, Event::Due(Before::Over)),
            (135, Event::Unanswered),
            (136, Event::Unanswered),
            (145, Event::Unanswered),
            (146, Event::Launched { number: 2 }),
            (150, start_asked(Before::Over)),
            (150, start_asked(Before::Over)),
            (151, Event::Launched { number: 3 }),
        ]),
        "\
10 scheduled → idle [] {} until 60
10 due: due does not apply to something idle
60 due → launching [launch 1 of template 1 ×2 by ada] {} until 65
61 launched: launched does not apply to something launching
61 launched → idle [] {60 #1 started 61} until 120
61 launched: launched does not apply to something idle
130 due → launching [launch 2 of template 1 ×2 by ada] {} until 135
135 unanswered → launching [launch 2 of template 1 ×2 by ada] {} until 145
136 unanswered: unanswered does not apply to something launching
145 unanswered → launching [launch 2 of template 1 ×2 by ada] {} until 165
146 launched → idle [] {120 #2 started 146} until 180
150 start asked → launching [launch 3 of template 1 ×2 by bob] {} until 155
150 start asked: start asked does not apply to something launching
151 launched → idle [] {150 by bob #3 started 151} until 180
"
    );
}

#[test]
fn the_old_run_is_ended_first_and_times_that_come_meanwhile_are_covered() {
    assert_eq!(
        story(&[
            (10, scheduled(Collision::KillExisting, CatchUp::None)),
            (60, Event::Due(Before::Active)),
            (61, Event::Looked(Before::Active)),
            (65, Event::Looked(Before::Active)),
            (70, start_asked(Before::Active)),
            (75, Event::Looked(Before::Active)),
            (95, Event::Looked(Before::Active)),
            (135, Event::Looked(Before::Active)),
            (190, Event::Looked(Before::Over)),
            (191, LAUNCHED),
            (240, Event::Due(Before::Over)),
        ]),
        "\
10 scheduled → idle [] {} until 60
60 due → waiting [watch, kill: Killed by cronScheduler] {} until 65
61 looked: looked does not apply to something waiting
65 looked → waiting [watch, kill: Killed by cronScheduler] {} until 75
70 start asked: start asked does not apply to something waiting
75 looked → waiting [watch, kill: Killed by cronScheduler] {} until 95
95 looked → waiting [watch, kill: Killed by cronScheduler] {} until 135
135 looked → waiting [watch, kill: Killed by cronScheduler] {} until 195
190 looked → launching [launch 1 of template 1 ×2 by ada] {120-180 one waits} until 195
191 launched → idle [] {60 #1 started 191} until 240
240 due → launching [launch 2 of template 1 ×2 by ada] {} until 245
"
    );
}

#[test]
fn a_new_run_is_cancelled_while_the_old_one_runs() {
    assert_eq!(
        story(&[
            (10, scheduled(Collision::CancelNew, CatchUp::None)),
            (60, Event::Due(Before::Active)),
            (70, start_asked(Before::Active)),
            (120, Event::Due(Before::Over)),
        ]),
        "\
10 scheduled → idle [] {} until 60
60 due → idle [] {60 collided} until 120
70 start asked → idle [] {70 by bob collided} until 120
120 due → launching [launch 1 of template 1 ×2 by ada] {} until 125
"
    );
}

/// Of a schedule that is due each hour.
fn hourly(catch_up: CatchUp, script: &[(u64, Event)]) -> String {
    let order = order("0 * * * *", Collision::KillExisting, catch_up);
    story(&[&[(10, Event::Scheduled(Box::new(order)))], script].concat())
}

#[test]
fn what_was_due_without_a_scheduler_is_missed_or_made_up_for_as_was_asked() {
    let late = |catch_up, script: &[(u64, Event)]| {
        let all = [&[(10, scheduled(Collision::KillExisting, catch_up))], script].concat();
        story(&all)
    };
    // Who comes back within a minute is in time for the last one.
    assert_eq!(
        late(
            CatchUp::None,
            &[(175, Event::Due(Before::Over)), (176, LAUNCHED), (300, Event::Due(Before::Over))]
        ),
        "\
10 scheduled → idle [] {} until 60
175 due → launching [launch 1 of template 1 ×2 by ada] {60 missed} until 180
176 launched → idle [] {120 #1 started 176} until 180
300 due → launching [launch 2 of template 1 ×2 by ada] {180-240 missed} until 305
"
    );
    let over = || Event::Due(Before::Over);
    assert_eq!(
        hourly(CatchUp::None, &[(11_000, over()), (14_400, over())]),
        "\
10 scheduled → idle [] {} until 3600
11000 due → idle [] {3600-10800 missed} until 14400
14400 due → launching [launch 1 of template 1 ×2 by ada] {} until 14405
"
    );
    assert_eq!(
        hourly(
            CatchUp::Latest,
            &[(11_000, over()), (11_001, LAUNCHED), (14_400, Event::Due(Before::Active))]
        ),
        "\
10 scheduled → idle [] {} until 3600
11000 due → launching [launch 1 of template 1 ×2 by ada] {3600-7200 missed} until 11005
11001 launched → idle [] {10800 #1 started 11001} until 14400
14400 due → waiting [watch, kill: Killed by cronScheduler] {} until 14405
"
    );
}

#[test]
fn each_run_that_is_made_up_for_waits_for_the_one_before_it_and_so_does_the_first_in_time() {
    let over = || Event::Due(Before::Over);
    assert_eq!(
        hourly(
            CatchUp::All,
            &[
                (11_000, Event::Due(Before::Active)),
                (11_100, Event::Looked(Before::Over)),
                (11_101, LAUNCHED),
                (11_101, over()),
                (11_102, Event::Launched { number: 2 }),
                (11_102, Event::Due(Before::Active)),
                (14_410, Event::Looked(Before::Over)),
                (14_411, Event::Launched { number: 3 }),
                (14_411, Event::Due(Before::Active)),
                (14_420, Event::Looked(Before::Over)),
                (14_421, Event::Launched { number: 4 }),
                (18_000, Event::Due(Before::Active)),
            ]
        ),
        "\
10 scheduled → idle [] {} until 3600
11000 due → waiting [watch] {} until 11005
11100 looked → launching [launch 1 of template 1 ×2 by ada] {} until 11105
11101 launched → idle [] {3600 #1 started 11101} until 7200
11101 due → launching [launch 2 of template 1 ×2 by ada] {} until 11106
11102 launched → idle [] {7200 #2 started 11102} until 10800
11102 due → waiting [watch] {} until 11107
14410 looked → launching [launch 3 of template 1 ×2 by ada] {} until 14415
14411 launched → idle [] {10800 #3 started 14411} until 14400
14411 due → waiting [watch] {} until 14416
14420 looked → launching [launch 4 of template 1 ×2 by ada] {} until 14425
14421 launched → idle [] {14400 #4 started 14421} until 18000
18000 due → waiting [watch, kill: Killed by cronScheduler] {} until 18005
"
    );
}

#[test]
fn no_more_than_a_hundred_runs_are_made_up_for_and_twenty_firings_known() {
    let order = order("* * * * *", Collision::CancelNew, CatchUp::All);
    let mut entry =
        Entry::unscheduled(key()).step(at(0), &Event::Scheduled(Box::new(order))).unwrap();
    let mut started = 0;
    let now = 60 * 1000;
    while let Some((due, event)) = entry.deadline().filter(|(due, _)| *due <= at(now)) {
        assert_eq!(event, Event::Due(Before::Active), "{due:?}");
        entry = entry.step(at(now), &Event::Due(Before::Over)).unwrap();
        started += 1;
        entry = entry.step(at(now), &Event::Launched { number: started }).unwrap();
    }
    let timetable = entry.timetable.unwrap();
    assert_eq!((started, timetable.number, timetable.dealt), (100, 100, at(now)));
    assert_eq!((timetable.firings.len(), timetable.fired), (KEPT_FIRINGS, 101));
    assert_eq!(timetable.firings[19].at, at(now));
}

#[test]
fn another_order_keeps_what_is_due_and_what_is_on_its_way() {
    let again = |schedule| {
        Event::Scheduled(Box::new(order(schedule, Collision::KillExisting, CatchUp::None)))
    };
    assert_eq!(
        story(&[
            (10, again("* * * * *")),
            // Late by a second, and overtaken by an order: still due.
            (61, again("* * * * *")),
            (61, Event::Due(Before::Active)),
            (62, again("*/2 * * * *")),
            (63, Event::Looked(Before::Over)),
            (64, LAUNCHED),
            // By another clock or schedule, what was due is not.
            (121, again("*/3 * * * *")),
            (180, Event::Due(Before::Over)),
            (181, Event::Descheduled),
            (182, Event::Launched { number: 2 }),
            (190, again("* * * * *")),
            (240, Event::Due(Before::Over)),
        ]),
        "\
10 scheduled → idle [] {} until 60
61 scheduled → idle [] {} until 60
61 due → waiting [watch, kill: Killed by cronScheduler] {} until 66
62 scheduled → waiting [watch, kill: Killed by cronScheduler] {} until 66
63 looked → launching [launch 1 of template 3 ×2 by ada] {} until 68
64 launched → idle [] {60 #1 started 64} until 120
121 scheduled → idle [] {} until 180
180 due → launching [launch 2 of template 4 ×2 by ada] {} until 185
181 descheduled → unscheduled [] {} until never
182 launched: launched does not apply to something unscheduled
190 scheduled → idle [] {} until 240
240 due → launching [launch 1 of template 1 ×2 by ada] {} until 245
"
    );
}

#[test]
fn a_template_is_written_with_the_order_that_brought_it_and_leaves_with_the_last() {
    let changes = |entry: &Entry| {
        let words = |it: &Change| {
            let what = if it.record.is_some() { "" } else { " is gone" };
            format!("{}{what}", it.key)
        };
        entry.changes(None).iter().map(words).collect::<Vec<_>>()
    };
    let new = Entry::unscheduled(key())
        .step(at(0), &scheduled(Collision::KillExisting, CatchUp::None))
        .unwrap();
    assert_eq!(changes(&new), ["template/www/prod/nightly", "cron/www/prod/nightly"]);
    let due = new.step(at(60), &Event::Due(Before::Over)).unwrap();
    assert_eq!(changes(&due), ["cron/www/prod/nightly"]);
    let gone = due.step(at(61), &Event::Descheduled).unwrap();
    assert_eq!(
        changes(&gone),
        ["template/www/prod/nightly is gone", "cron/www/prod/nightly is gone"]
    );
}

#[test]
fn a_timetable_is_read_back_as_it_was_written_and_whoever_wakes_up_looks_around() {
    use crate::{
        job::{self, Job},
        record::Committed,
        view::View,
    };
    let step = |entry: &Entry, now, event: &Event| entry.step(at(now), event).unwrap();
    let idle =
        step(&Entry::unscheduled(key()), 0, &scheduled(Collision::KillExisting, CatchUp::None));
    let waiting = step(&idle, 60, &Event::Due(Before::Active));
    let launching = step(&idle, 60, &Event::Due(Before::Over));
    let mut view = View::default();
    let mut commit = |changes| {
        view.apply(&Committed { seq: 1, changes });
        view.clone()
    };
    for entry in [&idle, &waiting, &launching] {
        let changes = entry.changes(None);
        let kept = serde_json::to_string(&changes).unwrap();
        let view = commit(serde_json::from_str(&kept).unwrap());
        let found = Entry::recall(&view, &key()).unwrap();
        assert_eq!(found.timetable, entry.timetable);
        let heard = found.overheard(&view).map(|it| it.name());
        assert_eq!(heard, (entry == &waiting).then_some("looked"));
    }
    // Its job has started the run, and nobody has heard of it.
    let Effect::Launch { run, .. } = launching.effects().remove(0) else { panic!("{launching:?}") };
    let fired = job::Event::Fired {
        run,
        config: template(),
        instances: crate::instances::InstanceSet::first(2),
        by: "ada".into(),
    };
    let job = Job::unborn(key()).step(at(61), &fired).unwrap();
    let view = commit(job.changes(None));
    assert_eq!(launching.overheard(&view), Some(LAUNCHED));
    assert_eq!(waiting.overheard(&view), None, "its instances are about to be");
    assert_eq!(Event::Due(Before::Over).seeing(&key(), &view), Some(Event::Due(Before::Active)));
    assert_eq!(LAUNCHED.seeing(&key(), &view), None);
    let gone = vec![
        Change { key: RecordKey::Cron(key()), record: None },
        Change { key: RecordKey::Template(key()), record: None },
    ];
    assert!(Entry::recall(&commit(gone), &key()).is_none());
    let Some(Record::Cron(_)) = idle.changes(None).remove(1).record else { panic!("{idle:?}") };
}
