//! Whoever leads does so in a term later than all before, and greets each host as it can.

use airglow_kit::now;
use airglow_model::{
    host::in_words_if_wrong,
    ids::HostId,
    machine::Timestamp,
    task::Status,
    wire::{Hello, PROTOCOLS, RunState},
};

use crate::{Cluster, fake::capacity, until};

#[tokio::test]
async fn each_life_of_a_scheduler_leads_in_a_later_term() {
    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(1));
    let latest = || host.desk.known().welcomes.last().map(|it| it.term);
    until(|| latest() == Some(1), || format!("{:?}", latest())).await;
    assert_eq!(cluster.scheduler.view().read(|it| it.term), 1);
    for term in 2..5 {
        cluster.restart();
        until(|| latest() == Some(term), || format!("{:?}", latest())).await;
        assert_eq!(cluster.scheduler.view().read(|it| it.term), term, "it is committed by then");
    }
    let welcome = host.desk.known().welcomes.last().cloned().unwrap();
    assert_eq!((welcome.cluster.as_str(), welcome.protocol), ("test", PROTOCOLS.newest));
    assert_eq!(welcome.schedulers, [cluster.mesh]);
}

/// As after its records were put back from a copy.
#[tokio::test]
async fn a_scheduler_whose_hosts_know_a_later_term_leads_in_one_that_is_later_still() {
    let cluster = Cluster::start();
    let first = cluster.host("h1", capacity(1));
    until(|| first.desk.known().welcomes.len() == 1, || "a welcome".into()).await;
    let ahead = cluster.host("h2", capacity(1));
    ahead.desk.greets_as(Hello { term: 40, ..Hello::of("h2", "0") });
    let latest = || ahead.desk.known().welcomes.last().map(|it| it.term);
    until(|| latest() == Some(41), || format!("{:?}", latest())).await;
    assert_eq!(cluster.scheduler.view().read(|it| it.term), 41);
    first.desk.hang_up();
    until(|| first.desk.known().welcomes.len() == 2, || "another".into()).await;
    assert_eq!(first.desk.known().welcomes[1].term, 41);

    ahead.desk.greets_as(Hello { term: u64::MAX, ..Hello::of("h2", "0") });
    until(|| !ahead.desk.known().told_off.is_empty(), || "a refusal".into()).await;
    let why = ahead.desk.known().told_off[0].clone();
    assert!(why.contains("it has obeyed a scheduler of term 18446744073709551615"), "{why}");
    assert_eq!(cluster.scheduler.view().read(|it| it.term), 41);
}

#[tokio::test]
async fn agents_of_the_next_and_the_last_version_are_welcome_and_others_are_told_why_not() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(1));
    let id = HostId::from("h1");
    let (last, next) = (PROTOCOLS.newest - 1, PROTOCOLS.newest + 1);
    for (oldest, newest, spoken) in [(None, last, last), (Some(last), next, PROTOCOLS.newest)] {
        host.desk.known().welcomes.clear();
        let hello = Hello::of("h1", "0.9.9");
        host.desk.greets_as(Hello { protocol: newest, oldest_protocol: oldest, ..hello });
        let spoken_now = || host.desk.known().welcomes.last().map(|it| it.protocol);
        until(|| spoken_now() == Some(spoken), || format!("{:?}", spoken_now())).await;
        let known =
            || cluster.scheduler.view().read(|it| it.hosts.get(&id).map(|it| it.host.protocol));
        until(|| known() == Some(newest), || format!("{:?}", known())).await;
    }
    let far = PROTOCOLS.newest + 7;
    let hello = Hello::of("h1", "9.0.0");
    host.desk.greets_as(Hello { protocol: far, oldest_protocol: Some(far), ..hello });
    until(|| !host.desk.known().told_off.is_empty(), || "a refusal".into()).await;
    let why = host.desk.known().told_off[0].clone();
    let expected =
        format!("the agent is Airglow 9.0.0 and speaks version {far}: upgrade the scheduler");
    assert!(why.ends_with(&expected), "{why}");
    until(
        || cluster.scheduler.view().read(|it| it.hosts[&id].host.contact.name()) == "away",
        || "it is let go".into(),
    )
    .await;
}

#[tokio::test]
async fn a_hosts_clock_is_shown_and_nothing_is_decided_by_it() {
    for hours in [-1000, 1000] {
        let cluster = Cluster::start();
        let host = cluster.host("h1", capacity(4));
        let id = HostId::from("h1");
        let is_known = || cluster.scheduler.view().read(|it| it.hosts.contains_key(&id));
        until(is_known, || "a host".into()).await;
        host.desk.known().skew_ms = hours * 3_600_000;
        host.desk.hang_up();
        cluster.create(2).await;
        cluster.until_all(Status::Running, 2).await;
        let skew = || cluster.scheduler.view().read(|it| it.hosts[&id].skew_ms);
        until(|| skew().and_then(in_words_if_wrong).is_some(), || format!("{:?}", skew())).await;
        let told = in_words_if_wrong(skew().unwrap()).unwrap();
        let which = if hours < 0 { "clock 1000 h behind" } else { "clock 1000 h ahead" };
        // Its last hour may not be full by the time that the word takes.
        assert!(told == which || told == which.replace("1000", "999"), "{told}");

        let ended = host.desk.known().tasks.keys().next().unwrap().clone();
        host.desk.report(&ended, RunState::Failed);
        until(|| cluster.job(|it| it.history == 1), || "it is followed by another".into()).await;
        let is_now = |at: Timestamp| at <= now() && now().since(at).as_secs() < 600;
        let history = cluster.scheduler.history(&crate::key(), None, 9).unwrap();
        let past = history.iter().flat_map(|(_, run)| run.events.iter().map(|it| it.at));
        assert!(
            past.clone().count() > 3 && past.clone().all(is_now),
            "{:?}",
            past.collect::<Vec<_>>()
        );
        let heard = cluster.scheduler.view().read(|it| it.hosts[&id].heard_at);
        assert!(is_now(heard), "{heard:?}");
    }
}
