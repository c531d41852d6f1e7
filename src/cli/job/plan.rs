//! `airglow job plan`: what `job create` would come to, without doing it.

use std::io::Write;

use airglow_model::machine::Timestamp;
use airglow_web::api::{
    Amount, Change, ConfigDiff, JobForecast, Placement, Preempted, QuotaForecast, Waiting,
};
use anstyle::AnsiColor;
use serde_json::Value;

use super::{Code, Failure, FullKey, Global, InFile, Outcome, screen, why};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    written: InFile,
}

/// Ends with [`Code::Unmet`] if not everything would run.
pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let key = &args.written.key;
    let session = global.session(&key.cluster)?;
    let job = args.written.read()?;
    let planned = session.client.plan(vec![job.spec.clone()]).map_err(|it| job.refused(it))?;
    let strange = || Failure::new(Code::Unknown, "The scheduler told nothing of the job");
    let forecast = planned.jobs.into_iter().next().ok_or_else(strange)?;
    if global.write_json {
        screen::json(&forecast)?;
    } else {
        screen::out().write_all(render(key, &forecast).as_bytes())?;
    }
    let runs = forecast.refusal.is_none() && forecast.pending.is_empty();
    if runs { Ok(()) } else { Err(Failure::Silent(Code::Unmet)) }
}

fn render(key: &FullKey, it: &JobForecast) -> String {
    let mut parts = vec![head(key, it)];
    parts.extend(it.diff.configs.iter().map(diff));
    if !it.placements.is_empty() {
        parts.push(placements(&it.placements));
    }
    parts.extend(it.pending.iter().map(|unplaced| {
        let instances = &unplaced.instances;
        let count = counted(instances.len(), "instance");
        let reason = reason(&unplaced.why);
        format!("{count} would stay PENDING ({instances}): {reason}\n")
    }));
    parts.extend(it.preempted.iter().map(preempted));
    parts.push(quota(&it.quota));
    parts.join("\n")
}

fn head(key: &FullKey, it: &JobForecast) -> String {
    let to = counted(it.diff.instances.to, "instance");
    let what = match (it.diff.instances.from, it.diff.configs.is_empty()) {
        (0, true) => format!("a new job of {to}"),
        (0, false) => format!("{to}, and none is active"),
        (from, _) => format!("{to}, and {from} active now"),
    };
    let mut text = format!("{}: {what}\n", screen::bold(&key.to_string()));
    if let Some(refusal) = &it.refusal {
        let refused = screen::paint("Refused:", AnsiColor::Red.on_default());
        text += &format!("{refused} {refusal}\n");
    }
    text
}

fn diff(ConfigDiff { number, instances, changes }: &ConfigDiff) -> String {
    let whose = match instances.is_empty() {
        true => "which ran last".to_owned(),
        false => format!("of {instances}"),
    };
    if changes.is_empty() {
        return format!("Nothing differs from configuration {number}, {whose}.\n");
    }
    let changes: String = changes.iter().map(change).collect();
    format!("Differs from configuration {number}, {whose}:\n{changes}")
}

fn change(Change { pointer, from, to }: &Change) -> String {
    let side = |sign: &str, color: AnsiColor, value: &Option<Value>| {
        let lines = value.iter().flat_map(|it| {
            let text = it.as_str().map_or_else(|| it.to_string(), str::to_owned);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        let line = |it: String| {
            screen::paint(&format!("  {sign} {}", screen::plain(&it)), color.on_default()) + "\n"
        };
        lines.map(line).collect::<String>()
    };
    let (from, to) = (side("-", AnsiColor::Red, from), side("+", AnsiColor::Green, to));
    format!("  {pointer}\n{from}{to}")
}

/// More would scroll everything else away.
const HOSTS_SHOWN: usize = 30;

fn placements(all: &[Placement]) -> String {
    let row = |it: &Placement| {
        vec![it.host.clone(), it.instances.len().to_string(), it.instances.to_string()]
    };
    let rows = all.iter().take(HOSTS_SHOWN).map(row);
    let table = screen::table(&["HOST", "COUNT", "INSTANCES"], rows);
    match all.len().checked_sub(HOSTS_SHOWN) {
        None | Some(0) => format!("{table}\n"),
        Some(more) => format!("{table}\n… and {more} more; --write-json has them all\n"),
    }
}

fn reason(Waiting { hosts, vetoes, nearest }: &Waiting) -> String {
    if *hosts == 0 {
        "there is no host.".into()
    } else {
        why::vetoes(*hosts, vetoes, nearest.as_ref())
    }
}

fn preempted(Preempted { after_secs, tasks }: &Preempted) -> String {
    let long = screen::age(Timestamp(0), Timestamp(after_secs * 1000));
    let tasks: String = tasks.iter().map(|it| format!("  {} on {}\n", it.task, it.host)).collect();
    format!("After {long} these would have to give way:\n{tasks}")
}

fn quota(QuotaForecast { role, limit, used_before, used_after, short }: &QuotaForecast) -> String {
    let Some(limit) = limit else { return format!("Quota of {role}: none is set\n") };
    let amounts = |of: fn(&Amount) -> f64| (of(used_before), of(used_after), of(limit));
    let rows = [
        ("CPU", amounts(|it| it.cpu), "core(s)"),
        ("RAM", amounts(|it| it.ram_mb as f64), "MB"),
        ("Disk", amounts(|it| it.disk_mb as f64), "MB"),
    ];
    let mut text = format!("Quota of {role}:\n");
    for (what, (before, after, limit), unit) in rows {
        let bar = bar(after, limit);
        text += &format!("  {what:4} {bar} {before} → {after} of {limit} {unit}\n");
    }
    for short in short {
        text += &format!("  {}\n", screen::paint(short, AnsiColor::Red.on_default()));
    }
    text
}

/// How much of the limit is used, in tenths.
fn bar(used: f64, limit: f64) -> String {
    let share = if limit > 0.0 { (used / limit).clamp(0.0, 1.0) } else { 1.0 };
    (1..=10).map(|tenth| if f64::from(tenth) <= share * 10.0 { '█' } else { '░' }).collect()
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn forecast(value: Value) -> String {
        let key = "c/www/prod/web".parse().unwrap();
        let text = render(&key, &serde_json::from_value(value).unwrap());
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_plan_is_read_from_top_to_bottom() {
        let none = json!({"cpu": 0.0, "ram_mb": 0, "disk_mb": 0});
        let why = json!({
            "hosts": 2, "vetoes": [{"reason": "Insufficient: CPU", "hosts": 2}],
            "nearest": {"host": "h1", "misses": "needs 1 more core"},
        });
        let text = forecast(json!({
            "key": "www/prod/web", "is_active": false,
            "diff": {"instances": {"from": 0, "to": 4}, "configs": [{
                "number": 2, "instances": "", "changes": [
                    {"pointer": "/task/processes/0/cmdline", "from": "walk\nrest", "to": "run"},
                    {"pointer": "/contact", "to": "ada"},
                    {"pointer": "/priority", "from": 1, "to": 2},
                ],
            }]},
            "placements": [
                {"host": "h1", "instances": "0,2"}, {"host": "h2", "instances": "1"},
            ],
            "pending": [{"instances": "3", "why": why}],
            "preempted": {"after_secs": 180, "tasks": [{"task": "www/prod/old/3", "host": "h2"}]},
            "quota": {"role": "www", "used_before": none, "used_after": none, "short": []},
        }));
        assert_eq!(
            text,
            "\
c/www/prod/web: 4 instances, and none is active

Differs from configuration 2, which ran last:
  /task/processes/0/cmdline
  - walk
  - rest
  + run
  /contact
  + ada
  /priority
  - 1
  + 2

HOST  COUNT  INSTANCES
h1    2      0,2
h2    1      1

1 instance would stay PENDING (3): no host fits, of 2 hosts.
  Insufficient: CPU on 2 hosts
  Nearest: h1 (needs 1 more core)

After 3m these would have to give way:
  www/prod/old/3 on h2

Quota of www: none is set
"
        );
    }

    #[test]
    fn what_would_be_refused_says_so_first() {
        let amount = |cpu: f64| json!({"cpu": cpu, "ram_mb": 128, "disk_mb": 512});
        let text = forecast(json!({
            "key": "www/prod/web", "is_active": false, "refusal": "too much",
            "diff": {"instances": {"from": 0, "to": 1}, "configs": []},
            "placements": [], "pending": [],
            "quota": {
                "role": "www", "limit": amount(4.0), "used_before": amount(3.0),
                "used_after": amount(4.5), "short": ["CPU quota exceeded by 0.50 core(s)"],
            },
        }));
        assert_eq!(
            text,
            "\
c/www/prod/web: a new job of 1 instance
Refused: too much

Quota of www:
  CPU  ██████████ 3 → 4.5 of 4 core(s)
  RAM  ██████████ 128 → 128 of 128 MB
  Disk ██████████ 512 → 512 of 512 MB
  CPU quota exceeded by 0.50 core(s)
"
        );
        assert_eq!((bar(3.0, 10.0), bar(0.0, 0.0)), ("███░░░░░░░".into(), "██████████".into()));
    }
}
