//! What a host has against what it should have.
//!
//! Orders and reports get lost, with a connection or with one side's memory. So a host says what it
//! has whenever it connects, and now and then; this finds every difference, and each difference has
//! one cure. There is no other recovery: a restart of either side, a lost connection and a bug look
//! the same from here.
//!
//! How runs ended is not taken from here: the host repeats that until it is acknowledged, and its
//! own words say why, too.

use std::collections::BTreeMap;

use crate::{
    ids::{HostId, TaskId, TaskKey},
    machine::Machine,
    task::{Effect, Event, Run, State, Task},
    wire::{Inventoried, RunState},
};

/// Something that has to be said, to one side or the other, to make both agree.
#[derive(Clone, Debug, PartialEq)]
pub enum Correction {
    /// The instance is not what it believes to be.
    Tell { task: TaskKey, event: Event },
    /// The host should be asked, perhaps again: a launch or a kill.
    Ask(Effect),
}

/// `believed`: every task whose current run is on `host`, as committed.
pub fn compare<'a>(
    host: &HostId,
    believed: impl IntoIterator<Item = &'a Task>,
    reported: &[Inventoried],
) -> Vec<Correction> {
    let mut strangers: BTreeMap<&TaskId, RunState> =
        reported.iter().map(|it| (&it.task_id, it.state)).collect();
    let mut corrections = Vec::new();
    for task in believed {
        let Some(run) = task.run.as_ref().filter(|it| it.is_on(host)) else { continue };
        let found = strangers.remove(&run.id);
        corrections.extend(correction(host, task, run, found));
    }
    strangers.retain(|_, state| !state.is_terminal());
    corrections.extend(strangers.into_keys().map(|id| kill(host, id, "Nobody knows of it")));
    corrections
}

/// What to do about a run that should be on `host`, which has `found` of it.
fn correction(
    host: &HostId,
    task: &Task,
    run: &Run,
    found: Option<RunState>,
) -> Option<Correction> {
    let tell = |event| Some(Correction::Tell { task: task.key.clone(), event });
    let ask_again = || task.effects().pop().map(Correction::Ask);
    match (&run.state, found) {
        (_, Some(RunState::Finished | RunState::Failed | RunState::Killed | RunState::Lost)) => {
            None
        }

        (State::Assigned { .. }, None) => ask_again(),
        (State::Starting { .. } | State::Running { .. } | State::Partitioned { .. }, None) => {
            tell(Event::HostForgot { attempt: run.attempt })
        }
        (State::Assigned { .. } | State::Partitioned { .. }, Some(state @ RunState::Starting))
        | (
            State::Assigned { .. } | State::Starting { .. } | State::Partitioned { .. },
            Some(state @ RunState::Running),
        ) => tell(Event::Reported { attempt: run.attempt, state, message: String::new() }),
        (State::Starting { .. }, Some(RunState::Starting))
        | (State::Running { .. }, Some(RunState::Starting | RunState::Running)) => None,

        (
            State::Killing { .. }
            | State::Restarting { .. }
            | State::Preempting { .. }
            | State::Draining { .. },
            found,
        ) => match found {
            Some(_) => ask_again(),
            None => tell(Event::HostForgot { attempt: run.attempt }),
        },

        (
            State::Throttled { .. }
            | State::Pending
            | State::Finished { .. }
            | State::Failed { .. }
            | State::Killed { .. }
            | State::Lost { .. },
            found,
        ) => found.map(|_| kill(host, &run.id, "It has been given up")),
    }
}

fn kill(host: &HostId, id: &TaskId, reason: &str) -> Correction {
    Correction::Ask(Effect::Kill { host: host.clone(), id: id.clone(), reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Ports,
        ids::{Attempt, ConfigId, JobKey},
        machine::Timestamp,
        task::{Placement, Policy},
    };

    fn key() -> TaskKey {
        JobKey::new("www", "prod", "web").task(0)
    }

    fn in_state(state: State) -> Task {
        let wanted = Event::Wanted {
            config: ConfigId(1),
            generation: 1,
            policy: Policy { service: true, ..Policy::default() },
            message: String::new(),
        };
        let mut task = Task::unborn(key()).step(Timestamp(0), &wanted).unwrap();
        task.run.as_mut().unwrap().state = state;
        task
    }

    fn inventory(state: RunState) -> Inventoried {
        let task_id = key().task_id(Timestamp(0), Attempt(1));
        Inventoried { task: key(), attempt: Attempt(1), task_id, state }
    }

    fn in_words(corrections: &[Correction]) -> String {
        let words = |correction: &Correction| match correction {
            Correction::Tell { event: Event::Reported { state, .. }, .. } => {
                format!("it is {state:?}")
            }
            Correction::Tell { event: Event::HostForgot { .. }, .. } => "forgotten".into(),
            Correction::Tell { event, .. } => format!("{event:?}"),
            Correction::Ask(Effect::Kill { reason, .. }) if reason.is_empty() => {
                "kill again".into()
            }
            Correction::Ask(Effect::Kill { reason, .. }) => format!("kill: {reason}"),
            Correction::Ask(Effect::Launch { .. }) => "launch".into(),
            Correction::Ask(Effect::Seek { .. }) => "seek".into(),
        };
        corrections.iter().map(words).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_difference_has_one_cure() {
        let at = || Placement { host: "a1".into(), ports: Ports::new() };
        let until = Timestamp(0);
        let states = [
            State::Assigned { at: at(), until },
            State::Starting { at: at() },
            State::Running { at: at() },
            State::Partitioned { at: at(), until: None },
            State::Killing { at: at(), until, retry_at: until, retry_ms: 0 },
            State::Restarting { at: at(), until },
            State::Preempting { at: at(), until },
            State::Draining { at: at(), until },
            State::Finished { at: at() },
            State::Failed { at: at() },
            State::Killed { at: at() },
            State::Lost { at: at() },
        ];
        let found =
            [None, Some(RunState::Starting), Some(RunState::Running), Some(RunState::Failed)];
        let mut table = String::new();
        for state in states {
            let task = in_state(state);
            let row = found.map(|it| {
                let reported: Vec<_> = it.map(inventory).into_iter().collect();
                in_words(&compare(&"a1".into(), [&task], &reported))
            });
            let row = row.map(|it| if it.is_empty() { "-".to_owned() } else { it });
            table += &format!("{:12}{}\n", task.status().unwrap(), row.join(" | "));
        }
        assert_eq!(
            table,
            "\
ASSIGNED    launch | it is Starting | it is Running | -
STARTING    forgotten | - | it is Running | -
RUNNING     forgotten | - | - | -
PARTITIONED forgotten | it is Starting | it is Running | -
KILLING     forgotten | kill again | kill again | -
RESTARTING  forgotten | kill again | kill again | -
PREEMPTING  forgotten | kill again | kill again | -
DRAINING    forgotten | kill again | kill again | -
FINISHED    - | kill: It has been given up | kill: It has been given up | -
FAILED      - | kill: It has been given up | kill: It has been given up | -
KILLED      - | kill: It has been given up | kill: It has been given up | -
LOST        - | kill: It has been given up | kill: It has been given up | -
"
        );
    }

    #[test]
    fn what_nobody_knows_of_is_ended_and_what_is_elsewhere_is_not_missed() {
        let at = Placement { host: "b2".into(), ports: Ports::new() };
        let elsewhere = in_state(State::Running { at });
        let host = "a1".into();
        let compared = |state| in_words(&compare(&host, [&elsewhere], &[inventory(state)]));
        assert_eq!(compared(RunState::Running), "kill: Nobody knows of it");
        assert_eq!(compared(RunState::Killed), "");
        assert_eq!(compare(&host, [&elsewhere], &[]), []);
    }
}
