use std::{
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use super::*;

type Heard = Arc<Mutex<Vec<String>>>;

struct Leaf {
    name: &'static str,
    heard: Heard,
    _lifeline: Lifeline<Incarnation>,
}

impl Actor for Leaf {
    type Context = Context<Self>;
}

impl Drop for Leaf {
    fn drop(&mut self) {
        self.heard.lock().unwrap().push(format!("{} ends", self.name));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Leaf {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("told to");
    }
}

/// The addresses of the leaves that live now.
type Leaves = Arc<Mutex<BTreeMap<&'static str, Addr<Leaf>>>>;

fn branch(name: &'static str, names: [&'static str; 2], heard: &Heard, leaves: &Leaves) -> Branch {
    let (heard, leaves) = (heard.clone(), leaves.clone());
    Branch::new(name, move |fate| {
        let (heard, leaves) = (heard.clone(), leaves.clone());
        async move {
            heard.lock().unwrap().push(format!("{name} starts"));
            for name in names {
                let leaf = Leaf { name, heard: heard.clone(), _lifeline: fate.lifeline() };
                leaves.lock().unwrap().insert(name, leaf.start());
            }
        }
    })
}

fn sorted(heard: &Heard, expected: usize) -> impl Future<Output = Vec<String>> {
    let heard = heard.clone();
    async move {
        for _ in 0..5000 {
            if heard.lock().unwrap().len() >= expected {
                break;
            }
            actix_rt::time::sleep(Duration::from_millis(1)).await;
        }
        std::mem::take(&mut *heard.lock().unwrap())
    }
}

#[actix_rt::test]
async fn a_branch_restarts_with_those_after_it_and_gives_up_in_the_end() {
    let (heard, leaves) = (Heard::default(), Leaves::default());
    let gave_up = Arc::new(Mutex::new(Vec::new()));
    let told = gave_up.clone();
    let intensity = Intensity { restarts: 2, period: Duration::from_secs(60) };
    let tree = Tree::new(
        intensity,
        vec![
            branch("one", ["a", "b"], &heard, &leaves),
            branch("two", ["c", "d"], &heard, &leaves),
        ],
        move |why| told.lock().unwrap().push(why),
    )
    .start();
    assert_eq!(sorted(&heard, 2).await, ["one starts", "two starts"]);

    let tell = |name| leaves.lock().unwrap()[name].do_send(Panic);
    tell("d");
    let mut said = sorted(&heard, 3).await;
    said[..2].sort();
    assert_eq!(said, ["c ends", "d ends", "two starts"], "one is not touched");

    tell("a");
    let mut said = sorted(&heard, 6).await;
    assert_eq!(said.remove(0), "a ends");
    said[..2].sort();
    assert_eq!(said, ["c ends", "d ends", "b ends", "one starts", "two starts"]);

    tell("b");
    let said = sorted(&heard, 4).await;
    assert_eq!((said.len(), said[0].as_str(), said[3].as_str()), (4, "b ends", "a ends"));
    while gave_up.lock().unwrap().is_empty() {
        actix_rt::time::sleep(Duration::from_millis(1)).await;
    }
    let why = gave_up.lock().unwrap().remove(0);
    assert!(why.starts_with("one keeps crashing: told to"), "{why}");
    assert!(
        !tree.connected() || {
            tree.send(Fell).await.ok();
            !tree.connected()
        }
    );
}

#[actix_rt::test]
async fn a_branch_that_cannot_start_is_a_branch_that_crashes() {
    let starts = Arc::new(AtomicUsize::new(0));
    let (told, tells) = tokio::sync::oneshot::channel();
    let count = starts.clone();
    let branch = Branch::new("bad", move |_| {
        let count = count.clone();
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            panic!("bad start");
        }
    });
    let intensity = Intensity { restarts: 3, period: Duration::from_secs(60) };
    let _tree = Tree::new(intensity, vec![branch], |why| told.send(why).unwrap()).start();
    assert_eq!(tells.await.unwrap(), "bad keeps crashing: it cannot start");
    assert_eq!(starts.load(Ordering::Relaxed), 4);
}

#[actix_rt::test]
async fn what_is_felled_ends_from_the_last_to_the_first() {
    let (heard, leaves) = (Heard::default(), Leaves::default());
    let intensity = Intensity { restarts: 2, period: Duration::from_secs(60) };
    let branches = vec![
        branch("one", ["a", "b"], &heard, &leaves),
        branch("two", ["c", "d"], &heard, &leaves),
    ];
    let tree = Tree::new(intensity, branches, |why| panic!("gave up: {why}")).start();
    assert_eq!(sorted(&heard, 2).await, ["one starts", "two starts"]);
    tree.send(Fell).await.unwrap();
    let mut said = sorted(&heard, 4).await;
    said[..2].sort();
    said[2..].sort();
    assert_eq!(said, ["c ends", "d ends", "a ends", "b ends"]);
}
