//! The shell around a state machine, as the scheduler's own: step, commit, and only then act. While
//! a step is on its way to the disk, nothing else is heard.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{Mail, Out, Receipt, Settled};
use crate::{
    machine::{Machine, Timestamp},
    view::View,
};

/// What a machine's effects mean to others.
pub(super) trait Role: Machine {
    type Key: Clone + Ord;

    fn unborn(key: Self::Key) -> Self;
    fn recall(view: &View, key: &Self::Key) -> Option<Self>;

    fn overheard(&self, view: &View) -> Option<Self::Event> {
        let _ = view;
        None
    }

    /// The event, with what others' records say about it now.
    fn informed(event: Self::Event, key: &Self::Key, view: &View) -> Self::Event {
        let _ = (key, view);
        event
    }

    /// Whether a deadline that passed while nobody was there leaves hosts time to be heard.
    fn is_patient() -> bool {
        true
    }

    /// `before` has asked already; there is none for one that has just woken up.
    fn act(&self, before: Option<&Self>, view: &View, out: &mut Out);

    fn mail(key: Self::Key, word: Word<Self::Event>) -> Mail;
}

/// What an entity is told.
#[derive(Clone, Debug)]
pub(in crate::simulation) enum Word<E> {
    Wake,
    Happened(E, Option<Receipt>),
    /// Its last step is on disk.
    Written,
    Alarm(u64),
}

/// All entities of one kind.
pub(super) struct Kind<M: Role> {
    entities: BTreeMap<M::Key, Entity<M>>,
}

struct Entity<M: Role> {
    state: M,
    writing: Option<(M, Option<Receipt>)>,
    mailbox: VecDeque<Word<M::Event>>,
    /// Which alarm counts; others are out of date.
    alarm: u64,
    is_doomed: bool,
}

#[derive(PartialEq)]
enum Turn {
    Over,
    Panicked,
}

/// Deadlines that passed while nobody was there leave hosts so long to be heard again.
const HEARING: Duration = Duration::from_secs(30);

impl<M: Role> Kind<M> {
    pub(super) fn new() -> Self {
        Self { entities: BTreeMap::new() }
    }

    pub(super) fn has(&self, key: &M::Key) -> bool {
        self.entities.contains_key(key)
    }

    pub(super) fn tell(&mut self, key: &M::Key, word: Word<M::Event>, view: &View, out: &mut Out) {
        if !self.has(key) {
            self.begin(key, view, out);
        }
        let entity = self.entities.get_mut(key).expect("it has just been made");
        if matches!(word, Word::Written) {
            entity.written(key, view, out);
        } else {
            entity.mailbox.push_back(word);
        }
        if entity.read_mail(key, view, out) == Turn::Panicked {
            entity.lose_mail(out);
            self.entities.remove(key);
            self.begin(key, view, out);
            self.entities.get_mut(key).expect("it has just been made").read_mail(key, view, out);
        }
    }

    /// It panics at the next that happens to it, and another takes its place; what it had not read
    /// is lost.
    pub(super) fn doom(&mut self, key: &M::Key) {
        if let Some(entity) = self.entities.get_mut(key) {
            entity.is_doomed = true;
        }
    }

    fn begin(&mut self, key: &M::Key, view: &View, out: &mut Out) {
        let state = M::recall(view, key).unwrap_or_else(|| M::unborn(key.clone()));
        let overheard = state.overheard(view).map(|it| Word::Happened(it, None));
        let mailbox = overheard.into_iter().collect();
        let (writing, alarm, is_doomed) = (None, out.serial(), false);
        let mut entity = Entity { state, writing, mailbox, alarm, is_doomed };
        entity.state.act(None, view, out);
        let earliest = if M::is_patient() { out.now() + HEARING } else { out.now() };
        entity.set_alarm(key, earliest, out);
        self.entities.insert(key.clone(), entity);
    }
}

impl<M: Role> Entity<M> {
    fn read_mail(&mut self, key: &M::Key, view: &View, out: &mut Out) -> Turn {
        let informed = |event| M::informed(event, key, view);
        while self.writing.is_none()
            && let Some(word) = self.mailbox.pop_front()
        {
            match word {
                Word::Happened(_, receipt) if self.is_doomed => {
                    if let Some(receipt) = receipt {
                        out.settle(receipt, Settled::Lost);
                    }
                    return Turn::Panicked;
                }
                Word::Wake | Word::Written => {}
                Word::Happened(event, receipt) => self.hear(key, &informed(event), receipt, out),
                Word::Alarm(serial) if serial == self.alarm => match self.state.deadline() {
                    Some((at, event)) if at <= out.now() => {
                        self.hear(key, &informed(event), None, out);
                    }
                    Some(_) => self.set_alarm(key, out.now(), out),
                    None => {}
                },
                Word::Alarm(_) => {}
            }
        }
        Turn::Over
    }

    fn lose_mail(&mut self, out: &mut Out) {
        for word in std::mem::take(&mut self.mailbox) {
            if let Word::Happened(_, Some(receipt)) = word {
                out.settle(receipt, Settled::Lost);
            }
        }
    }

    fn hear(&mut self, key: &M::Key, event: &M::Event, receipt: Option<Receipt>, out: &mut Out) {
        match self.state.step(out.now(), event) {
            Ok(next) => {
                out.commit(next.changes(Some(&self.state)), M::mail(key.clone(), Word::Written));
                self.writing = Some((next, receipt));
            }
            Err(rejected) => {
                if let Some(receipt) = receipt {
                    out.settle(receipt, Settled::Rejected(rejected));
                }
            }
        }
    }

    fn written(&mut self, key: &M::Key, view: &View, out: &mut Out) {
        let Some((next, receipt)) = self.writing.take() else { return };
        let before = std::mem::replace(&mut self.state, next);
        if let Some(receipt) = receipt {
            out.settle(receipt, Settled::Committed);
        }
        self.state.act(Some(&before), view, out);
        self.set_alarm(key, out.now(), out);
    }

    fn set_alarm(&mut self, key: &M::Key, earliest: Timestamp, out: &mut Out) {
        self.alarm = out.serial();
        if let Some((at, _)) = self.state.deadline() {
            out.later(at.max(earliest), M::mail(key.clone(), Word::Alarm(self.alarm)));
        }
    }
}
