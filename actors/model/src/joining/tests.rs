use super::*;
use crate::{
    host::Host,
    record::{Change, Committed, Record, RecordKey},
};

const NOW: Timestamp = Timestamp(10_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn view(records: Vec<(RecordKey, Record)>) -> View {
    let mut view = View::default();
    let change = |(key, record)| Change { key, record: Some(record) };
    view.apply(&Committed { seq: 1, changes: records.into_iter().map(change).collect() });
    view
}

fn tokens(tokens: Tokens) -> (RecordKey, Record) {
    (RecordKey::Tokens, Record::Tokens(tokens))
}

fn host(name: &str, machine: Option<&str>) -> (RecordKey, Record) {
    let host = Host { machine: machine.map(MachineId::from), ..Host::unknown(name.into()) };
    (RecordKey::Host(name.into()), Record::Host(host))
}

fn removed(machine: MachineId, host: &str) -> (RecordKey, Record) {
    let removal = Removal { host: host.into(), at: NOW };
    (RecordKey::Removal(machine), Record::Removal(removal))
}

fn applies(view: &View, name: &str, machine: &str, shown: Shown) -> Result<Purpose, Refusal> {
    admit(view, NOW, &Applicant { name: name.into(), machine: machine.into(), shown })
}

#[test]
fn a_token_says_what_its_bearer_becomes_until_it_is_replaced_or_expires() {
    let first = Tokens::first(NOW, None);
    let there = view(vec![tokens(first.clone())]);
    for purpose in Purpose::ALL {
        assert_eq!(applies(&there, "h1", "m1", Shown::Current(purpose)), Ok(purpose));
    }
    let refused = |shown| applies(&there, "h1", "m1", shown).unwrap_err();
    assert_eq!(refused(Shown::Unknown), Refusal::WrongToken);
    assert_eq!(refused(Shown::Replaced), Refusal::ReplacedToken);

    let then = Timestamp(NOW.0 - 3_600_000);
    for (since, expected) in [(then, Err(Refusal::ExpiredToken)), (NOW, Ok(Purpose::Agent))] {
        let brief = first.rotated(Purpose::Agent, since, Some(HOUR));
        assert_eq!((brief.agents.number, brief.schedulers.number), (2, 1));
        let there = view(vec![tokens(brief)]);
        let agent = applies(&there, "h1", "m1", Shown::Current(Purpose::Agent));
        assert_eq!(agent, expected, "{since:?}");
        let scheduler = applies(&there, "h1", "m1", Shown::Current(Purpose::Scheduler));
        assert_eq!(scheduler, Ok(Purpose::Scheduler));
    }
}

#[test]
fn an_older_secret_is_as_good_as_the_first_generation_and_goes_with_it() {
    let tokens = Tokens::first(NOW, Some("ab".into()));
    assert_eq!(tokens.rotated(Purpose::Scheduler, NOW, None).agents, tokens.agents);
    assert_eq!(tokens.rotated(Purpose::Agent, NOW, None).agents.former, None);
}

#[test]
fn nobody_joins_before_it_is_known_who_may() {
    let nothing = view(vec![]);
    let refused = applies(&nothing, "h1", "m1", Shown::Current(Purpose::Agent));
    assert_eq!(refused, Err(Refusal::NotYet));
}

#[test]
fn a_name_is_one_machines() {
    let there = view(vec![
        tokens(Tokens::first(NOW, None)),
        host("taken", Some("m1")),
        host("older", None),
        host("unnamed", Some(&MachineId::unnamed(&"unnamed".into()).0)),
    ]);
    let joins = |name, machine| applies(&there, name, machine, Shown::Current(Purpose::Agent));
    let taken = || Err(Refusal::NameTaken("taken".into()));
    assert_eq!(joins("taken", "m2"), taken());
    for (name, machine) in
        [("taken", "m1"), ("older", "m2"), ("unnamed", "m2"), ("free", "m2"), ("free", "m1")]
    {
        assert_eq!(joins(name, machine), Ok(Purpose::Agent), "{name} {machine}");
    }
    for (name, machine) in [("../x", "m2"), ("free", "../x"), ("", "m2")] {
        assert_eq!(joins(name, machine), Err(Refusal::BadName), "{name} {machine}");
    }
    // A certificate without a machine is no way around that.
    assert_eq!(may_be(&there, &"taken".into(), None), taken().map(|_: Purpose| ()));
    assert_eq!(may_be(&there, &"older".into(), None), Ok(()));
}

#[test]
fn whoever_was_removed_stays_away_whatever_it_calls_itself() {
    let there = view(vec![
        tokens(Tokens::first(NOW, None)),
        removed("m1".into(), "h1"),
        removed(MachineId::unnamed(&"h2".into()), "h2"),
    ]);
    let refusal = applies(&there, "h9", "m1", Shown::Current(Purpose::Agent)).unwrap_err();
    assert_eq!(refusal, Refusal::Removed { host: "h1".into(), machine: "m1".into() });
    assert!(refusal.to_string().contains("airglow host readmit m1"), "{refusal}");
    assert!(may_be(&there, &"h2".into(), None).is_err());
    // Another machine may take the name.
    assert_eq!(may_be(&there, &"h1".into(), Some(&"m2".into())), Ok(()));
    assert_eq!(may_be(&there, &"h2".into(), Some(&"m2".into())), Ok(()));
}
