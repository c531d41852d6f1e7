use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::cluster::{Cluster, airglow, eventually, jobs_of, spec};

/// A cluster in which that has run, and the id of the task.
fn ran(job: &Value) -> (Cluster, String) {
    let cluster = Cluster::start();
    let (status, answer) = cluster.post("/jobs", &jobs_of(std::slice::from_ref(job)));
    assert_eq!(status, 201, "{answer}");
    let key = format!("www-data/test/{}", job["name"].as_str().unwrap());
    cluster.reaches(&key, "FINISHED", 1);
    let id = cluster.instances(&key)[0]["task_id"].as_str().unwrap().to_owned();
    (cluster, id)
}

/// As written: no client has made it tidier.
fn raw(cluster: &Cluster, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", cluster.api)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[test]
fn nothing_outside_of_a_sandbox_can_be_looked_at() {
    let cmdline = "echo inside > file; mkdir folder; echo below > folder/file
        ln -s /etc out; ln -s /etc/passwd passwd; ln -s .. up; ln -s ../.. folder/up
        ln -s /proc/self/root root; ln -s file link; ln -s \"$PWD/folder\" absolute";
    let (cluster, id) = ran(&spec("escape", cmdline, 1, false));
    let look = |path: &str| raw(&cluster, &format!("/api/v1/tasks/{id}/files/{path}"));
    for (path, text) in [("file", "inside"), ("folder/file", "below")] {
        let (status, answer) = look(path);
        assert!(status == 200 && answer.contains(text), "{path}: {answer}");
    }
    let outside = [
        "passwd",
        "out",
        "out/passwd",
        "up",
        "up/launch.json",
        "folder/up/launch.json",
        "root/etc/passwd",
        "../launch.json",
        "folder/../../launch.json",
        "%2e%2e/launch.json",
        "..%2flaunch.json",
        "%2e%2e%2flaunch.json",
        "..%5claunch.json",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "./../launch.json",
        "file/../../launch.json",
        "%252e%252e/launch.json",
        "folder/%00/../../launch.json",
        "....//launch.json",
    ];
    for path in outside {
        let (status, answer) = look(path);
        assert!(status != 200, "{path}: {answer}");
        assert!(!answer.contains("root:") && !answer.contains("task_id\":"), "{path}: {answer}");
    }
    let (_, page) = raw(&cluster, &format!("/tasks/{id}/files/out"));
    assert!(!page.contains("passwd"), "{page}");
}

#[test]
fn the_end_of_a_big_log_is_there_without_the_rest_being_read() {
    const SIZE: u64 = 1 << 30;
    let cmdline = format!("truncate -s {SIZE} .logs/main/0/stdout; echo; echo the end");
    let (cluster, id) = ran(&spec("big", &cmdline, 1, false));
    let read_before = cluster.bytes_read("scheduler");
    let uri = format!("{}/api/v1/tasks/{id}/logs/main/0/stdout?offset=-9", cluster.uri());
    let mut response = ureq::get(uri).call().unwrap();
    let size = response.headers()["airglow-log-size"].to_str().unwrap().to_owned();
    assert_eq!(size, (SIZE + 9).to_string());
    assert_eq!(response.body_mut().read_to_string().unwrap(), "\nthe end\n");
    let read = cluster.bytes_read("scheduler") - read_before;
    assert!(read < 16 << 20, "{read} bytes were read");
}

#[test]
fn a_followed_log_goes_on_however_often_it_is_rotated() {
    const LINES: usize = 2000;
    let cluster = Cluster::start();
    let cmdline = format!(
        "echo up > up; until [ -e go ]; do sleep 0.05; done
        for ((i = 0; i < {LINES}; i++)); do echo $i; ((i % 100)) || sleep 0.05; done"
    );
    let mut job = spec("rotate", &cmdline, 1, false);
    job["task"]["processes"][0]["logger"] =
        json!({ "mode": "rotate", "rotate": { "log_size": 1000, "backups": 50 } });
    cluster.post("/jobs", &jobs_of(&[job]));
    cluster.reaches("www-data/test/rotate", "RUNNING", 1);
    let id = cluster.instances("www-data/test/rotate")[0]["task_id"].as_str().unwrap().to_owned();
    let sandbox = cluster.data("scheduler").join("agent/tasks").join(id).join("sandbox");
    eventually("it is up", || sandbox.join("up").exists().then_some(()));
    let mut command = airglow(cluster.root());
    command.args(["--scheduler-uri", &cluster.uri()]);
    command.args(["task", "logs", "--follow", "devcluster/www-data/test/rotate"]);
    let out = cluster.root().join("followed");
    command.stdout(fs::File::create(&out).unwrap());
    let mut child = command.spawn().unwrap();
    fs::write(sandbox.join("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let expected: String = (0..LINES).map(|it| format!("{it}\n")).collect();
    assert!(fs::read_to_string(&out).unwrap() == expected, "{}", out.display());
    assert!(sandbox.join(".logs/main/0/stdout.2").exists(), "it was not rotated");
}
