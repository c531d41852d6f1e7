//! Tasks that are run by themselves: `.thermos` files, and what else can be named on a command line.

use super::*;

const TWO: &str = "\
hello = Process(name = 'hello', cmdline = 'echo {{thermos.user}} {{greeting}} {{thermos.ports[x]}}')
export(Task(name = 'first', processes = [hello]))
export(SimpleTask('second', 'true').bind(greeting = 'hi'))
";

fn load_thermos(text: &str) -> Result<Loaded, ConfigError> {
    load_text("test.thermos", text, &[("greeting", "good day")])
}

fn refused(loaded: &Loaded, name: Option<&str>) -> String {
    loaded.runnable(name).unwrap_err().to_string()
}

#[test]
fn a_file_exports_tasks() {
    let options = Options { user: Some("joe".into()), ..options(&[("greeting", "good day")]) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.thermos");
    std::fs::write(&path, TWO).unwrap();
    let loaded = load_in(&path, &options, environment()).unwrap();
    assert_eq!(loaded.jobs, []);
    let [first, second] = &loaded.tasks[..] else { panic!("{:?}", loaded.tasks) };
    assert_eq!(first.task.processes[0].cmdline, "echo joe good day {{thermos.ports[x]}}");
    assert_eq!((first.task.name.as_str(), first.role.as_str()), ("first", "joe"));
    let bound = "echo_it = Process(name = 'p', cmdline = 'echo {{greeting}}')\n\
                 export(Task(processes = [echo_it]).bind(greeting = 'hi'))";
    let bound = load_thermos(bound).unwrap();
    assert_eq!(bound.tasks[0].task.processes[0].cmdline, "echo good day");
    assert_eq!((second.task.resources.cpu, second.task.resources.ram), (1.0, 1024 * MB));
    assert!(
        first.lifecycle.http.is_none() && first.health_check_config.health_checker.http.is_none()
    );

    assert_eq!(loaded.runnable(Some("second")).unwrap().task.name, "second");
    let several = "Multiple tasks in config but no task name specified!\n\
                   Candidates are:\n  first\n  second";
    assert_eq!(refused(&loaded, None), several);
    let none = "Could not find task third!\nCandidates are:\n  first\n  second";
    assert_eq!(refused(&loaded, Some("third")), none);
    let no_job = loaded.find(None, None, None, None).unwrap_err().to_string();
    assert!(no_job.starts_with("No job defined in this config!"), "{no_job}");
}

#[test]
fn an_exported_task_is_checked_like_any_other() {
    let told = |text| {
        let error = load_thermos(text).unwrap_err().to_string();
        let place = error.rfind(" (/").expect("it has a place");
        let name = error.rfind("test.thermos").expect("it names the file");
        format!("{} ({}", &error[..place], &error[name..])
    };
    assert_eq!(
        told("p = Process(name = 'p')\nexport(Task(processes = [p]))"),
        "Process[cmdline] is required. (test.thermos:1, /task/processes/0/cmdline)"
    );
    let unbound = told("\nexport(SimpleTask('t', 'echo {{who}}'))");
    assert!(unbound.starts_with("Task is invalid: Unexpected unbound refs: {{who}}."), "{unbound}");
    let nothing = told("export('x')");
    assert_eq!(nothing, "TypeError: export() takes a Task, not x (test.thermos:1)");
    assert_eq!(refused(&load_thermos("").unwrap(), None), "No tasks specified!");
}

#[test]
fn jobs_are_run_by_key_or_name_and_by_the_name_of_their_task() {
    let loaded = load_python(
        "jobs = [job, job(environment = 'test'), job(name = 'other')]\n\
         export(task(name = 'n'))\nexport(task(name = 'alone'))",
        &[],
    )
    .unwrap();
    let runnable = |name| loaded.runnable(Some(name)).map(key);
    assert_eq!(runnable("c/r/e/n").unwrap(), "c/r/e/n");
    assert_eq!(runnable("other").unwrap(), "c/r/e/other");
    assert_eq!(loaded.runnable(Some("alone")).unwrap().task.name, "alone");
    assert_eq!(
        refused(&loaded, Some("n")),
        "There are several called n, please name one's key.\n\
         Candidates are:\n  c/r/e/n\n  c/r/test/n"
    );
    let by_task = refused(&loaded, Some("hello"));
    assert!(by_task.contains("c/r/e/other"), "{by_task}");
    let only = load_python("jobs = [job]", &[]).unwrap();
    assert_eq!(only.runnable(None).map(key).unwrap(), "c/r/e/n");
}

#[test]
fn a_task_can_be_data() {
    let json = r#"{"name": "t", "processes": [{"name": "p", "cmdline": "echo {{greeting}}"}]}"#;
    let loaded = load_text("t.json", json, &[("greeting", "hi")]).unwrap();
    assert_eq!(loaded.runnable(None).unwrap().task.processes[0].cmdline, "echo hi");
    let yaml = "name: t\nprocesses:\n- name: p\n  cmdline: 'true'\n- name: q\n";
    let error = load_text("t.yaml", yaml, &[]).unwrap_err().to_string();
    assert!(error.contains("t.yaml:5, /processes/1"), "{error}");
}

#[test]
fn what_is_wrong_in_yaml_has_its_line() {
    let yaml = "\
jobs:
- cluster: c
  role: r
  task:
    processes: [{name: p, cmdline: 'true'}]
    resources: {cpu: 1, ram: 1048576,
                disk: much}
  colour: red
job: x
";
    let error = load_text("jobs.yaml", yaml, &[]).unwrap_err().to_string();
    for told in ["jobs.yaml:5, /jobs/0/task", "jobs.yaml:8, /jobs/0/colour", "jobs.yaml:9, /job)"] {
        assert!(error.contains(told), "{told}: {error}");
    }
}
