//! `airglow update info`.

use std::{collections::BTreeMap, fmt::Write as _, io::Write};

use airglow_web::api::{InstanceEvent, UpdateDetail, UpdateEvent, UpdateProgress};
use serde_json::{Value, json};

use super::{FullKey, Global, Outcome, named, not_found, screen};

pub(crate) fn run(key: &FullKey, id: Option<String>, global: &Global) -> Outcome {
    let session = global.session(&key.cluster)?;
    let update = named(&session, key, id)?;
    let detail = session.client.update(&update)?.ok_or_else(|| not_found(key))?;
    if global.write_json {
        return screen::json(&described(key, &detail));
    }
    Ok(screen::out().write_all(text(key, &detail).as_bytes())?)
}

/// In the form in which `info --write-json` has always told it, and how far it is.
pub(super) fn described(key: &FullKey, it: &UpdateDetail) -> Value {
    let event = |it: &UpdateEvent| {
        let mut event = json!({ "status": it.status.name(), "timestampMs": it.at });
        if !it.message.is_empty() {
            event["message"] = it.message.as_str().into();
        }
        event
    };
    let happened = |it: &InstanceEvent| {
        let action = it.action.name();
        json!({ "instance": it.instance, "timestamp": it.at, "action": action })
    };
    let pair = |(name, value): (&String, &String)| BTreeMap::from([(name.clone(), value.clone())]);
    json!({
        "updateId": it.summary.id,
        "job": key.to_string(),
        "started": it.summary.created_at,
        "last_modified": screen::utc_time(it.summary.modified_at),
        "status": it.summary.status.name(),
        "progress": it.summary.progress,
        "update_events": it.events.iter().map(event).collect::<Vec<_>>(),
        "instance_update_events": it.instance_events.iter().map(happened).collect::<Vec<_>>(),
        "metadata": it.metadata.iter().map(pair).collect::<Vec<_>>(),
    })
}

fn text(key: &FullKey, it: &UpdateDetail) -> String {
    let summary = &it.summary;
    let [started, modified] = [summary.created_at, summary.modified_at].map(screen::utc_time);
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("a string takes everything");
    };
    line(format_args!("Job: {key}, UpdateID: {}", summary.id));
    line(format_args!("Started {started}, last activity: {modified}"));
    line(format_args!("Current status: {}", summary.status));
    line(format_args!("Progress: {}", progress(summary.progress)));
    if !it.events.is_empty() {
        line(format_args!("Update events:"));
    }
    for event in &it.events {
        line(format_args!("  Status: {} at {}", event.status, screen::utc_time(event.at)));
        if !event.message.is_empty() {
            line(format_args!("      message: {}", screen::plain(&event.message)));
        }
    }
    if !it.instance_events.is_empty() {
        line(format_args!("Instance events:"));
    }
    for InstanceEvent { at, instance, action, message } in &it.instance_events {
        let at = screen::utc_time(*at);
        line(format_args!("  Instance {instance} at {at}: {}", action.name()));
        if !message.is_empty() {
            line(format_args!("      message: {}", screen::plain(message)));
        }
    }
    if !it.metadata.is_empty() {
        line(format_args!("Metadata:"));
    }
    for (name, value) in &it.metadata {
        line(format_args!("  {name}: {}", screen::plain(value)));
    }
    text
}

fn progress(UpdateProgress { total, waiting, working, done, failed }: UpdateProgress) -> String {
    format!("{done} of {total} done, {working} at work, {failed} failed, {waiting} waiting")
}

#[cfg(test)]
mod tests {
    use airglow_model::update::Status;

    use super::{
        super::{list::tests::summary, picture::tests::detail},
        *,
    };

    fn sample() -> UpdateDetail {
        let at = 1_403_716_352_000_u64;
        let mut it = detail(&[]);
        it.summary = summary(Status::RollingBack);
        it.metadata = BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]);
        it.events = serde_json::from_value(json!([
            {"at": at, "status": "ROLLING_FORWARD", "user": "ada", "message": ""},
            {"at": at + 5000, "status": "ROLLING_BACK", "user": "", "message": "it failed"},
        ]))
        .unwrap();
        it.instance_events = serde_json::from_value(json!([
            {"at": at, "instance": 3, "action": "UPDATING", "message": ""},
            {"at": at + 4000, "instance": 3, "action": "UPDATE_FAILED", "message": "exited"},
        ]))
        .unwrap();
        it
    }

    #[test]
    fn an_update_is_told_line_by_line() {
        let key: FullKey = "west/www-data/prod/web".parse().unwrap();
        assert_eq!(
            text(&key, &sample()),
            "\
Job: west/www-data/prod/web, UpdateID: 6f1b1e5c-0d8a-4bb0-9d5f-6e7c2a4b8f10
Started 2014-06-25T17:12:32, last activity: 2014-06-25T17:13:32
Current status: ROLLING_BACK
Progress: 2 of 4 done, 1 at work, 0 failed, 1 waiting
Update events:
  Status: ROLLING_FORWARD at 2014-06-25T17:12:32
  Status: ROLLING_BACK at 2014-06-25T17:12:37
      message: it failed
Instance events:
  Instance 3 at 2014-06-25T17:12:32: INSTANCE_UPDATING
  Instance 3 at 2014-06-25T17:12:36: INSTANCE_UPDATE_FAILED
      message: exited
Metadata:
  a: 1
  b: 2
"
        );
    }

    #[test]
    fn as_json_it_has_the_names_that_scripts_know() {
        let it = described(&"west/www-data/prod/web".parse().unwrap(), &sample());
        assert_eq!(it["updateId"], "6f1b1e5c-0d8a-4bb0-9d5f-6e7c2a4b8f10");
        assert_eq!(it["started"], 1_403_716_352_000_u64);
        assert_eq!(it["last_modified"], "2014-06-25T17:13:32");
        assert_eq!(
            it["update_events"][1],
            json!({"status": "ROLLING_BACK", "timestampMs": 1_403_716_357_000_u64, "message": "it failed"})
        );
        assert_eq!(
            it["instance_update_events"][0],
            json!({"instance": 3, "timestamp": 1_403_716_352_000_u64, "action": "INSTANCE_UPDATING"})
        );
        assert_eq!(it["metadata"], json!([{"a": "1"}, {"b": "2"}]));
    }
}
