//! Where what processes say is found.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    pasture::{Pasture, until},
    trials,
};

trials![
    r19_both_streams_are_in_their_files,
    r20_a_rotated_log_keeps_its_last_lines,
    r23_destinations,
    every_byte_is_in_a_rotated_log_once_and_files_know_their_place,
    all_that_was_said_is_there_when_the_end_is_told,
    a_stray_that_goes_on_talking_holds_nobody_up_and_is_heard,
    a_log_that_cannot_be_written_is_a_run_that_was_not_started,
    a_pipe_in_the_place_of_a_log_holds_nobody_up,
    a_full_disk_delays_and_loses_nothing,
    no_end_is_lost_because_the_disk_is_full,
];

/// Run 0 of a process to its end.
fn run(pasture: &Pasture, process: &str, cmdline: &str, stdout: &Value, stderr: &Value) -> Value {
    let mut order = pasture.order(process, 0, cmdline);
    (order["stdout"], order["stderr"]) = (stdout.clone(), stderr.clone());
    pasture.say(&order);
    pasture.ended(process)
}

fn r19_both_streams_are_in_their_files() {
    let pasture = Pasture::new(true);
    pasture.run("a", "for i in {1..31}; do echo out; echo err >&2; done");
    assert_eq!(pasture.read("a.out"), "out\n".repeat(31));
    assert_eq!(pasture.read("a.err"), "err\n".repeat(31));
}

fn r20_a_rotated_log_keeps_its_last_lines() {
    let pasture = Pasture::new(true);
    let rotated = |name: &str| {
        let file = pasture.sandbox().join(name);
        json!({ "file": file, "rotate": { "size": 70, "backups": 2 } })
    };
    let script = "for i in {1..31}; do echo stdout; echo stderr >&2; done";
    let exit = run(&pasture, "a", script, &rotated("stdout"), &rotated("stderr"));
    assert_eq!(exit, json!({ "code": 0 }));
    for stream in ["stdout", "stderr"] {
        let lines = |suffix: &str| pasture.read(&format!("{stream}{suffix}")).lines().count();
        assert_eq!([lines(""), lines(".1"), lines(".2")], [1, 10, 10]);
        assert!(!pasture.sandbox().join(format!("{stream}.3")).exists());
    }
}

fn r23_destinations() {
    let pasture = Pasture::new(true);
    let path = |name: &str| pasture.sandbox().join(name);
    let both = json!({ "file": path("file"), "console": path("console") });
    run(&pasture, "both", "echo 1; echo 2", &both, &both);
    assert_eq!(pasture.read("file"), "1\n2\n");
    assert_eq!(pasture.read("console"), "1\n2\n");
    let console = json!({ "console": path("console") });
    run(&pasture, "console", "echo 3", &console, &json!({}));
    assert_eq!(pasture.read("console"), "1\n2\n3\n");
    run(&pasture, "none", "echo 4; echo 5 >&2; ls -l /proc/self/fd > fds", &json!({}), &json!({}));
    assert_eq!(pasture.read("fds").matches("/dev/null").count(), 2, "{}", pasture.read("fds"));
    let mut names: Vec<_> = fs::read_dir(pasture.sandbox())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["console", "fds", "file"]);
}

fn every_byte_is_in_a_rotated_log_once_and_files_know_their_place() {
    let pasture = Pasture::new(true);
    let file = pasture.sandbox().join("log");
    let rotated = json!({ "file": file, "rotate": { "size": 50_000, "backups": 100 } });
    run(&pasture, "a", "seq 1 200000", &rotated, &json!({}));
    let name = |it: usize| match it {
        0 => file.clone(),
        it => pasture.sandbox().join(format!("log.{it}")),
    };
    let count = (0..).take_while(|it| name(*it).exists()).count();
    assert!(count > 20);
    let mut text = String::new();
    for it in (0..count).rev() {
        assert_eq!(base(&name(it)), text.len());
        text += &fs::read_to_string(name(it)).unwrap();
    }
    assert!(text.lines().map(|it| it.parse::<u32>().unwrap()).eq(1..=200_000));
}

fn base(path: &Path) -> usize {
    let mut value = [0; 32];
    match rustix::fs::getxattr(path, "user.airglow.base", &mut value) {
        Ok(length) => str::from_utf8(&value[..length]).unwrap().parse().unwrap(),
        Err(_) => 0,
    }
}

fn all_that_was_said_is_there_when_the_end_is_told() {
    let pasture = Pasture::new(true);
    let both = json!({
        "file": pasture.sandbox().join("file"), "console": pasture.sandbox().join("console"),
    });
    for run in 0..20 {
        let mut order = pasture.order("a", run, "head -c 60000 /dev/zero; kill -9 $$");
        order["stdout"] = both.clone();
        pasture.say(&order);
        pasture.ended_run("a", run);
        for name in ["file", "console"] {
            let length = pasture.sandbox().join(name).metadata().unwrap().len();
            assert_eq!(length, 60_000 * u64::from(run + 1));
        }
    }
}

fn a_stray_that_goes_on_talking_holds_nobody_up_and_is_heard() {
    let pasture = Pasture::new(true);
    let file = pasture.sandbox().join("file");
    let rotated = json!({ "file": file, "rotate": { "size": 100_000, "backups": 3 } });
    let script = "setsid bash -c 'echo > there; until [ -e end ]; do echo talk; done; echo last' &
        until [ -e there ]; do :; done; exit 2";
    assert_eq!(run(&pasture, "a", script, &rotated, &json!({})), json!({ "code": 2 }));
    fs::write(pasture.sandbox().join("end"), "").unwrap();
    pasture.gone();
    until(|| pasture.read("file").ends_with("last\n").then_some(()));
}

fn a_log_that_cannot_be_written_is_a_run_that_was_not_started() {
    let pasture = Pasture::new(true);
    fs::write(pasture.sandbox().join("file"), "").unwrap();
    let nowhere = pasture.sandbox().join("file/log");
    let nowhere_text = nowhere.display();
    let why = format!("cannot write to {nowhere_text}: Not a directory (os error 20)");
    let rotated = json!({ "file": nowhere, "rotate": { "size": 1, "backups": 1 } });
    for (process, output) in [("a", json!({ "file": nowhere })), ("b", rotated)] {
        let exit = run(&pasture, process, "echo > there", &output, &json!({}));
        assert_eq!(exit, json!({ "unstarted": why }));
    }
    assert!(!pasture.sandbox().join("there").exists());
}

fn a_pipe_in_the_place_of_a_log_holds_nobody_up() {
    let pasture = Pasture::new(true);
    pasture.run("prepare", "mkfifo a.out");
    pasture.start("a", "echo > there");
    let exit = pasture.ended("a");
    assert!(exit["unstarted"].as_str().unwrap().contains("No such device"), "{exit}");
    pasture.run("b", "true");
}

/// A file system that is full soon.
struct Disk(PathBuf);

impl Disk {
    fn at(folder: &Path, size: &str) -> Self {
        let mut mount = Command::new("mount");
        let options = format!("size={size}");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder).status();
        assert!(mounted.unwrap().success(), "who tests this must be root");
        Self(folder.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, should something of the test still be there.
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

fn a_full_disk_delays_and_loses_nothing() {
    let mut disk = None;
    let pasture = Pasture::summoned(true, |folder, _| {
        disk = Some(Disk::at(&folder.join("sandbox"), "256k"));
    });
    let ballast = pasture.sandbox().join("ballast");
    fs::write(&ballast, vec![0; 128 * 1024]).unwrap();
    let file = pasture.sandbox().join("log");
    let mut order = pasture.order("a", 0, "seq 1 30000; exit 3");
    order["stdout"] = json!({ "file": file, "rotate": { "size": 1_000_000, "backups": 1 } });
    order["stderr"] = json!({});
    pasture.say(&order);
    until(|| (file.metadata().is_ok_and(|it| it.len() > 100_000)).then_some(()));
    let mut other = pasture.order("b", 0, "true");
    (other["stdout"], other["stderr"]) = (json!({}), json!({}));
    pasture.say(&other);
    assert_eq!(pasture.ended("b"), json!({ "code": 0 }));
    fs::remove_file(&ballast).unwrap();
    assert_eq!(pasture.ended("a"), json!({ "code": 3 }));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().map(|it| it.parse::<u32>().unwrap()).eq(1..=30_000));
}

fn no_end_is_lost_because_the_disk_is_full() {
    let mut disk = None;
    let pasture = Pasture::summoned(true, |folder, summons| {
        let full = folder.join("full");
        fs::create_dir(&full).unwrap();
        disk = Some(Disk::at(&full, "64k"));
        summons["folder"] = json!(full);
    });
    pasture.shepherd();
    let ballast = pasture.folder.path().join("full/ballast");
    // What is left is the rest of the page that the record has begun.
    assert!(fs::write(&ballast, vec![0; 1 << 20]).is_err());
    let name = |it: u32| format!("p{it}");
    for it in 0..40 {
        pasture.start(&name(it), &format!("echo there; exit {it}"));
    }
    let written = |it: u32| pasture.read(&format!("{}.out", name(it))) == "there\n";
    until(|| (0..40).all(written).then_some(()));
    assert!(pasture.records().len() < 40);
    fs::remove_file(&ballast).unwrap();
    for it in 0..40 {
        assert_eq!(pasture.ended(&name(it)), json!({ "code": it }));
    }
    assert_eq!(pasture.records().len(), 81);
}
