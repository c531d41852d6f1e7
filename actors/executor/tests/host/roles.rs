//! Whose processes a task's are.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use airglow_model::wire::RunState;
use nix::{
    sys::signal::{SIGKILL, kill},
    unistd::{Pid, Uid},
};
use serde_json::json;

use crate::{
    agent::Settings,
    bench::{Bench, outline},
    trials,
};

trials![
    r22_a_task_is_its_roles_users_and_cannot_see_what_is_ours,
    e14_a_role_that_is_no_user_runs_nothing,
    a_folder_that_the_user_cannot_pass_is_named,
    whose_user_is_not_known_any_more_goes_on_and_is_not_started_anew,
];

const ROLES: Settings = Settings { roles: true, ..Settings::ISOLATED };

/// Nobody else may become another.
fn as_root() -> Bench {
    assert!(Uid::effective().is_root(), "this takes root: run tests/run as root");
    Bench::in_mode(ROLES)
}

fn job(role: &str, cmdline: &str) -> serde_json::Value {
    json!({ "role": role, "task": { "processes": [{ "name": "p", "cmdline": cmdline }] } })
}

fn r22_a_task_is_its_roles_users_and_cannot_see_what_is_ours() {
    let mut bench = as_root();
    let cmdline = "id -un; id -Gn; echo $USER; stat -c '%U %a' . .logs/p/0/stdout
        cat ../launch.json ../record.jsonl ../journal.jsonl ../../../*; ls .. ../..
        cat /proc/$PPID/environ; echo end";
    bench.launch_job("t", job("nobody", cmdline), &[]);
    assert_eq!(bench.ends("t"), RunState::Finished, "{:?}", bench.view("t"));
    let log = bench.log("t", "p", 0);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines, ["nobody", "nogroup", "nobody", "nobody 700", "nobody 644", "end"]);
    let check = json!({
        "role": "nobody",
        "task": { "processes": [{ "name": "p", "cmdline": "touch healthy; sleep 1000" }] },
        "health_check_config": { "health_checker": { "shell": {
            "shell_command": "id -un; [ -e healthy ] && [ $(id -un) = nobody ]",
        } }, "interval_secs": 0.2 },
    });
    bench.launch_job("u", check, &[]);
    bench.runs("u");
    bench.kill("u");
    assert_eq!(bench.ends("u"), RunState::Killed);
    let view = bench.view("t");
    assert_eq!((view.user.as_str(), outline(&view.processes).as_str()), ("nobody", "p S"));
}

fn e14_a_role_that_is_no_user_runs_nothing() {
    let mut bench = Bench::in_mode(ROLES);
    bench.launch_job("t", job("nobody-of-this-name", "true"), &[]);
    assert_eq!(bench.ends("t"), RunState::Failed);
    let why = "Could not create sandbox because user does not exist: nobody-of-this-name";
    assert_eq!(bench.reports.last().unwrap().message, why);
}

fn a_folder_that_the_user_cannot_pass_is_named() {
    let mut bench = as_root();
    let data = bench.data().canonicalize().unwrap();
    std::fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    bench.launch_job("t", job("nobody", "true"), &[]);
    assert_eq!(bench.ends("t"), RunState::Failed);
    let message = &bench.reports.last().unwrap().message;
    assert!(message.contains(&format!("chmod o+x {}`", data.display())), "{message}");
}

fn whose_user_is_not_known_any_more_goes_on_and_is_not_started_anew() {
    let mut bench = Bench::in_mode(Settings::ISOLATED);
    let check = json!({ "shell": { "shell_command": "[ -e healthy ]" } });
    let job = json!({
        "role": "nobody-of-this-name",
        "task": {
            "processes": [
                { "name": "p", "cmdline": "touch healthy; until [ -e go ]; do sleep 0.01; done" },
                { "name": "q", "cmdline": "sleep 1000", "min_duration": 0 },
            ],
            "constraints": [{ "order": ["p", "q"] }],
        },
        "health_check_config": { "health_checker": check, "interval_secs": 0.2 },
    });
    bench.launch_job("t", job, &[]);
    bench.runs("t");
    let pid = bench.pid("t", "p");
    bench.kill_agent();
    bench.mode = ROLES;
    bench.start_agent();
    assert_eq!(bench.inventory[0].state, RunState::Running);
    assert_eq!(bench.pid("t", "p"), pid);
    while bench.view("t").health.is_none_or(|it| it.checks < 1) {}
    assert!(bench.view("t").health.unwrap().is_healthy);
    // Who is there starts what is next, as the user that it is.
    std::fs::write(bench.sandbox("t").join("go"), "").unwrap();
    bench.pid("t", "q");
    let why = "Could not create sandbox because user does not exist: nobody-of-this-name";
    let view = bench.view("t");
    assert_eq!(view.user, "nobody-of-this-name");
    assert_eq!(view.isolation[0], format!("could not be started anew: {why}"));
    kill(Pid::from_raw(bench.shepherd("t")), SIGKILL).unwrap();
    assert_eq!(bench.ends("t"), RunState::Failed);
    let processes = bench.processes("t");
    assert_eq!(outline(&processes), "p S, q L F");
    assert_eq!(processes[1].runs[1].message.as_deref(), Some(why));
}
