//! What happens, for people to read.

use std::fmt::Write;

use super::world::World;
use crate::record::{Change, Record};

impl World {
    /// From now on what happens is written down.
    pub fn narrate(&mut self) {
        self.story = Some(String::new());
    }

    /// What was written down since it was asked for last.
    pub fn take_story(&mut self) -> String {
        self.story.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let (s, ms) = (self.now.0 / 1000, self.now.0 % 1000);
            writeln!(story, "{s:>6}.{ms:03} {}", line()).expect("a string takes everything");
        }
    }

    pub(super) fn tell_of(&mut self, Change { key, record }: &Change) {
        self.tell(|| match record {
            Some(Record::Task(task)) => {
                let at = task.placement().map(|it| format!(" on {}", it.host)).unwrap_or_default();
                let status = task.status().map_or("nothing", |it| it.name());
                let why = task.run.as_ref().and_then(|it| it.events.last());
                let why = why.map(|it| format!(": {}", it.message)).unwrap_or_default();
                format!("{key} is {status} #{}{at}{why}", task.attempt.0)
            }
            Some(Record::History(run)) => format!("{key} was {}", run.state.status()),
            Some(Record::Host(host)) => {
                format!("{key} is {} {}", host.contact.name(), host.mode.name())
            }
            Some(Record::Job(job)) => format!("{key} wants {}", job.all_wanted()),
            Some(Record::Update(update)) => format!("{key} is {}", update.status),
            Some(Record::Cron(it)) => {
                let last = it.firings.last().map(|it| format!(", last {}", it.words()));
                format!("{key} has come to run {}{}", it.number, last.unwrap_or_default())
            }
            Some(
                Record::Config(_)
                | Record::Quota(_)
                | Record::UpdateEvents(_)
                | Record::Notice(_)
                | Record::Audit(_)
                | Record::Template(_)
                | Record::Term(_)
                | Record::Tokens(_)
                | Record::Removal(_)
                | Record::User(_)
                | Record::Pass(_),
            ) => {
                format!("{key} is written")
            }
            None => format!("{key} is no more"),
        });
    }
}
