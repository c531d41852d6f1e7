//! What processes are run with, in which order, and what is left of them.

use airglow_model::wire::RunState;
use serde_json::json;

use crate::{
    bench::{Bench, outline},
    trials,
};

trials![
    r1_processes_run_in_their_order_and_the_task_is_reported,
    r2_r17_a_failed_process_fails_those_after_it_and_the_task,
    r4_at_most_max_concurrency_run_at_a_time,
    r5_a_killed_process_and_a_killed_shepherd_are_followed_by_another_run,
    r7_what_a_process_leaves_in_its_group_ends_with_it,
    r10_failing_finalizers_do_not_fail_the_task,
    r11_finalizers_run_after_a_failure,
    r14_a_profile_is_read_by_the_processes_after_it,
    r16_a_task_of_ephemeral_processes_is_over_at_once,
    a_process_that_fails_ten_times_is_one_failed_process,
    the_environment_is_exactly_what_is_promised,
    nothing_is_inherited_but_what_is_promised,
    output_is_in_a_file_for_each_run_and_stream,
    references_are_bound_and_unknown_ones_refused,
    a_shell_that_cannot_be_started_is_a_failed_run,
    the_kernel_does_not_spare_processes_as_it_spares_the_agent,
];

fn r1_processes_run_in_their_order_and_the_task_is_reported() {
    let mut bench = Bench::new();
    let process = |name: &str| json!({ "name": name, "cmdline": format!("echo {name} >> trace") });
    let (state, processes) = bench.run(json!({
        "processes": (["a", "b", "c", "d", "e", "f"].map(process)),
        "constraints": [
            { "order": ["a", "b", "d", "e"] }, { "order": ["a", "c", "d", "f"] },
        ],
    }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(outline(&processes), "a S, b S, c S, d S, e S, f S");
    let trace = bench.written("t", "trace").replace('\n', "");
    assert!(trace.starts_with('a') && trace[1..3].contains('b') && &trace[3..4] == "d", "{trace}");
    let run = &processes[0].runs[0];
    assert!(run.started_at <= run.ended_at && run.exit_code == Some(0), "{run:?}");
    let told: Vec<_> =
        bench.reports.iter().map(|it| format!("{:?} {}", it.state, it.message)).collect();
    assert_eq!(
        told,
        [
            "Starting ",
            "Running No health-check defined, task is assumed healthy.",
            "Finished Task finished.",
        ]
    );
}

fn r2_r17_a_failed_process_fails_those_after_it_and_the_task() {
    let mut bench = Bench::new();
    let (state, processes) = bench.run(json!({
        "processes": [
            { "name": "a", "cmdline": "true" },
            { "name": "b", "cmdline": "exit 1" },
            { "name": "c", "cmdline": "true" },
        ],
        "constraints": [{ "order": ["a", "b", "c"] }],
        "max_failures": 2,
    }));
    assert_eq!(state, RunState::Failed);
    assert_eq!(outline(&processes), "a S, b F, c");
}

fn r4_at_most_max_concurrency_run_at_a_time() {
    let mut bench = Bench::new();
    let process = |name: &str| json!({ "name": name, "cmdline": "sleep 0.1" });
    let (state, processes) =
        bench.run(json!({ "processes": (["a", "b", "c"].map(process)), "max_concurrency": 1 }));
    assert_eq!(state, RunState::Finished);
    for pair in processes.windows(2) {
        assert!(pair[0].runs[0].ended_at <= pair[1].runs[0].started_at, "{processes:?}");
    }
}

fn r5_a_killed_process_and_a_killed_shepherd_are_followed_by_another_run() {
    let cmdline = "[ -e again ] && exit 0; touch again; sleep 1000 & echo $! > pid; wait";
    let task = || json!({ "processes": [{ "name": "p", "cmdline": cmdline, "min_duration": 0 }] });

    let mut bench = Bench::new();
    bench.launch("t", task());
    bench.written("t", "pid");
    let pid = bench.pid("t", "p");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
    assert_eq!(bench.ends("t"), RunState::Finished);
    let processes = bench.processes("t");
    assert_eq!(outline(&processes), "p K S");
    assert_eq!(processes[0].runs[0].exit_code, Some(-9));

    bench.launch("u", task());
    bench.written("u", "pid");
    bench.pid("u", "p");
    assert_eq!(bench.living("u"), 2);
    let shepherd = nix::unistd::Pid::from_raw(bench.shepherd("u"));
    nix::sys::signal::kill(shepherd, nix::sys::signal::SIGKILL).unwrap();
    assert_eq!(bench.ends("u"), RunState::Finished);
    let processes = bench.processes("u");
    assert_eq!(outline(&processes), "p L S");
    assert_eq!(bench.living("u"), 0, "what was lost runs on");
}

fn r7_what_a_process_leaves_in_its_group_ends_with_it() {
    let mut bench = Bench::new();
    let (state, _) = bench.run(json!({ "processes": [
        { "name": "p", "cmdline": "sleep 1000 &" },
        { "name": "q", "cmdline": "sleep 0.1" },
    ] }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(bench.living("t"), 0);
}

fn r10_failing_finalizers_do_not_fail_the_task() {
    let mut bench = Bench::new();
    let (state, processes) = bench.run(json!({
        "processes": [
            { "name": "main", "cmdline": "true" },
            { "name": "f1", "cmdline": "exit 1", "final": true },
            { "name": "f2", "cmdline": "true", "final": true },
        ],
        "constraints": [{ "order": ["f1", "f2"] }],
    }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(outline(&processes), "main S, f1 F, f2");
}

fn r11_finalizers_run_after_a_failure() {
    let mut bench = Bench::new();
    let (state, processes) = bench.run(json!({ "processes": [
        { "name": "main", "cmdline": "exit 1" },
        { "name": "f", "cmdline": "true", "final": true },
    ] }));
    assert_eq!(state, RunState::Failed);
    assert_eq!(outline(&processes), "main F, f S");
    assert_eq!(bench.reports.last().unwrap().message, "Task failed.");
}

fn r14_a_profile_is_read_by_the_processes_after_it() {
    let mut bench = Bench::new();
    let setup = "mkdir .profile.d; echo export FOO=1 > .profile.d/foo.sh
        echo export BAR=2 > .profile.d/bar.sh
        echo 'for it in $HOME/.profile.d/*.sh; do . $it; done' > .thermos_profile";
    let (state, _) = bench.run(json!({
        "processes": [
            { "name": "setup", "cmdline": setup },
            { "name": "main", "cmdline": "echo $FOO $BAR" },
        ],
        "constraints": [{ "order": ["setup", "main"] }],
    }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(bench.log("t", "main", 0), "1 2\n");
}

fn r16_a_task_of_ephemeral_processes_is_over_at_once() {
    let mut bench = Bench::new();
    let (state, processes) = bench
        .run(json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000", "ephemeral": true }] }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(outline(&processes), "p");
}

fn a_process_that_fails_ten_times_is_one_failed_process() {
    let mut bench = Bench::new();
    let process = |name: &str, cmdline: &str| {
        json!({
            "name": name, "cmdline": cmdline, "max_failures": 10, "min_duration": 0,
        })
    };
    let (state, processes) = bench.run(json!({
        "processes": [process("failing", "exit 1"), process("succeeding", "exit 0")],
        "max_failures": 2,
    }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(outline(&processes), "failing F F F F F F F F F F, succeeding S");
}

fn the_environment_is_exactly_what_is_promised() {
    let mut bench = Bench::new();
    let cmdline = "exec /usr/bin/env -0 | tr '\\0' '\\n' | grep -v ^_= | sort; pwd; umask";
    let (state, _) = bench.run(json!({ "processes": [{ "name": "p", "cmdline": cmdline }] }));
    assert_eq!(state, RunState::Finished);
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
    let sandbox = bench.sandbox("t").canonicalize().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    // PWD and SHLVL are bash's own.
    let expected = format!(
        "HOME={sandbox}\nLOGNAME={user}\nPATH={path}\nPWD={sandbox}\nSHLVL=0\nUSER={user}\n{sandbox}\n0022\n"
    );
    assert_eq!(bench.log("t", "p", 0), expected);
}

fn nothing_is_inherited_but_what_is_promised() {
    let mut bench = Bench::new();
    let process = |name: &str, cmdline: &str| json!({ "name": name, "cmdline": cmdline });
    let (state, _) = bench.run(json!({ "processes": [
        process("stdin", "exec readlink /proc/self/fd/0"),
        // The fourth is its own, of the folder.
        process("files", "exec ls /proc/self/fd"),
        process("signals", "exec grep -E '^Sig(Blk|Ign):' /proc/self/status"),
        process("group", "exec ps -o pid=,pgid=,tty= -p $$"),
    ] }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(bench.log("t", "stdin", 0), "/dev/null\n");
    assert_eq!(bench.log("t", "files", 0), "0\n1\n2\n3\n");
    for line in bench.log("t", "signals", 0).lines() {
        // The two above 31 are the C library's.
        let set = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(set & 0x7fff_ffff, 0, "{line}");
    }
    let group = bench.log("t", "group", 0);
    let [pid, group, terminal] = group.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{group}")
    };
    assert_eq!((group, terminal), (pid, "?"));
}

fn output_is_in_a_file_for_each_run_and_stream() {
    let mut bench = Bench::new();
    let cmdline = "echo out; echo err >&2; [ -e again ] || { touch again; exit 1; }";
    let (state, _) = bench.run(json!({ "processes": [
        { "name": "p", "cmdline": cmdline, "max_failures": 2, "min_duration": 0 },
    ] }));
    assert_eq!(state, RunState::Finished);
    for run in 0..2 {
        assert_eq!(bench.written("t", &format!(".logs/p/{run}/stdout")), "out");
        assert_eq!(bench.written("t", &format!(".logs/p/{run}/stderr")), "err");
    }
}

fn references_are_bound_and_unknown_ones_refused() {
    let mut bench = Bench::new();
    let cmdline = "echo {{thermos.ports[named_port]}} {{thermos.task_id}} {{mesos.instance}} {{mesos.hostname}}";
    let (state, _) = bench.run(json!({ "processes": [{ "name": "p", "cmdline": cmdline }] }));
    assert_eq!(state, RunState::Finished);
    assert_eq!(bench.log("t", "p", 0), "8123 t 0 h\n");
    let cmdline = "echo {{thermos.ports[other]}}";
    bench.launch("u", json!({ "processes": [{ "name": "p", "cmdline": cmdline }] }));
    assert_eq!(bench.ends("u"), RunState::Failed);
    let message = &bench.reports.last().unwrap().message;
    assert_eq!(message, "Unexpected unbound refs: thermos.ports[other]");
}

fn a_shell_that_cannot_be_started_is_a_failed_run() {
    let mut bench = Bench::new();
    let (state, processes) = bench.run(json!({
        "processes": [
            { "name": "a", "cmdline": "rmdir .logs/b/0 .logs/b; mkdir -p .logs/b/0/stdout" },
            { "name": "b", "cmdline": "true" },
        ],
        "constraints": [{ "order": ["a", "b"] }],
    }));
    assert_eq!(state, RunState::Failed);
    assert_eq!(outline(&processes), "a S, b F", "{:?}", bench.reports);
    assert!(processes[1].runs[0].message.is_some(), "{processes:?}");
}

fn the_kernel_does_not_spare_processes_as_it_spares_the_agent() {
    let mut bench = Bench::new();
    bench.run(json!({ "processes": [{ "name": "p", "cmdline": "cat /proc/self/oom_score_adj" }] }));
    let score: i32 = bench.log("t", "p", 0).trim().parse().unwrap();
    assert!(0 <= score, "{score}");
}
