//! What was committed, in order, to whoever listens.
//!
//! Listeners may be slow, and browsers may be away for a moment, so the newest news are kept for
//! them to catch up with. Whoever missed more than that looks at the whole view again; nobody ever
//! makes the scribe wait.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use airglow_model::{record::Change, view::Note};
use tokio::sync::broadcast;

/// Clones are the same feed.
#[derive(Clone, Debug)]
pub struct Feed {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Of the transaction; a note has that of the newest transaction before it.
    pub seq: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Committed(Vec<Change>),
    Note(Note),
}

/// Whoever does not keep up is told how much it has missed, and should [`Feed::resume`].
pub type Listener = broadcast::Receiver<Arc<News>>;

#[derive(Debug)]
struct Ring {
    /// Of the newest transaction.
    newest: u64,
    /// Whoever has seen everything up to this transaction has missed nothing that is not in here.
    complete_after: u64,
    news: VecDeque<Arc<News>>,
    listeners: broadcast::Sender<Arc<News>>,
}

/// How much can be caught up with.
const KEPT: usize = 8192;

impl Feed {
    /// For a store whose newest transaction is `seq`.
    pub fn new(seq: u64) -> Self {
        Self { ring: Arc::new(Mutex::new(Ring::after(seq))) }
    }

    /// Begins anew after transaction `seq`, since nobody knows what led there. Whoever listens
    /// hears that it is over, and looks at the whole view again.
    pub(crate) fn begin_after(&self, seq: u64) {
        *self.ring() = Ring::after(seq);
    }

    /// Everything after the newest transaction so far, and which that is.
    pub fn subscribe(&self) -> (u64, Listener) {
        let ring = self.ring();
        (ring.newest, ring.listeners.subscribe())
    }

    /// What has happened after transaction `seq`. Notes that may have been seen already are among
    /// it: they say how things are, so hearing them twice does no harm. `None`: that was too long
    /// ago, or not in this store; look at the whole view.
    pub fn since(&self, seq: u64) -> Option<Vec<Arc<News>>> {
        self.ring().since(seq)
    }

    /// [`Feed::since`], and then everything that is still to come, without a gap between them.
    pub fn resume(&self, seq: u64) -> Option<(Vec<Arc<News>>, Listener)> {
        let ring = self.ring();
        Some((ring.since(seq)?, ring.listeners.subscribe()))
    }

    pub(crate) fn publish(&self, news: News) {
        let news = Arc::new(news);
        let mut ring = self.ring();
        ring.push(Arc::clone(&news));
        // It is an error if nobody listens, and that is fine.
        ring.listeners.send(news).ok();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("nothing panics while it holds the ring")
    }
}

impl Ring {
    fn after(seq: u64) -> Self {
        let listeners = broadcast::Sender::new(KEPT);
        Self { newest: seq, complete_after: seq, news: VecDeque::new(), listeners }
    }

    fn push(&mut self, news: Arc<News>) {
        if self.news.len() == KEPT
            && let Some(forgotten) = self.news.pop_front()
        {
            self.complete_after = match forgotten.what {
                What::Committed(_) => forgotten.seq,
                // Its number is that of the transaction before it: who has seen that one may not
                // have seen the note.
                What::Note(_) => forgotten.seq + 1,
            };
        }
        self.newest = news.seq;
        self.news.push_back(news);
    }

    fn since(&self, seq: u64) -> Option<Vec<Arc<News>>> {
        if seq < self.complete_after || self.newest < seq {
            return None;
        }
        let is_new = |news: &&Arc<News>| match news.what {
            What::Committed(_) => seq < news.seq,
            What::Note(_) => seq <= news.seq,
        };
        // Newest first, so that somebody who has missed little is answered quickly.
        let mut missed: Vec<_> = self.news.iter().rev().take_while(is_new).cloned().collect();
        missed.reverse();
        Some(missed)
    }
}

#[cfg(test)]
mod tests {
    use airglow_model::machine::Timestamp;

    use super::*;

    fn commit(seq: u64) -> News {
        News { seq, what: What::Committed(Vec::new()) }
    }

    fn note(seq: u64) -> News {
        News {
            seq,
            what: What::Note(Note::Heard { host: "h".into(), at: Timestamp(0), skew_ms: None }),
        }
    }

    /// `3 3n 4`: transactions, and notes after them.
    fn seen(news: Option<Vec<Arc<News>>>) -> Option<String> {
        let one = |it: &Arc<News>| match it.what {
            What::Committed(_) => it.seq.to_string(),
            What::Note(_) => format!("{}n", it.seq),
        };
        news.map(|news| news.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn whoever_was_away_for_a_moment_misses_nothing() {
        let feed = Feed::new(2);
        for news in [commit(3), note(3), commit(4), note(4)] {
            feed.publish(news);
        }
        let since = |seq| seen(feed.since(seq));
        assert_eq!(since(1), None, "before this feed began");
        assert_eq!(since(2).as_deref(), Some("3 3n 4 4n"));
        assert_eq!(since(3).as_deref(), Some("3n 4 4n"));
        assert_eq!(since(4).as_deref(), Some("4n"));
        assert_eq!(since(5), None, "of another store");
    }

    #[test]
    fn whoever_was_away_for_long_is_told_so() {
        let feed = Feed::new(0);
        feed.publish(commit(1));
        feed.publish(note(1));
        let last = KEPT as u64;
        (2..last).for_each(|seq| feed.publish(commit(seq)));
        assert_eq!(feed.since(0).map(|it| it.len()), Some(KEPT));
        feed.publish(commit(last));
        assert_eq!(feed.since(0), None);
        assert_eq!(feed.since(1).map(|it| it.len()), Some(KEPT));
        feed.publish(commit(last + 1));
        assert_eq!(feed.since(1), None, "the note after 1 is forgotten");
        assert_eq!(feed.since(2).map(|it| it.len()), Some(KEPT - 1));
    }

    #[test]
    fn resuming_leaves_no_gap() {
        let feed = Feed::new(0);
        feed.publish(commit(1));
        let (missed, mut listener) = feed.resume(0).unwrap();
        feed.publish(commit(2));
        assert_eq!(seen(Some(missed)).as_deref(), Some("1"));
        assert_eq!(*listener.try_recv().unwrap(), commit(2));
    }
}
