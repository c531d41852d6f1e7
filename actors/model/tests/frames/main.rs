//! What travels between a scheduler and its agents, pinned: one file for each version of the protocol
//! that is spoken, with every word of it.
//!
//! The newest file is exactly what [`words`] are written as, so a field that is renamed, retyped,
//! dropped or added is noticed, and what is said in it can be read off the code. Files of older
//! versions are never changed: what they hold is still understood, field by field. Whoever adds to
//! the protocol runs this with `UPDATE=1` and looks at what has changed in the newest file; whoever
//! changes what is there begins another version, by leaving the newest file as it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use airglow_model::wire::{PROTOCOLS, ToExecutor, ToScheduler};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

mod words;

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Corpus<Up, Down> {
    to_scheduler: Vec<Up>,
    to_executor: Vec<Down>,
}

type Words = Corpus<ToScheduler, ToExecutor>;
type Frames = Corpus<Value, Value>;

fn path(version: u32) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/frames");
    folder.join(format!("protocol-{version}.json"))
}

fn frames(version: u32) -> Frames {
    let path = path(version);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; every version that is spoken has its frames there", path.display())
    });
    serde_json::from_str(&text).unwrap()
}

/// What a frame becomes when it is read and written again.
fn again<T: DeserializeOwned + Serialize>(frame: &Value) -> Value {
    let text = frame.to_string();
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::to_value(read).unwrap()
}

/// Whether all that was said is still there. There may be more.
fn keeps(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            old.iter().all(|(name, old)| new.get(name).is_some_and(|new| keeps(new, old)))
        }
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| keeps(new, old))
        }
        (new, old) => new == old,
    }
}

#[test]
fn the_newest_version_is_what_its_file_says() {
    let words = Words { to_scheduler: words::to_scheduler(), to_executor: words::to_executor() };
    let written = serde_json::to_string_pretty(&words).unwrap() + "\n";
    let path = path(PROTOCOLS.newest);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let Frames { to_scheduler, to_executor } = frames(PROTOCOLS.newest);
    let hint = "agents and schedulers out there speak the old one: see the top of this file";
    let said = |it: &ToScheduler| serde_json::to_value(it).unwrap();
    assert_eq!(words.to_scheduler.iter().map(said).collect::<Vec<_>>(), to_scheduler, "{hint}");
    let said = |it: &ToExecutor| serde_json::to_value(it).unwrap();
    assert_eq!(words.to_executor.iter().map(said).collect::<Vec<_>>(), to_executor, "{hint}");
    // And it is heard as it was meant.
    let heard: Words = serde_json::from_str(&written).unwrap();
    assert_eq!(heard.to_scheduler, words.to_scheduler);
    assert_eq!(heard.to_executor, words.to_executor);
}

#[test]
fn every_version_that_is_spoken_is_understood() {
    for version in PROTOCOLS.oldest..=PROTOCOLS.newest {
        let Frames { to_scheduler, to_executor } = frames(version);
        assert!(!to_scheduler.is_empty() && !to_executor.is_empty(), "version {version}");
        for frame in &to_scheduler {
            let again = again::<ToScheduler>(frame);
            assert!(keeps(&again, frame), "version {version} said {frame}, which became {again}");
            assert_ne!(again["say"], "unknown", "version {version}: {frame}");
        }
        for frame in &to_executor {
            let again = again::<ToExecutor>(frame);
            assert!(keeps(&again, frame), "version {version} said {frame}, which became {again}");
            assert_ne!(again["say"], "unknown", "version {version}: {frame}");
        }
    }
}

#[test]
fn no_word_is_missing() {
    let names = words::names_said();
    let missing: BTreeSet<_> = words::names().difference(&names).cloned().collect();
    assert!(missing.is_empty(), "say these as well, in words.rs: {missing:?}");
}

#[test]
fn what_only_a_newer_one_says_harms_nobody() {
    let read = |text: &str| serde_json::from_str::<ToScheduler>(text);
    assert_eq!(read(r#"{"say":"sing","song":["a",{"b":1}]}"#).unwrap(), ToScheduler::Unknown);
    let ping = r#"{"say":"ping","at":7,"mood":{"kind":"good"}}"#;
    assert_eq!(again::<ToScheduler>(&serde_json::from_str(ping).unwrap())["at"], 7);
    assert!(read(r#"{"say":"inventory"}"#).is_err(), "half a word is none");
    assert!(read(r#"{"hum":1}"#).is_err());

    let read = |text: &str| serde_json::from_str::<ToExecutor>(text);
    assert_eq!(read(r#"{"say":"dance","to":"it"}"#).unwrap(), ToExecutor::Unknown);
    let asked = r#"{"say":"ask","request":3,"question":{"ask":"mood","of":"whom"}}"#;
    let ToExecutor::Ask { request: 3, question } = read(asked).unwrap() else { panic!("{asked}") };
    assert_eq!(question, airglow_model::wire::Question::Unknown);
    let killed = r#"{"say":"kill","task_id":"t","reason":"r","gently":true}"#;
    assert!(matches!(read(killed).unwrap(), ToExecutor::Kill { .. }));

    // What would be lost if it were not understood is no word at all: the link ends.
    let status = &frames(PROTOCOLS.newest).to_scheduler;
    let mut status = status.iter().find(|it| it["say"] == "status").unwrap().clone();
    status["state"] = "HIBERNATING".into();
    assert!(serde_json::from_value::<ToScheduler>(status).is_err());
}
