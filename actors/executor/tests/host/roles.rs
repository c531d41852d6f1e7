//! Whose processes a task's are.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use airglow_model::wire::RunState;
use nix::unistd::Uid;
use serde_json::json;

use crate::{
    agent::ROLES,
    bench::{Bench, outline},
    trials,
};

trials![
    r22_a_task_is_its_roles_users_and_cannot_see_what_is_ours,
    e14_a_role_that_is_no_user_runs_nothing,
    a_folder_that_the_user_cannot_pass_is_named,
];

/// What only root may do is not tested by anybody else.
fn may_become_others() -> bool {
    Uid::effective().is_root()
}

fn job(role: &str, cmdline: &str) -> serde_json::Value {
    json!({ "role": role, "task": { "processes": [{ "name": "p", "cmdline": cmdline }] } })
}

fn r22_a_task_is_its_roles_users_and_cannot_see_what_is_ours() {
    if !may_become_others() {
        return;
    }
    let mut bench = Bench::in_mode(ROLES);
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
    if !may_become_others() {
        return;
    }
    let mut bench = Bench::in_mode(ROLES);
    let data = bench.data().canonicalize().unwrap();
    std::fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    bench.launch_job("t", job("nobody", "true"), &[]);
    assert_eq!(bench.ends("t"), RunState::Failed);
    let message = &bench.reports.last().unwrap().message;
    assert!(message.contains(&format!("chmod o+x {}`", data.display())), "{message}");
}
