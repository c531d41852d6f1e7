use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::cluster::{Cluster, Ran, eventually, jobs_of, spec};

fn is_up(cluster: &Cluster, host: &str) -> Option<()> {
    let hosts = cluster.get("/hosts");
    let up = |it: &Value| it["host"] == host && it["state"] == "up";
    hosts["items"].as_array()?.iter().any(up).then_some(())
}

fn names(cluster: &Cluster) -> Vec<String> {
    let hosts = cluster.get("/hosts");
    let hosts = hosts["items"].as_array().cloned().unwrap_or_default();
    hosts.iter().filter_map(|it| it["host"].as_str().map(str::to_owned)).collect()
}

/// An agent that is started by hand and does not get far.
fn joins(cluster: &mut Cluster, name: &str, token: &str) -> Ran {
    cluster.add(name);
    Ran::new(&["agent", name], &cluster.agent_with(name, token).output().unwrap())
}

fn lines_with(log: &str, part: &str) -> usize {
    log.lines().filter(|it| it.contains(part)).count()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a second has to pass, on any clock")]
fn a_token_is_good_until_another_takes_its_place() {
    let mut cluster = Cluster::start();
    let file = cluster.data("scheduler").join("scheduler/authority/join-token");
    let first = cluster.succeeds(&["admin", "token", "show"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), first);
    cluster.join("a1");
    eventually("a1 is up", || is_up(&cluster, "a1"));

    let second = cluster.succeeds(&["admin", "token", "rotate", "--expires", "24h"]);
    assert_ne!(first, second);
    assert_eq!(fs::read_to_string(&file).unwrap(), second);
    joins(&mut cluster, "late", first.trim()).code(1).says("was replaced by a newer one");
    let refused = "wants to join: the join token was replaced";
    assert_eq!(lines_with(&cluster.log("scheduler"), refused), 1);
    cluster.join("a2");
    eventually("a2 is up", || is_up(&cluster, "a2"));

    let brief = cluster.succeeds(&["admin", "token", "rotate", "--expires", "1s"]);
    // Whoever is quicker than that joins, and stays.
    let expired = Instant::now() + Duration::from_secs(2);
    eventually("it expires", || (expired <= Instant::now()).then_some(()));
    joins(&mut cluster, "later", brief.trim()).code(1).says("the join token has expired");
    let scheduler = cluster.succeeds(&["admin", "token", "show", "--for", "schedulers"]);
    joins(&mut cluster, "other", scheduler.trim()).code(1).says("this token is for schedulers");

    // It is written down, but not what they are.
    let told = cluster.succeeds(&["admin", "audit"]);
    assert!(told.contains("show tokens") && told.contains("rotate token"), "{told}");
    let secrets = [&first, &second, &brief, &scheduler];
    let secrets = secrets.map(|it| it.trim().rsplit('-').next().unwrap().to_owned());
    for log in [told, cluster.log("scheduler"), cluster.log("a1"), cluster.log("a2")] {
        assert!(secrets.iter().all(|it| !log.contains(it.as_str())), "{log}");
    }
    // Nobody is turned out by any of it.
    for host in ["a1", "a2"] {
        eventually("they are still there", || is_up(&cluster, host));
    }
}

/// The file that a scheduler left behind that made up its token.
fn leave_older_token(file: &Path, of: &str) -> String {
    let (public, secret) = of.trim().rsplit_once('-').unwrap();
    let older = format!("{public}-{}", secret.chars().rev().collect::<String>());
    fs::write(file, &older).unwrap();
    older
}

#[test]
fn an_older_schedulers_token_goes_on_until_it_is_replaced() {
    let mut cluster = Cluster::start();
    let file = cluster.data("scheduler").join("scheduler/authority/join-token");
    let of = cluster.succeeds(&["admin", "token", "show"]);
    cluster.kill_9("scheduler");
    // A cluster from before there were generations: an authority and a token, and no word of it.
    fs::remove_file(cluster.data("scheduler").join("scheduler/airglow.redb")).unwrap();
    let older = leave_older_token(&file, &of);
    cluster.restart("scheduler");
    cluster.join_with("a1", &older);
    eventually("a1 is up", || is_up(&cluster, "a1"));
    assert_eq!(cluster.succeeds(&["admin", "token", "show"]), of);
    cluster.succeeds(&["admin", "token", "rotate"]);
    joins(&mut cluster, "late", &older).code(1).says("the join token is wrong");
}

#[test]
fn a_host_that_is_removed_stays_away_and_what_it_had_runs_elsewhere() {
    let mut cluster = Cluster::with_agents(&["a1"]);
    let mut job = spec("web", "exec sleep 1000", 1, true);
    job["constraints"] = serde_json::json!({"host": "!scheduler"});
    cluster.post("/jobs", &jobs_of(&[job]));
    cluster.reaches("www-data/test/web", "RUNNING", 1);

    let hint = "`airglow host drain a1`";
    cluster.airglow(&["host", "remove", "a1"]).code(10).says("host a1 has 1 task").says(hint);
    let taken = cluster.succeeds(&["admin", "token", "show"]);
    let data = cluster.data("other");
    cluster.add("other");
    let config = cluster.root().join("other.toml");
    let text = fs::read_to_string(&config).unwrap().replace("\"other\"", "\"a1\"");
    fs::write(&config, text).unwrap();
    let told = Ran::new(&["agent"], &cluster.agent_with("other", &taken).output().unwrap());
    told.code(1).says("another machine is called a1").says("`airglow host remove a1`");
    assert!(!data.join("identity").exists());

    cluster.join("a2");
    eventually("a2 is up", || is_up(&cluster, "a2"));
    cluster.airglow(&["host", "remove", "a1", "--force"]).code(0);
    assert_eq!(names(&cluster), ["a2", "scheduler"]);
    eventually("it runs elsewhere", || {
        let instances = cluster.instances("www-data/test/web");
        let it = instances.first()?;
        (it["host"] == "a2" && it["status"] == "RUNNING").then_some(())
    });
    // The machine ends what it had, since others run it.
    eventually("a1 knows", || {
        let log = cluster.log("a1");
        (lines_with(&log, "was removed from the cluster") > 0).then_some(())
    });
    eventually("its task is over", || {
        crate::cluster::processes_below(&cluster.data("a1"))
            .iter()
            .all(|pid| {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                !String::from_utf8_lossy(&command).contains("sleep")
            })
            .then_some(())
    });
    assert_eq!(names(&cluster), ["a2", "scheduler"]);

    // Neither its certificate nor a token lets it in, under any name.
    cluster.kill_9("a1");
    fs::remove_dir_all(cluster.data("a1").join("identity")).unwrap();
    let told = joins(&mut cluster, "a1", taken.trim()).code(1).says("was removed");
    let hint = told.stderr.split("`airglow host readmit ").nth(1).unwrap();
    let machine = hint.split('`').next().unwrap();
    let removals = cluster.get("/removals");
    assert_eq!(
        (&removals["items"][0]["host"], &removals["items"][0]["machine"]),
        (&"a1".into(), &machine.into())
    );
    cluster.succeeds(&["host", "readmit", machine]);
    cluster.airglow(&["host", "readmit", machine]).code(10).says("among those that were removed");
    cluster.restart("a1");
    eventually("a1 is back", || is_up(&cluster, "a1"));
}

#[test]
fn certificates_are_renewed_under_way_and_one_that_has_expired_says_what_to_do() {
    let mut cluster = Cluster::with_settings("[scheduler]\ncertificate_days = 0.00012\n");
    cluster.join("a1");
    eventually("a1 is up", || is_up(&cluster, "a1"));
    let renewed = |cluster: &Cluster| lines_with(&cluster.log("a1"), "certificate was renewed");
    eventually("it is renewed twice", || (renewed(&cluster) >= 2).then_some(()));
    eventually("so is the scheduler's", || {
        let log = cluster.log("scheduler");
        (lines_with(&log, "the scheduler's certificate was renewed") >= 2).then_some(())
    });
    assert_eq!(lines_with(&cluster.log("a1"), "has ended"), 0, "{}", cluster.log("a1"));
    // One that was renewed is good for a connection of its own.
    cluster.kill_9("a1");
    eventually("a1 is missed", || is_up(&cluster, "a1").is_none().then_some(()));
    cluster.restart_without_token("a1");
    eventually("a1 is up", || is_up(&cluster, "a1"));

    cluster.kill_9("a1");
    let identity = cluster.data("a1").join("identity/identity.pem");
    eventually("it expires", || {
        let age = identity.metadata().unwrap().modified().unwrap().elapsed().unwrap();
        (age.as_secs() > 12).then_some(())
    });
    cluster.restart_without_token("a1");
    eventually("a1 says what to do", || {
        let log = cluster.log("a1");
        (lines_with(&log, "has expired: start its agent once more with a token") > 0).then_some(())
    });
    let log = cluster.log("scheduler");
    assert!(lines_with(&log, "its certificate has expired") > 0, "{log}");
    cluster.kill_9("a1");
    cluster.restart("a1");
    eventually("a1 is up", || is_up(&cluster, "a1"));
}

/// From an address that nobody else has.
fn connect_from(from: SocketAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(from)?;
        socket.connect(to).await
    });
    let stream = stream?.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Garbage, or a greeting that leads nowhere.
fn knock(at: SocketAddr, number: usize) -> std::io::Result<()> {
    let mut stream = connect_from(SocketAddr::from(([127, 0, 0, 66], 0)), at)?;
    match number % 3 {
        0 => stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?,
        // A record of TLS that is as long as one can be, and does not come.
        1 => stream.write_all(&[0x16, 3, 1, 0x40, 0])?,
        _ => stream.write_all(&[0x5a; 4096])?,
    }
    if number.is_multiple_of(8) {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

#[test]
fn a_flood_of_strangers_takes_no_memory_and_fills_no_log() {
    const EACH: usize = 2_500;
    const GROWTH_MAX_KIB: u64 = 48 * 1024;
    let mut cluster = Cluster::start();
    let mesh = cluster.mesh();
    let flood = || (0..EACH).filter(|it| knock(mesh, *it).is_ok()).count();
    // Whatever is made at the first of them is there.
    flood();
    let (memory, log) = (cluster.memory("scheduler"), cluster.log("scheduler").len());
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(flood)).collect();
        cluster.join("a1");
        eventually("a1 is up meanwhile", || is_up(&cluster, "a1"));
        let got_in: usize = all.into_iter().map(|it| it.join().unwrap()).sum();
        assert!(got_in > 0);
    });
    let grown = cluster.memory("scheduler").saturating_sub(memory);
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB more than {memory} KiB");
    // What was not told one by one is told in a line every few seconds.
    let log = eventually("all of them are summed up", || {
        let log = cluster.log("scheduler").split_off(log);
        (lines_with(&log, "connections were refused:") > 0).then_some(log)
    });
    let told = lines_with(&log, "a connection was refused");
    let summed_up = lines_with(&log, "connections were refused:");
    assert!(told <= 10 * (summed_up + 2), "{told} and {summed_up}: {log}");
}
