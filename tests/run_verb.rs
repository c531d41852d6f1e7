use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{
    Ran, airglow, end_all_below, eventually, fetch, files_below, free_port, processes_below,
};

/// A folder with a file of tasks in it.
struct Tasks {
    home: TempDir,
}

const FILE: &str = "
hello = Process(name = 'hello', cmdline = 'echo hello from {{thermos.task_id}}; echo oops >&2')
fail = Process(name = 'fail', cmdline = 'echo about to fail; exit 3')
never = Process(name = 'never', cmdline = 'true')
wait = Process(
  name = 'wait',
  cmdline = 'echo $$ > waits; trap \"echo asked > asked; exit 0\" TERM; while :; do sleep 0.05; done')
stubborn = Process(
  name = 'stubborn',
  cmdline = 'trap \"echo asked > asked\" TERM; echo $$ > waits; while :; do sleep 0.05; done')
last = Process(name = 'last', cmdline = 'echo cleaned up > cleaned', final = True)
serve = Process(
  name = 'serve',
  cmdline = 'echo {{thermos.ports[http]}} {{thermos.ports[admin]}} {{mesos.instance}} > ports')

export(Task(name = 'good', processes = [hello]))
export(Task(name = 'bad', processes = [fail, never, last], constraints = order(fail, never)))
export(Task(name = 'waiting', processes = [wait, last]))
export(Task(name = 'stubborn', processes = [stubborn, last], finalization_wait = 600))
export(Task(name = 'ports', processes = [serve]))
export(SimpleTask('bound', 'echo {{greeting}} > greeting').bind(greeting = 'good day'))
";

impl Tasks {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join("tasks.thermos"), FILE).unwrap();
        Self { home }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = airglow(self.home.path());
        command.arg("run").arg(self.home.path().join("tasks.thermos")).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        let ran = Ran::new(args, &self.command(args).output().unwrap());
        assert_eq!(processes_below(self.home.path()), [], "airglow run left processes behind");
        ran
    }

    /// The only file of that name in any sandbox.
    fn file(&self, name: &str) -> Option<String> {
        let files = files_below(self.home.path());
        let file = files.iter().find(|it| it.file_name().is_some_and(|it| it == name))?;
        fs::read_to_string(file).ok().filter(|it| it.ends_with('\n'))
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        end_all_below(self.home.path());
    }
}

#[test]
fn a_task_is_run_and_its_output_is_ours() {
    let tasks = Tasks::new();
    let ran = tasks.run(&["good", "--task-id", "hello-1"]).code(0);
    assert_eq!(ran.stdout, "hello from hello-1\n");
    let ran = ran.says("oops\n").says("hello: SUCCESS after").says("FINISHED after");
    let sandbox = ran.stderr.lines().find_map(|it| it.trim().strip_prefix("Sandbox: ")).unwrap();
    let log = Path::new(sandbox).join(".logs/hello/0/stdout");
    assert_eq!(fs::read_to_string(log).unwrap(), "hello from hello-1\n");
    tasks.run(&["good", "--task-id", "hello-1"]).code(6).says("There has been a task hello-1");
    tasks.run(&["good"]).code(0);
}

#[test]
fn a_failed_task_is_told_by_the_exit_code_after_it_was_cleaned_up() {
    let tasks = Tasks::new();
    let ran = tasks.run(&["bad"]).code(1).says("fail: FAILED after").says("(exit 3)");
    let ran = ran.says("FAILED after").says("Task failed.");
    // With several processes each line says whose it is.
    assert_eq!(ran.stdout, "fail | about to fail\n");
    assert_eq!(tasks.file("cleaned").as_deref(), Some("cleaned up\n"));
}

#[test]
fn the_result_can_be_json() {
    let tasks = Tasks::new();
    let sandbox = tasks.home.path().join("here");
    let ran = tasks.run(&["bad", "--write-json", "--sandbox", sandbox.to_str().unwrap()]).code(1);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&result["state"], &result["message"]), (&"FAILED".into(), &"Task failed.".into()));
    let processes = result["view"]["processes"].as_array().unwrap();
    let states: Vec<_> = processes.iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["FAILED", "WAITING", "SUCCESS"]);
    let told = Path::new(result["sandbox"].as_str().unwrap());
    assert!(told.starts_with(sandbox.canonicalize().unwrap()), "{told:?}");
    assert!(told.join("cleaned").exists());
}

#[test]
fn ports_and_names_are_given_or_chosen() {
    let tasks = Tasks::new();
    let port = free_port().to_string();
    tasks
        .run(&["ports", "-P", &format!("http:{port}")])
        .code(0)
        .says(&format!("http {port}"))
        .says("(chosen)");
    let ports = tasks.file("ports").unwrap();
    let [http, admin, instance] = ports.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{ports}")
    };
    assert_eq!((http, instance), (port.as_str(), "0"));
    assert!((31_000..=32_000).contains(&admin.parse().unwrap()), "{admin}");
    tasks.run(&["bound", "-E", "greeting=hi"]).code(0);
    assert_eq!(tasks.file("greeting").as_deref(), Some("hi\n"));
}

#[test]
fn what_cannot_be_run_is_refused_with_the_usual_codes() {
    let tasks = Tasks::new();
    tasks.run(&[]).code(3).says("Multiple tasks in config but no task name specified!");
    tasks.run(&["third"]).code(3).says("Could not find task third!");
    tasks.run(&["good", "-P", "http"]).code(2).says("a port is written name:number");
    tasks.run(&["good", "-E", "x"]).code(2);
    let nobody = "no-such-user-here";
    let refused = tasks.run(&["good", "--user", nobody]).code(1);
    refused.says("user").says(nobody);
    for (text, told) in [
        ("", "No tasks specified!"),
        ("export(SimpleTask('t', 'echo {{who}}'))", "Unexpected unbound refs: {{who}}"),
    ] {
        let file = tasks.home.path().join("other.thermos");
        fs::write(&file, text).unwrap();
        let args = ["run", file.to_str().unwrap()];
        let output = airglow(tasks.home.path()).args(args).output().unwrap();
        Ran::new(&args, &output).code(3).says(told);
    }
}

/// Starts the task and comes back when it is in the middle of it.
fn begun(tasks: &Tasks, name: &str) -> std::process::Child {
    let mut command = tasks.command(&[name]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the task runs", || tasks.file("waits"));
    child
}

fn interrupt(child: &std::process::Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
}

#[test]
fn ctrl_c_asks_the_task_to_end_and_lets_it_clean_up() {
    let tasks = Tasks::new();
    let child = begun(&tasks, "waiting");
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    Ran::new(&["run", "waiting"], &output).code(130).says("KILLED after");
    assert_eq!(tasks.file("asked").as_deref(), Some("asked\n"));
    assert_eq!(tasks.file("cleaned").as_deref(), Some("cleaned up\n"));
    assert_eq!(processes_below(tasks.home.path()), []);
}

#[test]
fn a_second_ctrl_c_ends_what_does_not_want_to() {
    let tasks = Tasks::new();
    let mut child = begun(&tasks, "stubborn");
    interrupt(&child);
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    eventually("it was asked to end", || tasks.file("asked"));
    interrupt(&child);
    assert!(told.any(|it| it.contains("KILLED after")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes_below(tasks.home.path()), []);
}

#[test]
fn a_job_of_a_configuration_is_run_as_it_would_be_in_its_cluster() {
    let tasks = Tasks::new();
    let mut command = airglow(tasks.home.path());
    let port = free_port();
    command.arg("run").arg(crate::cluster::example("healthy"));
    let given = format!("health:{port}");
    let mut child = command
        .args(["healthy", "-P", &given])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(told.any(|it| it.contains("Task is healthy.")), "it is checked");
    assert_eq!(fetch(&format!("http://127.0.0.1:{port}/health")).as_deref(), Some("ok"));
    interrupt(&child);
    assert!(told.any(|it| it.contains("KILLED after")));
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(output.any(|it| it == "asked for /quitquitquit"), "it was asked to leave");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes_below(tasks.home.path()), []);
}

#[test]
fn the_exported_example_works() {
    let tasks = Tasks::new();
    let file = format!("{}/deploy/examples/backup.thermos", env!("CARGO_MANIFEST_DIR"));
    let args = ["run", &file, "backup", "-E", "what=/etc/hosts"];
    let output = airglow(tasks.home.path()).args(args).output().unwrap();
    let ran = Ran::new(&args, &output).code(0).says("check | etc/hosts");
    assert!(ran.stdout.contains("report | -rw"), "{}", ran.stdout);
    let names = airglow(tasks.home.path()).args(["run", &file]).output().unwrap();
    Ran::new(&["run", &file], &names).code(3).says("backup").says("restore");
}
