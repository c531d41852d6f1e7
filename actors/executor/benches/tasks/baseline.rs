//! What the machine itself can do: two threads that start `bash` and wait for it.

use std::{ffi::CString, fs, path::Path, time::Duration};

use nix::{
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn},
    sys::wait::waitpid,
    unistd::Pid,
};
use tokio::time::Instant;

const THREADS: usize = 2;

/// How many a second.
pub(crate) fn spawns_per_second(count: usize) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..count / THREADS {
                    wait_for(spawn("true"));
                }
            });
        }
    });
    super::per_second(count, began.elapsed())
}

/// From the call to the first instruction of the command line, as it says itself.
pub(crate) fn latencies(count: usize, folder: &Path) -> Vec<Duration> {
    let mark = folder.join("mark");
    let latency = |_| {
        let asked = super::since_epoch();
        wait_for(spawn(&format!("echo $EPOCHREALTIME > {}", mark.display())));
        super::written_time(&fs::read_to_string(&mark).unwrap()).unwrap().saturating_sub(asked)
    };
    (0..count).map(latency).collect()
}

/// As glibc does it, which is vfork.
fn spawn(cmdline: &str) -> Pid {
    let arguments = [c"/bin/bash".to_owned(), c"-c".to_owned(), CString::new(cmdline).unwrap()];
    let (files, attributes) =
        (PosixSpawnFileActions::init().unwrap(), PosixSpawnAttr::init().unwrap());
    posix_spawn(c"/bin/bash", &files, &attributes, &arguments, &[c"PATH=/usr/bin:/bin"]).unwrap()
}

fn wait_for(child: Pid) {
    waitpid(child, None).unwrap();
}
