//! What a store is for, tried with real processes, real files and real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    env,
    error::Error as _,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use airglow_model::{
    host::Host,
    ids::{Attempt, ConfigId, HostId, JobKey, TaskId, TaskKey},
    job::Job,
    machine::Timestamp,
    record::{Change, Record, RecordKey},
    task::{Placement, Run, State, Status, TaskEvent},
};
use airglow_store::{FILE, Feed, Kept, OpenError, ReadModel, Scribe, Store, StoreError};
use tokio::{runtime, sync::oneshot};

/// A store at work, in this process.
struct Open {
    store: Store,
    scribe: Scribe,
    failed: oneshot::Receiver<StoreError>,
}

impl Open {
    fn at(path: &Path) -> Self {
        let store = Store::open(path).unwrap();
        let view = ReadModel::load(&store).unwrap();
        let feed = Feed::new(store.seq().unwrap());
        let (on_failure, failed) = oneshot::channel();
        let scribe = Scribe::start(store.clone(), view, feed, vec![], on_failure);
        Self { store, scribe, failed }
    }

    fn commit(&self, changes: Vec<Change>) -> Option<u64> {
        block_on(self.scribe.commit(changes)).ok()
    }

    /// Until the file is free again.
    fn close(self) {
        let Self { store, scribe, failed } = self;
        drop((store, scribe));
        block_on(failed).unwrap_err();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn host(name: &str, version: &str) -> Change {
    let id = HostId::from(name);
    let host = Host { version: version.to_owned(), ..Host::unknown(id.clone()) };
    Change { key: RecordKey::Host(id), record: Some(Record::Host(host)) }
}

/// The `version` of each host, which is all that these tests write into one.
fn hosts(store: &Store) -> Vec<(String, String)> {
    let record = |(_, record)| {
        let Record::Host(host) = record else { return None };
        Some((host.id.to_string(), host.version))
    };
    store.records().unwrap().into_iter().filter_map(record).collect()
}

fn fingerprint(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// This very test, run again as another process, with `role` in its environment.
fn another_process(test: &str, role: &str, path: &Path, limit: Option<u32>) -> Child {
    let binary = env::current_exe().unwrap();
    let run = format!("exec '{}' --exact {test} --nocapture --test-threads 1", binary.display());
    let limit = limit.map_or_else(String::new, |blocks| {
        // So that writing fails instead of killing the process.
        format!("trap '' XFSZ; ulimit -f {blocks}; ")
    });
    Command::new("sh")
        .args(["-c", &format!("{limit}{run}")])
        .env(ROLE, role)
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

const ROLE: &str = "AIRGLOW_TEST_ROLE";
const PATH: &str = "AIRGLOW_TEST_PATH";

fn role() -> Option<(String, PathBuf)> {
    Some((env::var(ROLE).ok()?, env::var_os(PATH)?.into()))
}

/// Says `acked N` for each commit that it has been told is safe.
#[expect(clippy::print_stdout, reason = "the other process listens")]
fn write_for_ever(path: &Path) {
    let open = Open::at(path);
    let first = open.store.seq().unwrap();
    for i in first.. {
        // Several records at a time, all of the same version: none or all of them must survive.
        let batch = ["a", "b", "c"].map(|name| host(name, &i.to_string()));
        let padding = host(&format!("padding-{i}"), &"x".repeat(1000));
        let Some(seq) = open.commit(batch.into_iter().chain([padding]).collect()) else { break };
        assert_eq!(seq, i + 1);
        println!("acked {i}");
    }
    let why = block_on(open.failed).unwrap();
    println!("failed {why}");
}

fn acked(line: &str) -> Option<u64> {
    line.rsplit_once("acked ")?.1.parse().ok()
}

/// What `a`, `b` and `c` agree on.
fn survived(path: &Path) -> Option<u64> {
    let store = Store::open(path).unwrap();
    let of_interest: Vec<_> =
        hosts(&store).into_iter().filter(|(name, _)| !name.starts_with("padding")).collect();
    let versions: Vec<u64> =
        of_interest.iter().map(|(_, version)| version.parse().unwrap()).collect();
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "half a commit: {of_interest:?}");
    assert_eq!(store.seq().unwrap(), versions.first().map_or(0, |version| version + 1));
    versions.first().copied()
}

#[test]
fn a_killed_scheduler_has_lost_nothing_that_it_acknowledged() {
    let test = "a_killed_scheduler_has_lost_nothing_that_it_acknowledged";
    if let Some((_, path)) = role() {
        return write_for_ever(&path);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for kill_after in [0, 1, 3, 10, 31, 100, 170] {
        let mut child = another_process(test, "write", &path, None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = lines.map_while(Result::ok).filter_map(|line| acked(&line));
        let mut last = heard.by_ref().take(kill_after).last();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it managed to say before the signal reached it counts, too.
        last = heard.last().or(last);
        assert!(last <= survived(&path), "{last:?} was acknowledged");
    }
}

#[test]
fn a_full_disk_is_said_once_and_costs_nothing_that_was_acknowledged() {
    let test = "a_full_disk_is_said_once_and_costs_nothing_that_was_acknowledged";
    if let Some((_, path)) = role() {
        return write_for_ever(&path);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    Store::open(&path).unwrap();
    let blocks = u32::try_from(path.metadata().unwrap().len() / 512).unwrap();
    let child = another_process(test, "write", &path, Some(blocks + 2000));
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let failures: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("failed ")).collect();
    assert_eq!(failures.len(), 1, "{output}");
    assert!(failures[0].contains("no more room"), "{output}");
    let last = output.lines().rev().find_map(acked);
    assert!(last.is_some(), "{output}");
    assert!(last <= survived(&path), "{last:?} was acknowledged");

    // With room again it goes on.
    let open = Open::at(&path);
    assert_eq!(open.commit(vec![host("d", "1")]), open.store.seq().ok());
    assert!(hosts(&open.store).contains(&("d".to_owned(), "1".to_owned())));
}

#[test]
fn a_store_that_is_in_use_is_left_alone() {
    let test = "a_store_that_is_in_use_is_left_alone";
    if let Some((_, path)) = role() {
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let open = Open::at(&path);
    open.commit(vec![host("a", "1")]).unwrap();
    let before = fingerprint(&path);
    assert!(another_process(test, "open", &path, None).wait().unwrap().success());
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().ends_with("stop that one, or choose another data folder"), "{error}");
    assert_eq!(fingerprint(&path), before);

    open.close();
    assert_eq!(hosts(&Store::open(&path).unwrap()).len(), 1);
}

/// A store with something in every part of it.
fn filled(path: &Path) {
    let open = Open::at(path);
    for i in 0..200 {
        open.commit(vec![
            host(&format!("host-{i}"), &"v".repeat(i)),
            history(&JobKey::new("www", "prod", "hello").task(3), u32::try_from(i).unwrap()),
        ])
        .unwrap();
    }
    open.close();
}

fn history(task: &TaskKey, attempt: u32) -> Change {
    let at = Timestamp(1_000 + u64::from(attempt));
    let id = task.task_id(Timestamp(255), Attempt(attempt));
    let run = Run {
        id: id.clone(),
        attempt: Attempt(attempt),
        config: ConfigId(1),
        ancestor: None,
        failures: 0,
        penalty_ms: 0,
        times_partitioned: 0,
        state: State::Finished { at: Placement { host: "h".into(), ports: Default::default() } },
        events: vec![TaskEvent { at, status: Status::Finished, message: String::new() }],
        exits: 0,
        exit: None,
    };
    Change { key: RecordKey::History(task.clone(), id), record: Some(Record::History(run)) }
}

type Contents = (Vec<(RecordKey, Record)>, Vec<(TaskKey, Run)>);

fn contents(store: &Store) -> Result<Contents, StoreError> {
    let job = JobKey::new("www", "prod", "hello");
    Ok((store.records()?, store.history(&job, None, usize::MAX)?))
}

/// Flips bits all over the file, one at a time. A store that opens nevertheless must hold what was
/// written: the bit was in nobody's page, or the damage was made good.
#[test]
fn no_damage_goes_unnoticed_and_none_is_made_worse() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    filled(&path);
    let sound = fingerprint(&path);
    let expected = contents(&Store::open(&path).unwrap()).unwrap();
    let copy = folder.path().join("copy");
    let mut refused = 0;
    // The header, which has no room for chance, and some of everything else.
    let offsets = (0..320).step_by(3).chain((320..sound.len()).step_by(9001));
    for offset in offsets {
        let mut damaged = sound.clone();
        damaged[offset] ^= 1 << (offset % 8);
        fs::write(&copy, &damaged).unwrap();
        match Store::open(&copy) {
            Err(error) => {
                assert!(
                    matches!(error, OpenError::Damaged { .. } | OpenError::Foreign { .. }),
                    "{error}"
                );
                assert!(fingerprint(&copy) == damaged, "byte {offset}: it was touched");
                refused += 1;
            }
            Ok(store) => {
                let found = contents(&store).unwrap();
                assert!(found == expected, "byte {offset}: something else was read");
            }
        }
    }
    assert!(20 < refused, "only {refused} were noticed");
}

#[test]
fn a_file_that_was_cut_short_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    filled(&path);
    let sound = fingerprint(&path);
    for length in [0, 5, 100, 4096, sound.len() / 2, sound.len() - 1] {
        fs::write(&path, &sound[..length]).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(
            matches!(error, OpenError::Damaged { .. } | OpenError::Foreign { .. }),
            "{length}: {error}"
        );
        assert!(fingerprint(&path) == sound[..length], "{length}: it was touched");
    }
}

#[test]
fn whatever_else_is_there_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "Dear diary,\n".repeat(1000)).unwrap();
    let other = folder.path().join("other");
    let database = redb::Database::create(&other).unwrap();
    let tx = database.begin_write().unwrap();
    tx.open_table(redb::TableDefinition::<u64, u64>::new("meta")).unwrap();
    tx.commit().unwrap();
    drop(database);
    for path in [text, other] {
        let before = fingerprint(&path);
        let error = Store::open(&path).unwrap_err();
        assert!(error.to_string().contains("is not an Airglow database"), "{error}");
        assert!(fingerprint(&path) == before, "it was touched");
    }
    let nowhere = folder.path().join("no/such/folder").join(FILE);
    let error = Store::open(&nowhere).unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error}");
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error}");
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    filled(&path);
    let database = redb::Database::open(&path).unwrap();
    let tx = database.begin_write().unwrap();
    tx.open_table(redb::TableDefinition::<&str, u64>::new("meta"))
        .unwrap()
        .insert("schema", 99)
        .unwrap();
    tx.commit().unwrap();
    drop(database);
    let before = fingerprint(&path);
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("newer Airglow"), "{error}");
    assert!(fingerprint(&path) == before, "it was touched");
}

#[test]
fn half_a_beginning_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    fs::write(path.with_extension("new"), "redb?").unwrap();
    Store::open(&path).unwrap();
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [FILE]);
    let file = OpenOptions::new().read(true).open(&path).unwrap();
    let mut start = [0; 4];
    file.read_exact_at(&mut start, 0).unwrap();
    assert_eq!(&start, b"redb");
}

#[test]
fn what_was_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let open = Open::at(&path);
    let key = JobKey::new("www", "prod", "hello");
    let next = JobKey::new("www", "prod", "hello2");
    let job = Change {
        key: RecordKey::Job(key.clone()),
        record: Some(Record::Job(Job::unborn(key.clone()))),
    };
    let runs: Vec<_> = (0..10).map(|i| history(&key.task(i % 3), i)).collect();
    open.commit(vec![host("h", "1"), job]).unwrap();
    open.commit(runs).unwrap();
    open.commit(vec![history(&next.task(0), 99), host("h", "2"), host("gone", "1")]).unwrap();
    open.commit(vec![Change { key: RecordKey::Host("gone".into()), record: None }]).unwrap();
    open.close();

    let store = Store::open(&path).unwrap();
    assert_eq!(store.seq().unwrap(), 4);
    let keys: Vec<_> = store.records().unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [RecordKey::Job(key.clone()), RecordKey::Host("h".into())]);
    assert_eq!(hosts(&store), [("h".to_owned(), "2".to_owned())]);

    let attempts = |instance, limit| -> Vec<u32> {
        let runs = store.history(&key, instance, limit).unwrap();
        runs.into_iter().map(|(_, run)| run.attempt.0).collect()
    };
    assert_eq!(attempts(None, 3), [9, 8, 7]);
    assert_eq!(attempts(Some(1), 9), [7, 4, 1]);
    let id = key.task(2).task_id(Timestamp(255), Attempt(5));
    let (task, run) = store.run(&id).unwrap().unwrap();
    assert_eq!((task, run.attempt), (key.task(2), Attempt(5)));
    assert!(store.run(&TaskId("nobody".into())).unwrap().is_none());
    let view = ReadModel::load(&store).unwrap();
    assert_eq!(view.read(|view| (view.seq, view.jobs[&key].history)), (4, 10));
}

#[test]
fn ended_runs_can_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let open = Open::at(&folder.path().join(FILE));
    let task = JobKey::new("www", "prod", "hello").task(0);
    let run = history(&task, 1);
    let mut later = history(&task, 1);
    let Some(Record::History(content)) = &mut later.record else { unreachable!() };
    content.events[0].at = Timestamp(9_999);
    open.commit(vec![run.clone()]).unwrap();
    open.commit(vec![later]).unwrap();
    assert_eq!(open.store.history(&task.job, None, 9).unwrap().len(), 1);
    open.commit(vec![Change { record: None, ..run }]).unwrap();
    assert_eq!(open.store.history(&task.job, None, 9).unwrap(), []);
    assert_eq!(open.store.ended_runs().unwrap(), Default::default());
}

#[test]
fn the_oldest_are_found_without_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let open = Open::at(&folder.path().join(FILE));
    let key = JobKey::new("www", "prod", "hello");
    let next = JobKey::new("www", "prod", "hello-2");
    let mut runs: Vec<_> = (0..7).map(|i| history(&key.task(i % 3), i)).collect();
    runs.push(history(&next.task(0), 99));
    let Some(Record::History(last)) = &mut runs[6].record else { unreachable!() };
    last.config = ConfigId(2);
    open.commit(runs).unwrap();
    let at = |after: Option<&Kept>, limit| {
        let found = open.store.oldest(&key, after, limit).unwrap();
        (found.iter().map(|it| it.ended_at.0 - 1_000).collect::<Vec<_>>(), found)
    };
    let (first, found) = at(None, 3);
    assert_eq!(first, [0, 1, 2]);
    let one = Kept {
        ended_at: Timestamp(1_001),
        task: key.task(1),
        id: key.task(1).task_id(Timestamp(255), Attempt(1)),
    };
    assert_eq!(found[1], one);
    assert_eq!(at(found.last(), 9).0, [3, 4, 5, 6]);
    assert_eq!(at(at(None, 9).1.last(), 9).0, [0; 0]);
    let configs = open.store.configs_of_ended(&key).unwrap();
    assert_eq!(configs.into_iter().collect::<Vec<_>>(), [ConfigId(1), ConfigId(2)]);
}

/// Large enough for a copy of it to take a moment.
fn large(path: &Path) -> u64 {
    let open = Open::at(path);
    for i in 0..20 {
        open.commit(vec![host(&format!("padding-{i}"), &"x".repeat(1 << 20))]).unwrap();
    }
    open.close();
    path.metadata().unwrap().len()
}

/// Says `copied` for each copy, or why there is none.
#[expect(clippy::print_stdout, reason = "the other process listens")]
fn copy_for_ever(path: &Path) {
    let store = Store::open(path).unwrap();
    let copy = path.with_file_name("copy");
    loop {
        match store.copy_to(&copy) {
            Ok(_) => println!("copied"),
            Err(error) => {
                return println!("failed {error}: {}", error.source().unwrap());
            }
        }
    }
}

#[test]
fn a_copy_is_whole_or_not_there_whenever_its_maker_is_killed() {
    let test = "a_copy_is_whole_or_not_there_whenever_its_maker_is_killed";
    if let Some((_, path)) = role() {
        return copy_for_ever(&path);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    large(&path);
    let (copy, draft) = (folder.path().join("copy"), folder.path().join("copy.part"));
    let mut halves = 0;
    for copies in [0, 0, 1, 2] {
        for enough in [1, 4 << 20, 12 << 20] {
            let mut child = another_process(test, "copy", &path, None);
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut copied = lines.map_while(Result::ok).filter(|it| it.ends_with("copied"));
            // Whoever has nobody to tell it to would end.
            assert_eq!(copied.by_ref().take(copies).count(), copies);
            while draft.metadata().map_or(0, |it| it.len()) < enough {
                assert!(child.try_wait().unwrap().is_none(), "it goes on for ever");
                std::thread::yield_now();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            halves += u32::from(draft.exists());
            if copies > 0 || copy.exists() {
                assert_eq!(Store::check(&copy).unwrap().hosts, 20);
            }
        }
    }
    assert!(0 < halves, "nobody was killed halfway");
    Store::open(&path).unwrap().copy_to(&copy).unwrap();
    assert!(!draft.exists(), "what was left is made use of");
}

#[test]
fn a_full_disk_leaves_no_half_copy() {
    let test = "a_full_disk_leaves_no_half_copy";
    if let Some((_, path)) = role() {
        return copy_for_ever(&path);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let blocks = u32::try_from(large(&path) / 512 / 2).unwrap();
    let child = another_process(test, "copy", &path, Some(blocks));
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(output.contains("failed cannot write") && output.contains("copy.part"), "{output}");
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, [FILE], "{output}");
    assert_eq!(Store::check(&path).unwrap().hosts, 20);
}
