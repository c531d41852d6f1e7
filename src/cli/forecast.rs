//! What would become of jobs, in words: what differs, who would be where, who would have to wait.

use airglow_model::machine::Timestamp;
use airglow_web::api::{
    Amount, Change, ConfigDiff, NearestHost, Placement, Preempted, QuotaForecast, Unplaced,
    VetoCount, Waiting,
};
use anstyle::AnsiColor;
use serde_json::Value;

use super::screen;

pub(crate) fn diff(ConfigDiff { number, instances, changes }: &ConfigDiff) -> String {
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

pub(crate) fn change(Change { pointer, from, to }: &Change) -> String {
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

pub(crate) fn placements(all: &[Placement]) -> String {
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

pub(crate) fn unplaced(Unplaced { instances, why }: &Unplaced) -> String {
    let count = counted(instances.len(), "instance");
    format!("{count} would stay PENDING ({instances}): {}\n", reason(why))
}

fn reason(it: &Waiting) -> String {
    match it.hosts {
        0 => "there is no host.".into(),
        hosts => vetoes(hosts, &it.vetoes, it.nearest.as_ref()),
    }
}

/// What speaks against how many hosts.
pub(crate) fn vetoes(all: usize, vetoes: &[VetoCount], nearest: Option<&NearestHost>) -> String {
    let hosts = |count: usize| if count == 1 { "host" } else { "hosts" };
    let mut text = format!("no host fits, of {all} {}.", hosts(all));
    for veto in vetoes {
        let line = format!("\n  {} on {} {}", veto.reason, veto.hosts, hosts(veto.hosts));
        text.push_str(&line);
    }
    if let Some(nearest) = nearest {
        text.push_str(&format!("\n  Nearest: {} ({})", nearest.host, nearest.misses));
    }
    text
}

pub(crate) fn preempted(Preempted { after_secs, tasks }: &Preempted) -> String {
    let long = screen::age(Timestamp(0), Timestamp(after_secs * 1000));
    let tasks: String = tasks.iter().map(|it| format!("  {} on {}\n", it.task, it.host)).collect();
    format!("After {long} these would have to give way:\n{tasks}")
}

pub(crate) fn quota(
    QuotaForecast { role, limit, used_before, used_after, short }: &QuotaForecast,
) -> String {
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

pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_shown_in_tenths() {
        assert_eq!((bar(3.0, 10.0), bar(0.0, 0.0)), ("███░░░░░░░".into(), "██████████".into()));
    }
}
