//! What an update is doing, and why, in words.

use std::time::Duration;

use airglow_model::{
    machine::Timestamp,
    update::{Canary, Direction, Settings, Status, Strategy, Update, UpdateEvent},
};

use crate::pages::format;

/// What an update says that pauses between batches because it was asked to.
const AUTOPAUSED: &str = "Update auto paused";

/// What somebody should read before anything else.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reason {
    pub(super) class: &'static str,
    pub(super) glyph: &'static str,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) until: Option<Timestamp>,
}

impl Reason {
    fn new(class: &'static str, glyph: &'static str, title: impl Into<String>) -> Self {
        Self { class, glyph, title: title.into(), text: String::new(), until: None }
    }

    fn because(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }
}

/// Newest first: what it waits for or how it ended, and why it turned back if it did.
pub(super) fn reasons(update: &Update) -> Vec<Reason> {
    let newest = update.events.last().and_then(|it| of_status(update, it));
    let turned = update.events.iter().find(|it| it.status == Status::RollingBack);
    newest
        .into_iter()
        .chain(trial(update))
        .chain(turned.map(|it| turned_back(update, it)))
        .collect()
}

fn of_status(update: &Update, event: &UpdateEvent) -> Option<Reason> {
    let UpdateEvent { by, message, .. } = event;
    let asked = |verb: &str| if by.is_empty() { verb.into() } else { format!("{verb} by {by}") };
    match update.status {
        Status::RollForwardPaused | Status::RollBackPaused => {
            let waits = "Nothing more begins until somebody resumes it.";
            Some(match (by.as_str(), message.as_str()) {
                ("", AUTOPAUSED) => {
                    Reason::new("waiting", "‖", "Paused after a batch").because(waits)
                }
                ("", message) => {
                    Reason::new("waiting", "‖", "Paused by itself").because(and(message, waits))
                }
                (_, message) => {
                    Reason::new("waiting", "‖", asked("Paused")).because(and(message, waits))
                }
            })
        }
        Status::RollForwardAwaitingPulse | Status::RollBackAwaitingPulse => {
            let text =
                "Whoever watches over it has to say that all is well: nothing begins before.";
            Some(Reason::new("waiting", "○", "Waiting for a pulse").because(and(message, text)))
        }
        Status::Aborted => {
            let text = "It ended where it was: instances keep what they have.";
            Some(Reason::new("killed", "■", asked("Aborted")).because(and(message, text)))
        }
        Status::Failed => {
            let title = match update.roll.direction {
                Direction::Forward => "Failed, and nothing was rolled back",
                Direction::Back => "Failed on its way back",
            };
            Some(Reason::new("failed", "✕", title).because(sentence(message)))
        }
        Status::Error => {
            Some(Reason::new("failed", "✕", "Ended by an error").because(sentence(message)))
        }
        Status::RollingForward
        | Status::RollingBack
        | Status::RolledForward
        | Status::RolledBack => None,
    }
}

/// Canaries are being compared.
fn trial(update: &Update) -> Option<Reason> {
    let (trial, canary) = (update.roll.trial.as_ref()?, update.settings.canary.as_ref()?);
    if !update.status.is_rolling() {
        return None;
    }
    let canaries = format!("Canaries go first: {}", trial.canaries);
    let mut reason = Reason::new("starting", "◔", canaries);
    let wait = Duration::from_millis(canary.watch_ms);
    reason.until = trial.since.map(|it| it + wait);
    let text = match trial.since {
        Some(_) => "They run, and are compared with the others, which follow if they do no worse.",
        None => "As soon as all of them run they are compared with the others.",
    };
    Some(reason.because(text))
}

fn turned_back(update: &Update, event: &UpdateEvent) -> Reason {
    let UpdateEvent { by, message, .. } = event;
    let class = if by.is_empty() { "failed" } else { "lost" };
    let verb = if update.status == Status::RolledBack { "Rolled back" } else { "Turned back" };
    if by.is_empty() {
        let reason = Reason::new(class, "↺", format!("{verb} by itself"));
        return reason.because(and(message, &limit(&update.settings)));
    }
    Reason::new(class, "↺", format!("{verb} by {by}")).because(sentence(message))
}

/// How much was allowed to go wrong.
fn limit(settings: &Settings) -> String {
    match settings.failed_instances_max {
        0 => "No instance may fail.".into(),
        1 => "1 instance may fail.".into(),
        most => format!("Up to {most} instances may fail."),
    }
}

/// What was said, if anything was, and then `text`.
fn and(message: &str, text: &str) -> String {
    if message.is_empty() { text.into() } else { format!("{} {text}", sentence(message)) }
}

/// With an end, as sentences have.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) {
        text.into()
    } else {
        format!("{text}.")
    }
}

/// Each setting with what it is.
pub(super) fn settings(it: &Settings) -> Vec<(&'static str, String)> {
    let of_instance = match it.failures_of_instance_max {
        0 => "an instance fails at its first failure".into(),
        1 => "an instance may fail once".into(),
        most => format!("an instance may fail {most} times"),
    };
    let watch = match it.watch_ms {
        0 => "an instance is done when it runs and is healthy".into(),
        ms => format!("an instance is done when it has run for {}", span(ms)),
    };
    let back = if it.rollback_on_failure {
        "everything that was begun is rolled back"
    } else {
        "it stops where it is"
    };
    let pulse =
        it.pulse_ms.map_or("not needed".into(), |ms| format!("at least every {}", span(ms)));
    let sla = if it.sla_aware {
        "running instances end only as the job's SLA policy allows"
    } else {
        "not asked"
    };
    let pending =
        it.pending_ms_max.map_or("an instance may wait for a place for ever".into(), |ms| {
            format!("an instance fails that finds no place for {}", span(ms))
        });
    vec![
        ("Strategy", strategy(&it.strategy)),
        ("Watch", watch),
        ("Failures", format!("{of_instance}; {}", limit(it).trim_end_matches('.').to_lowercase())),
        ("If it fails", back.into()),
        ("Pulses", pulse),
        ("SLA", sla.into()),
        ("Waiting", pending),
        ("Canaries", it.canary.as_ref().map_or("none".into(), canary)),
    ]
}

fn strategy(it: &Strategy) -> String {
    let paused = |autopause| if autopause { ", each after somebody resumes" } else { "" };
    match it {
        Strategy::Queue { size: 1 } => "one at a time".into(),
        Strategy::Queue { size } => format!("{size} at any time"),
        Strategy::Batch { size, autopause } => format!("batches of {size}{}", paused(*autopause)),
        Strategy::VariableBatch { sizes, autopause } => {
            let sizes: Vec<_> = sizes.iter().map(u32::to_string).collect();
            format!("batches of {}{}", sizes.join(", then "), paused(*autopause))
        }
    }
}

fn canary(Canary { instances, watch_ms, rollback }: &Canary) -> String {
    let count = format::count(usize::try_from(*instances).unwrap_or(usize::MAX), "instance");
    let then = if *rollback { "rolled back" } else { "paused" };
    format!("{count} first, compared for {}; {then} if they do worse", span(*watch_ms))
}

fn span(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format::span(&(ms / 1000)) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_in_words() {
        let it = Settings {
            strategy: Strategy::VariableBatch { sizes: vec![1, 10], autopause: true },
            watch_ms: 45_000,
            failures_of_instance_max: 0,
            failed_instances_max: 0,
            rollback_on_failure: true,
            pulse_ms: Some(60_000),
            sla_aware: false,
            pending_ms_max: None,
            canary: Some(Canary { instances: 1, watch_ms: 300_000, rollback: false }),
        };
        let told = settings(&it);
        let of = |name| told.iter().find(|it| it.0 == name).unwrap().1.as_str();
        assert_eq!(of("Strategy"), "batches of 1, then 10, each after somebody resumes");
        assert_eq!(of("Watch"), "an instance is done when it has run for 45 seconds");
        assert_eq!(of("Failures"), "an instance fails at its first failure; no instance may fail");
        assert_eq!(of("Pulses"), "at least every 1 minute");
        assert_eq!(
            of("Canaries"),
            "1 instance first, compared for 5 minutes; paused if they do worse"
        );
    }
}
