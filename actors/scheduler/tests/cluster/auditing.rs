//! What somebody wants is on disk before it is done, and what came of it afterwards.

use std::time::Duration;

use airglow_model::{
    audit::{Entry, Filter, Keep, Outcome, Target},
    policy::Policy,
    pruning,
};
use airglow_scheduler::{Refusal, now};

use crate::{Cluster, key, until};

fn wanted(verb: &str, target: Target) -> Entry {
    Entry {
        at: now(),
        user: "ada".into(),
        peer: "127.0.0.1".into(),
        verb: verb.into(),
        target,
        details: String::new(),
        message: None,
        outcome: Outcome::UnderWay,
    }
}

fn told(cluster: &Cluster, filter: &Filter) -> Vec<(u64, Entry)> {
    cluster.scheduler.audit(filter, None, 100).unwrap()
}

#[tokio::test]
async fn a_deed_outlives_the_scheduler_with_its_outcome_if_that_is_known() {
    let mut cluster = Cluster::start();
    let job = Target::Job(key());
    let kill = cluster.scheduler.intend(vec![wanted("kill", job.clone())]).await.unwrap();
    let drain = wanted("drain", Target::Host("h1".into()));
    let drain = cluster.scheduler.intend(vec![drain]).await.unwrap();
    let both = vec![wanted("create", job), wanted("create", Target::Cluster)];
    let both = cluster.scheduler.intend(both).await.unwrap();
    cluster.scheduler.conclude(drain, None).await.unwrap();
    cluster.scheduler.conclude(both, Some("it is full")).await.unwrap();
    // Whoever wanted the kill is killed first.
    drop(kill);
    cluster.restart();
    let all = told(&cluster, &Filter::default());
    let outcome = |(number, it): &(u64, Entry)| match &it.outcome {
        Outcome::UnderWay if cluster.scheduler.is_forsaken(*number) => "unknown".to_owned(),
        Outcome::UnderWay => "under way".to_owned(),
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::Refused { why, .. } => why.clone(),
    };
    let outcomes: Vec<_> = all.iter().map(outcome).collect();
    assert_eq!(outcomes, ["it is full", "it is full", "done", "unknown"]);
    let of_job = told(&cluster, &Filter::of_job(&key()));
    assert_eq!(of_job.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 1]);
    let older = cluster.scheduler.audit(&Filter::of_job(&key()), Some(3), 9).unwrap();
    assert_eq!(older.len(), 1);

    let next = cluster.scheduler.intend(vec![wanted("kill", Target::Cluster)]).await.unwrap();
    cluster.scheduler.conclude(next, None).await.unwrap();
    assert_eq!(told(&cluster, &Filter::default())[0].0, 5, "no number is used twice");
    cluster.scheduler.stop();
    let late = cluster.scheduler.intend(vec![wanted("kill", Target::Cluster)]).await;
    assert!(matches!(late, Err(Refusal::NotNow(_))), "{late:?}");
}

#[tokio::test]
async fn the_oldest_deeds_are_forgotten() {
    let every = Duration::from_millis(10);
    let cluster = Cluster::with(Policy {
        audit: Keep { count: 3, ..Keep::default() },
        history: pruning::Keep { every, ..pruning::Keep::default() },
        ..Policy::default()
    });
    for _ in 0..5 {
        let intent = cluster.scheduler.intend(vec![wanted("kill", Target::Job(key()))]).await;
        cluster.scheduler.conclude(intent.unwrap(), None).await.unwrap();
    }
    let numbers =
        |filter: &Filter| told(&cluster, filter).iter().map(|it| it.0).collect::<Vec<_>>();
    let all = Filter::default();
    until(|| numbers(&all).len() <= 3, || format!("{:?}", numbers(&all))).await;
    assert_eq!(numbers(&all), [5, 4, 3]);
    assert_eq!(numbers(&Filter::of_job(&key())), [5, 4, 3]);
}
