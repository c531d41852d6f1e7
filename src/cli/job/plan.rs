//! `airglow job plan`: what `job create` would come to, without doing it.

use std::io::Write;

use airglow_web::api::JobForecast;
use anstyle::AnsiColor;

use super::{
    super::forecast::{counted, diff, placements, preempted, quota, unplaced},
    Code, Failure, FullKey, Global, InFile, Outcome, screen,
};

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
    parts.extend(it.pending.iter().map(unplaced));
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
    }
}
