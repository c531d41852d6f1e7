//! What must not be lost, until it is acknowledged.
//!
//! Things are numbered as they come, sent in that order, sent again after every reconnect, and
//! dropped when the other side says up to which number it has them for good. Keeping them over a
//! crash is up to whoever owns the outbox.

use std::collections::VecDeque;

#[derive(Clone, Debug)]
pub struct Outbox<T> {
    /// The number of the newest thing there ever was.
    newest: u64,
    pending: VecDeque<T>,
}

impl<T> Outbox<T> {
    /// Empty, as if everything up to and including `seq` had been acknowledged. Numbers begin at 1,
    /// so a new one is `after(0)`.
    pub fn after(seq: u64) -> Self {
        Self { newest: seq, pending: VecDeque::new() }
    }

    /// Its number: one more than that of the one before.
    pub fn push(&mut self, item: T) -> u64 {
        self.pending.push_back(item);
        self.newest += 1;
        self.newest
    }

    /// Everything up to and including `seq` has arrived for good. Old news, and news of what was
    /// never sent, are ignored.
    pub fn ack(&mut self, seq: u64) {
        let arrived = seq.saturating_sub(self.acked());
        if let Ok(arrived) = usize::try_from(arrived)
            && arrived <= self.pending.len()
        {
            self.pending.drain(..arrived);
        }
    }

    /// What to send, again or for the first time, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.acked() + 1..).zip(&self.pending)
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn acked(&self) -> u64 {
        self.newest - self.pending.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(outbox: &Outbox<char>) -> String {
        outbox.pending().map(|(seq, item)| format!("{seq}{item}")).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_kept_in_order() {
        let mut outbox = Outbox::after(7);
        assert_eq!(['a', 'b', 'c'].map(|item| outbox.push(item)), [8, 9, 10]);
        assert_eq!(pending(&outbox), "8a9b10c");
        outbox.ack(9);
        assert_eq!(pending(&outbox), "10c");
        for late_or_wrong in [0, 8, 9, 11, u64::MAX] {
            outbox.ack(late_or_wrong);
            assert_eq!(pending(&outbox), "10c");
        }
        outbox.ack(10);
        assert!(outbox.is_empty());
        assert_eq!(outbox.push('d'), 11);
    }

    /// Every way in which a link can drop and repeat eight messages' worth of pushes,
    /// transmissions and acknowledgements.
    #[test]
    fn over_any_bad_line_everything_arrives_once_and_in_order() {
        const STEPS: u32 = 8;
        for line in 0..4u32.pow(STEPS) {
            let mut outbox = Outbox::after(0);
            let mut arrived = Vec::new();
            let receive = |outbox: &Outbox<u64>, arrived: &mut Vec<u64>, only: usize| {
                for (seq, &item) in outbox.pending().take(only) {
                    if arrived.len() as u64 + 1 == seq {
                        arrived.push(item);
                    }
                }
            };
            let mut pushed = 0;
            for step in 0..STEPS {
                match line / 4u32.pow(step) % 4 {
                    0 => {
                        pushed = outbox.push(pushed + 1);
                    }
                    1 => receive(&outbox, &mut arrived, 1),
                    2 => receive(&outbox, &mut arrived, usize::MAX),
                    _ => outbox.ack(arrived.len() as u64),
                }
            }
            receive(&outbox, &mut arrived, usize::MAX);
            assert_eq!(arrived, (1..=pushed).collect::<Vec<_>>(), "line {line:o}");
        }
    }
}
