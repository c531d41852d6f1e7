use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::cluster::{Cluster, eventually, jobs_of, spec};

/// `id 0:RUNNING` of all that was told, in order.
type Told = Arc<Mutex<Vec<String>>>;

/// A program on this port that takes whatever it is told.
fn receiver(listener: TcpListener) -> Told {
    let told = Told::default();
    let of_all = Arc::clone(&told);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let told = Arc::clone(&of_all);
            thread::spawn(move || while take(stream.as_ref().unwrap(), &told).is_some() {});
        }
    });
    told
}

fn take(mut stream: &TcpStream, told: &Told) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let header = |name: &str| head.lines().find_map(|it| it.strip_prefix(name)).map(str::trim);
    assert_eq!(header("x-key: "), Some("of the file"), "{head}");
    let mut body = vec![0; header("content-length: ")?.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let task = &body["task"];
    let line = format!(
        "{} {}:{}",
        header("webhook-id: ")?,
        task["instance"],
        task["status"].as_str().unwrap()
    );
    told.lock().unwrap().push(line);
    stream.write_all(b"HTTP/1.1 204 OK\r\n\r\n").ok()
}

#[test]
fn whoever_kills_the_scheduler_webhooks_are_told_everything_in_order() {
    let mut cluster = Cluster::start();
    cluster.kill_9("scheduler");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let key = cluster.file("key", "of the file\n");
    let settings = format!(
        "[[scheduler.webhooks]]\nname = \"all\"\nurl = \"http://127.0.0.1:{port}/\"\n\
         header_files = {{ x-key = {key:?} }}\n"
    );
    let config = cluster.root().join("scheduler.toml");
    let mut config = OpenOptions::new().append(true).open(config).unwrap();
    config.write_all(settings.as_bytes()).unwrap();
    cluster.restart("scheduler");

    // Nobody listens on that port yet.
    let job = spec("web", "exec sleep 1000", 3, true);
    assert_eq!(cluster.post("/jobs", &jobs_of(&[job])).0, 201);
    cluster.reaches("www-data/test/web", "RUNNING", 3);
    cluster.kill_9("scheduler");
    let told = receiver(TcpListener::bind(("127.0.0.1", port)).unwrap());
    cluster.restart("scheduler");
    let count = |status: &str| {
        let told = told.lock().unwrap();
        told.iter().filter(|it| it.ends_with(status)).count()
    };
    eventually("it is told that all of them run", || (count("RUNNING") >= 3).then_some(()));
    cluster.succeeds(&["job", "killall", "devcluster/www-data/test/web"]);
    eventually("it is told that all of them ended", || (count(":KILLED") >= 3).then_some(()));

    let mut told = told.lock().unwrap().clone();
    told.dedup();
    let in_order = told.is_sorted();
    for instance in 0..3 {
        let prefix = format!("{instance}:");
        let states = told.iter().filter_map(|it| it.split_once(' ')?.1.strip_prefix(&prefix));
        let states = states.collect::<Vec<_>>().join(" ");
        assert_eq!(states, "PENDING ASSIGNED STARTING RUNNING KILLING KILLED", "{told:?}");
    }
    assert!(in_order, "{told:?}");
}

#[test]
fn an_operator_sees_who_did_what() {
    let mut cluster = Cluster::start();
    let job = spec("web", "exec sleep 1000", 2, true);
    assert_eq!(cluster.post("/jobs", &jobs_of(&[job])).0, 201);
    cluster.succeeds(&["job", "kill", "devcluster/www-data/test/web/0", "--message", "too many"]);
    cluster.succeeds(&["host", "maintenance", "scheduler"]);
    cluster.kill_9("scheduler");
    cluster.restart("scheduler");
    let told = cluster.succeeds(&["admin", "audit", "devcluster/www-data/test/web"]);
    let told: Vec<_> = told.lines().skip(1).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let parts = ["kill, Instances 0, \"too many\"", "job/www-data/test/web", "done"];
    assert!(parts.iter().all(|it| told[0].contains(it)), "{told:?}");
    assert!(told[1].contains("create, 2 instances"), "{told:?}");
    let told = cluster.succeeds(&["admin", "audit", "devcluster", "--host", "scheduler"]);
    assert!(told.contains("maintenance") && !told.contains("kill"), "{told}");
    let json = cluster.succeeds(&["admin", "audit", "devcluster", "--limit", "1", "--write-json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["verb"]), (1, &"maintenance".into()));
}
