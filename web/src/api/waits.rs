//! Tasks of a host that is being drained, by what they wait for: many wait for the same.

use airglow_model::machine::Timestamp;

use super::{DrainProgress, DrainWait};

/// Tasks that wait for the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike<'a> {
    pub reason: &'a str,
    pub tasks: Vec<&'a str>,
    /// When that may have changed for the first of them, if time alone can change it.
    pub until: Option<Timestamp>,
}

impl DrainProgress {
    /// One entry for each reason, in the order in which they are first told.
    pub fn alike(&self) -> Vec<Alike<'_>> {
        let mut all: Vec<Alike<'_>> = Vec::new();
        for DrainWait { task, reason, until } in &self.waits {
            let Some(alike) = all.iter_mut().find(|it| it.reason == reason) else {
                all.push(Alike { reason, tasks: vec![task], until: *until });
                continue;
            };
            alike.tasks.push(task);
            alike.until = [alike.until, *until].into_iter().flatten().min();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Drain;

    #[test]
    fn a_reason_is_told_once_with_all_whose_it_is() {
        let wait = |task: &str, reason: &str, until: Option<u64>| DrainWait {
            task: task.into(),
            reason: reason.into(),
            until: until.map(Timestamp),
        };
        let drain = DrainProgress {
            since: Timestamp(0),
            deadline: Timestamp(9),
            by: "somebody".into(),
            request: Drain::default(),
            left: 4,
            waits: vec![
                wait("w/p/a/0", "Too few", Some(7)),
                wait("w/p/b/0", "It is leaving", None),
                wait("w/p/a/1", "Too few", Some(5)),
                wait("w/p/a/2", "Too few", None),
            ],
        };
        let told: Vec<_> = drain.alike();
        let few = Alike {
            reason: "Too few",
            tasks: vec!["w/p/a/0", "w/p/a/1", "w/p/a/2"],
            until: Some(Timestamp(5)),
        };
        let leaving = Alike { reason: "It is leaving", tasks: vec!["w/p/b/0"], until: None };
        assert_eq!(told, [few, leaving]);
    }
}
