//! What is wrong, and that it is said so that it can be put right.

use super::*;

/// The error's lines, the folder taken out of their places.
fn told(text: &str) -> Vec<String> {
    let error = load_text("test.aurora", text, &[]).unwrap_err().to_string();
    error.lines().map(without_folder).collect()
}

fn told_of_python(text: &str) -> String {
    let error = load_python(text, &[]).unwrap_err().to_string();
    error.lines().map(without_folder).collect::<Vec<_>>().join("\n")
}

fn without_folder(line: &str) -> String {
    let name = "test.aurora";
    match (line.rfind(" (/"), line.rfind(name)) {
        (Some(start), Some(end)) if start < end => format!("{} ({}", &line[..start], &line[end..]),
        _ => line.to_owned(),
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_with_their_lines() {
    let text = "\
p = Process(nme = 'p',
            cmdline = 'true')
task = Task(
  processes = [p],
  max_failures = 'many',
  resources = Resources(cpu = 'x', ram = [], disk = None))
jobs = [
  Job(cluster = 'c', task = task,
      instances = '{{count}}', contact = '{{who}}', service = 'yes'),
]
";
    assert_eq!(
        told(text),
        [
            "Unknown schema attribute nme in Process, did you mean name? (test.aurora:1, Process[nme])",
            "Process[name] is required. (test.aurora:1, /task/processes/0/name)",
            "Cannot coerce 'many' to Integer (test.aurora:3, Task[max_failures])",
            "Cannot coerce 'x' to Float (test.aurora:6, Resources[cpu])",
            "Cannot coerce '[…]' to Integer (test.aurora:6, Resources[ram])",
            "Cannot coerce 'None' to Integer (test.aurora:6, Resources[disk])",
            "Cannot coerce 'yes' to Boolean (test.aurora:8, Job[service])",
            "Config contains unbound variables: {{who}} (test.aurora:8, /contact)",
            "Config contains unbound variables: {{count}} (test.aurora:8, /instances)",
            "Role required for job \"\" (test.aurora:8, /role)",
        ]
    );
}

#[test]
fn the_usual_words_for_what_is_missing() {
    let table = [
        ("jobs = [Job(name = 'j', cluster = 'c', task = task)]", "Role required for job \"j\""),
        ("jobs = [Job(name = 'j', role = 'r', task = task)]", "Cluster required for job \"j\""),
        ("jobs = [Job(name = 'j', role = 'r', cluster = 'c')]", "Task required for job \"j\""),
        (
            "jobs = [job(task = Task(name = 't', resources = task.resources()))]",
            "Processes required for task on job \"n\"",
        ),
        ("jobs = [job(task = Task(processes = task.processes()))]", "Task must specify resources!"),
        (
            "jobs = [job(container = Container())]",
            "If a container is specified it must set one type.",
        ),
        (
            "jobs = [job(environment = Empty, contact = '{{docker.image[library/python][2.7-slim]}}')]",
            "Config contains unbound variables: {{docker.image[library/python][2.7-slim]}}",
        ),
        (
            "jobs = [job(name = 'n-{{mesos.instance}}')]",
            "Config contains unbound variables: {{mesos.instance}}",
        ),
        (
            "jobs = [job(task = task(processes = [Process(name = 'p', cmdline = '{{x}} {{mesos.hostname}}')]))]",
            "Task is invalid: Unexpected unbound refs: {{x}}. Make sure you are not nesting template variables.",
        ),
        ("jobs = [job(contact = '{{ foo }}')]", "Invalid reference {{ foo }}"),
        ("Mode('RX')", "Enum_RO_RW only accepts the following values: RO, RW"),
        ("Integer('abc')", "Cannot coerce 'abc' to Integer"),
        (
            "jobs = [job(task = Process(name = 'x', cmdline = 'y'))]",
            "Cannot coerce 'Process(…)' to Task",
        ),
        ("jobs = [job, 5]", "TypeError: jobs[1] is 5, not a Job"),
        ("jobs = job", "TypeError: jobs must be a list of Job objects"),
    ];
    for (text, expected) in table {
        let told = told_of_python(text);
        assert!(told.starts_with(expected), "{text}\n{told}");
    }
}

#[test]
fn python_s_own_errors_name_the_line_and_help() {
    let table = [
        ("foo(\n", "invalid syntax"),
        ("print \"hello\"", "write print(\"hello\")"),
        ("try:\n  pass\nexcept ValueError, e:\n  pass", "write except ValueError as e:"),
        ("x = 0755", "write 0o755"),
        ("jobs = [Jbo()]", "name 'Jbo' is not defined (test.aurora:5); did you mean Job?"),
        ("x = {}['y']", "KeyError: 'y' (test.aurora:5)"),
        ("def f():\n  return 1 / 0\nf()", "ZeroDivisionError: division by zero (test.aurora:6)"),
        ("def f(): return f()\nf()", "RecursionError: "),
        ("x = []\nx.append(x)\njob(metadata = x)", "RecursionError: "),
        ("import nope", "ModuleNotFoundError: No module named 'nope' (test.aurora:5)"),
        ("raise ValueError('Not this way')", "Not this way (test.aurora:5)"),
        ("task.nope()", "AttributeError: "),
        ("include(open('/dev/null'))", "not a file"),
        ("include(5)", "You may not include() anything from filelike objects."),
        ("include('nope.aurora')", "cannot include "),
    ];
    for (text, expected) in table {
        let told = told_of_python(text);
        assert!(told.contains(expected), "{text}\n{told}");
    }
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let error = load_file("recursion.aurora", &[]).unwrap_err().to_string();
    assert!(error.contains("includes itself"), "{error}");
}

#[test]
fn a_mistake_in_an_included_file_names_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner.aurora");
    let outer = folder.path().join("outer.aurora");
    std::fs::write(&inner, "\n\nProcess(nme = 'x')\n").unwrap();
    std::fs::write(&outer, "include('inner.aurora')\n").unwrap();
    let error = load_in(&outer, &options(&[]), environment()).unwrap_err().to_string();
    assert!(error.contains("inner.aurora:3"), "{error}");
}

#[test]
fn the_picture_points_at_the_field() {
    let text = "p = Process(\n  name = 'p',\n  comandline = 'x')\n";
    let error = load_text("test.aurora", text, &[]).unwrap_err();
    let mut picture = String::new();
    let handler =
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut picture, &error).unwrap();
    assert!(picture.contains("3 │   comandline = 'x')"), "{picture}");
}
