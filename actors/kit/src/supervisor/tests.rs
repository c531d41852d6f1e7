use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::WeakRecipient;

use super::*;

type Heard = Arc<Mutex<Vec<String>>>;

/// Says what it is told, and how many things its incarnation has been told.
struct Child {
    key: u32,
    told: usize,
    heard: Heard,
    parent: WeakRecipient<Leave<u32>>,
    _lifeline: Lifeline<u32>,
}

impl Actor for Child {
    type Context = Context<Self>;
}

#[derive(Clone, Message)]
#[rtype(result = "()")]
enum Word {
    Say(&'static str),
    Panic,
    Stop,
    /// Asks to leave, as if it had heard so much less than it has.
    Leave(u32),
}

impl Handler<Word> for Child {
    type Result = ();

    fn handle(&mut self, word: Word, ctx: &mut Self::Context) {
        self.told += 1;
        match word {
            Word::Say(what) => {
                let line = format!("{}: {what} ({})", self.key, self.told);
                self.heard.lock().unwrap().push(line);
            }
            Word::Panic => panic!("child {} was told to", self.key),
            Word::Stop => ctx.stop(),
            Word::Leave(less) => {
                let heard = u32::try_from(self.told).unwrap() - less;
                self.parent.upgrade().unwrap().do_send(Leave { key: self.key, heard });
            }
        }
    }
}

struct Parent(Heard);

impl Actor for Parent {
    type Context = Context<Self>;
}

impl Handler<GaveUp<u32>> for Parent {
    type Result = ();

    fn handle(&mut self, GaveUp { on, last_words }: GaveUp<u32>, _: &mut Self::Context) {
        let words = last_words.split(" (").next().unwrap_or_default();
        self.0.lock().unwrap().push(format!("gave up on {on}: {words}"));
    }
}

fn family() -> (Addr<Supervisor<Child, u32>>, Heard) {
    let heard = Heard::default();
    let gave_up = Parent(heard.clone()).start().recipient();
    let intensity = Intensity { restarts: 2, period: Duration::from_secs(60) };
    let ears = heard.clone();
    let ctx = Context::new();
    let parent = ctx.address().recipient().downgrade();
    let supervisor = Supervisor::new(intensity, gave_up, move |lifeline, &key| {
        let (heard, parent) = (ears.clone(), parent.clone());
        Child { key, told: 0, heard, parent, _lifeline: lifeline }.start()
    });
    (ctx.run(supervisor), heard)
}

/// Waits until exactly `expected` has been said, and forgets it.
async fn hears(heard: &Heard, expected: &[&str]) {
    for _ in 0..5000 {
        if expected.len() <= heard.lock().unwrap().len() {
            break;
        }
        actix_rt::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(std::mem::take(&mut *heard.lock().unwrap()), expected);
}

/// Waits until the child of this key answers, as its newest incarnation.
async fn recovers(supervisor: &Addr<Supervisor<Child, u32>>, key: u32, heard: &Heard) {
    for _ in 0..5000 {
        supervisor.do_send(To(key, Word::Say("back")));
        actix_rt::time::sleep(Duration::from_millis(1)).await;
        if heard.lock().unwrap().iter().any(|it| it.contains("back")) {
            // All that was sent meanwhile has arrived when this has.
            supervisor.do_send(To(u32::MAX, Word::Say("over")));
            while !heard.lock().unwrap().iter().any(|it| it.contains("over")) {
                actix_rt::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(heard.lock().unwrap()[0], format!("{key}: back (1)"));
            heard.lock().unwrap().clear();
            return;
        }
    }
    panic!("{key} did not come back");
}

#[actix_rt::test]
async fn a_panic_ends_one_child_and_its_successor_remembers_nothing() {
    let (supervisor, heard) = family();
    supervisor.do_send(To(1, Word::Say("a")));
    supervisor.do_send(To(2, Word::Say("b")));
    supervisor.do_send(To(1, Word::Say("c")));
    hears(&heard, &["1: a (1)", "1: c (2)", "2: b (1)"]).await;

    supervisor.do_send(To(1, Word::Panic));
    recovers(&supervisor, 1, &heard).await;
    supervisor.do_send(To(2, Word::Say("d")));
    hears(&heard, &["2: d (2)"]).await;
}

#[actix_rt::test]
async fn a_child_that_leaves_misses_nothing() {
    let (supervisor, heard) = family();
    for word in [Word::Say("a"), Word::Leave(1), Word::Say("b"), Word::Leave(0), Word::Say("c")] {
        supervisor.do_send(To(1, word));
    }
    // Either time there is more that it has not heard, or should have.
    hears(&heard, &["1: a (1)", "1: b (3)", "1: c (5)"]).await;
    for _ in 0..5000 {
        supervisor.do_send(To(1, Word::Leave(0)));
        actix_rt::time::sleep(Duration::from_millis(1)).await;
        supervisor.do_send(To(1, Word::Say("d")));
        actix_rt::time::sleep(Duration::from_millis(1)).await;
        if heard.lock().unwrap().iter().any(|it| it == "1: d (1)") {
            return;
        }
    }
    panic!("it did not leave");
}

#[actix_rt::test]
async fn a_child_that_keeps_crashing_is_left_alone_and_the_others_are_not() {
    let (supervisor, heard) = family();
    for _ in 0..2 {
        supervisor.do_send(To(1, Word::Panic));
        recovers(&supervisor, 1, &heard).await;
    }
    supervisor.do_send(To(1, Word::Panic));
    hears(&heard, &["gave up on 1: child 1 was told to"]).await;

    supervisor.do_send(To(1, Word::Say("anybody there?")));
    supervisor.do_send(To(1, Word::Panic));
    supervisor.do_send(To(2, Word::Say("here")));
    hears(&heard, &["2: here (1)"]).await;
    assert!(supervisor.connected());
}

#[actix_rt::test]
async fn a_child_that_ends_by_itself_is_started_by_the_next_word() {
    let (supervisor, heard) = family();
    for _ in 0..5 {
        supervisor.do_send(To(1, Word::Stop));
        recovers(&supervisor, 1, &heard).await;
    }
}

#[actix_rt::test]
async fn a_word_to_each_reaches_the_living_and_those_it_wakes_before_anything_later() {
    let (supervisor, heard) = family();
    supervisor.do_send(To(7, Word::Say("I live")));
    supervisor.do_send(ToEach {
        keys: Box::new(0..2000),
        message: Word::Say("all"),
        wakes: Box::new(|it| it % 1000 == 999),
    });
    supervisor.do_send(To(1999, Word::Say("later")));
    hears(
        &heard,
        &["7: I live (1)", "7: all (2)", "999: all (1)", "1999: all (1)", "1999: later (2)"],
    )
    .await;
}
