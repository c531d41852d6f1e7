//! Whole files in, specifications or errors out.

use std::{path::PathBuf, time::Duration};

use airglow_model::spec::{
    Complaint, Container, HealthChecker, Image, JobSpec, ProcessSpec, SlaPolicy, UpdateStrategy,
};

use super::*;

mod language;
mod mistakes;
mod tasks;

const MB: i64 = 1 << 20;

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/aurora/testdata").join(name)
}

fn environment() -> Vec<(String, String)> {
    [("USER", "steve"), ("HOME", "/home/steve")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn options(binds: &[(&str, &str)]) -> Options {
    let binds = binds.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Options { binds, ..Options::default() }
}

fn load_file(name: &str, binds: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load_in(&testdata(name), &options(binds), environment())
}

/// Evaluates a file called `name` in a folder of its own.
fn load_text(name: &str, text: &str, binds: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    load_in(&path, &options(binds), environment())
}

/// Evaluates Python in which `task` and `job` are there to begin with.
fn load_python(text: &str, binds: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let beginning = "\
task = Task(
  processes = [Process(name = 'hello', cmdline = 'echo hello')],
  resources = Resources(cpu = 1, ram = 1*MB, disk = 1*MB))
job = Job(cluster = 'c', role = 'r', environment = 'e', name = 'n', task = task)
";
    load_text("test.aurora", &format!("{beginning}{text}"), binds)
}

/// The jobs of Python as [`load_python`] takes it.
fn jobs(text: &str) -> Vec<JobSpec> {
    load_python(text, &[]).unwrap().jobs
}

/// What the job's only process runs.
fn cmdline(text: &str) -> String {
    jobs(text).remove(0).task.processes.remove(0).cmdline
}

fn key(job: &JobSpec) -> String {
    format!("{}/{}/{}/{}", job.cluster, job.role, job.environment, job.name)
}

fn keys(loaded: &Loaded) -> Vec<String> {
    loaded.jobs.iter().map(key).collect()
}

fn order(job: &JobSpec) -> Vec<String> {
    job.task.constraints.iter().map(|it| it.order.join("<")).collect()
}

#[test]
fn a_service() {
    let loaded = load_file("service.aurora", &[]).unwrap();
    assert_eq!(keys(&loaded), ["devcluster/www-data/prod/hello"]);
    let job = &loaded.jobs[0];
    assert!(job.service);
    assert_eq!(job.task.name, "hello");
    assert_eq!((job.task.resources.ram, job.task.resources.disk), (128 * MB, 128 * MB));
    assert_eq!(order(job), ["hello"]);
    assert!(job.task.processes[0].cmdline.contains("\n      sleep 10\n"));
}

#[test]
fn the_basic_example_takes_the_role_from_the_environment() {
    let loaded = load_file("hello_world.aurora", &[]).unwrap();
    assert_eq!(keys(&loaded), ["cluster1/steve/devel/hello_world"]);
    let process = &loaded.jobs[0].task.processes[0];
    assert_eq!((process.min_duration, process.max_failures), (15, 1));
}

#[test]
fn one_file_includes_another_and_makes_several_jobs_of_a_template() {
    let loaded = load_file("hello_world_productionized.aurora", &[]).unwrap();
    assert_eq!(
        keys(&loaded),
        [
            "cluster1/steve/devel/hello_world-cluster1",
            "cluster2/steve/devel/hello_world-cluster2",
            "local/steve/devel/hello_world-local",
        ]
    );
    let facts = |it: &JobSpec| (it.instances, it.task.resources.cpu, it.task.resources.ram / MB);
    let facts: Vec<_> = loaded.jobs.iter().map(facts).collect();
    assert_eq!(facts, [(25, 1.0, 512), (15, 1.0, 512), (1, 0.1, 32)]);
}

#[test]
fn the_sine_table_has_180_mappers_and_a_reducer() {
    let loaded = load_file("mapreduce.aurora", &[]).unwrap();
    let task = &loaded.jobs[0].task;
    assert_eq!((task.name.as_str(), task.max_concurrency), ("mapreduce", 8));
    assert_eq!((task.processes.len(), task.constraints.len()), (181, 180));
    assert_eq!(task.constraints[179].order, ["mapper179", "reducer"]);
    assert_eq!(
        task.processes[7].cmdline,
        "echo 'scale=50;s(7*4*a(1)/180)' | bc -l > temp.sine_table.007"
    );
}

#[test]
fn the_short_examples_of_the_reference() {
    let loaded = load_file("snippets.aurora", &[]).unwrap();
    let [echoes, ordered, fail, logging, ports, announced] = loaded.jobs.as_slice() else {
        panic!("six jobs")
    };
    let commands = |it: &JobSpec| -> Vec<String> {
        it.task.processes.iter().map(|it| it.cmdline.clone()).collect()
    };
    assert_eq!(commands(echoes), ["echo hello jim", "echo hello bob"]);
    assert_eq!(order(echoes), ["jim<bob"]);
    assert_eq!(order(ordered), ["jim<bob"]);
    let failures = |it: &ProcessSpec| (it.name.clone(), it.max_failures);
    let failures: Vec<_> = fail.task.processes.iter().map(failures).collect();
    assert_eq!(failures, [("failing".to_owned(), 10), ("succeeding".to_owned(), 10)]);
    assert_eq!(fail.task.max_failures, 2);
    let logger = logging.task.processes[0].logger.as_ref().unwrap();
    assert_eq!((logger.destination.as_str(), logger.mode.as_str()), ("both", "rotate"));
    assert_eq!(logger.rotate.as_ref().unwrap().log_size, 5 * MB);
    assert_eq!(commands(ports), ["./run_nginx.sh -port {{thermos.ports[http]}}"]);
    assert_eq!(ports.constraints["host"], "limit:2");
    assert_eq!(ports.announce.as_ref().unwrap().portmap["http"], "80");
    assert_eq!(announced.announce.as_ref().unwrap().portmap["aurora"], "http");
    assert_eq!(announced.update_config.batch_size, 2);
    assert!(loaded.warnings[0].starts_with("restart_threshold has no effect"), "{loaded:?}");
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn a_checksum_of_a_file_is_part_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program.py");
    std::fs::write(&program, "hello\n").unwrap();
    let text = format!(
        "
import hashlib
with open('{}', 'rb') as f:
  checksum = hashlib.md5(f.read()).hexdigest()
install = Process(name = 'fetch_package', cmdline = 'cp program.py . && echo %s' % checksum)
run = Process(name = 'hello_world', cmdline = 'python -u program.py')
jobs = [job(task = SequentialTask(processes = [install, run], resources = task.resources()))]
",
        program.display()
    );
    let job = &jobs(&text)[0];
    assert_eq!(
        job.task.processes[0].cmdline,
        "cp program.py . && echo b1946ac92492d2347c6235b4d2611184"
    );
    assert_eq!(order(job), ["fetch_package<hello_world"]);
}

#[test]
fn profiles_fill_templates_of_every_type() {
    let loaded = load_file("profiles.aurora", &[]).unwrap();
    let [plain, revocable, gpu, docker, image, appc] = loaded.jobs.as_slice() else {
        panic!("six jobs")
    };
    assert_eq!(key(plain), "devcluster/vagrant/test/http_example");
    assert_eq!((plain.instances, plain.task.resources.gpu), (2, 0));
    assert_eq!(plain.contact.as_deref(), Some("vagrant@localhost"));
    assert_eq!(order(plain), ["echo_ports<stage_server<run_server"]);
    let commands = plain.task.processes[0].cmdline.as_str();
    assert!(commands.contains("{{thermos.ports[tcp]}} http {{thermos.ports[http]}}; \n"));
    assert!(commands.contains("fetch http://repo/v1.tar\n"), "{commands}");
    assert!(plain.task.processes[1].cmdline.contains("print \"It's {{mesos.instance}}\" % {"));
    let HealthChecker { http, shell, .. } = &plain.health_check_config.health_checker;
    assert_eq!(http, &None);
    assert_eq!(shell.as_ref().unwrap().shell_command, "stat -f {{mesos.instance}}");
    assert_eq!(plain.health_check_config.initial_interval_secs, 5.0);
    assert!(revocable.task.processes[0].cmdline.contains("; date\n"));
    assert_eq!(revocable.tier.as_deref(), Some("revocable"));
    assert_eq!(gpu.task.resources.gpu, 1);
    let Some(Container::Docker { image: name, parameters }) = &docker.container else { panic!() };
    assert_eq!((name.as_str(), parameters[0].value.as_str()), ("python:2.7", "host"));
    let Some(Container::Mesos { image: Some(Image::Docker { tag, .. }), volumes }) =
        &image.container
    else {
        panic!("{:?}", image.container)
    };
    assert_eq!((tag.as_str(), volumes[0].mode.as_str()), ("latest", "RO"));
    let Some(Container::Mesos { image: Some(Image::Appc { image_id, .. }), .. }) = &appc.container
    else {
        panic!("{:?}", appc.container)
    };
    assert_eq!(image_id, "sha512-0");
}

#[test]
fn the_command_line_overrides_a_part_of_a_profile() {
    let loaded = load_file("profiles.aurora", &[("profile.instances", "7")]).unwrap();
    assert_eq!(loaded.jobs[0].instances, 7);
    assert!(loaded.jobs[0].task.processes[0].cmdline.contains("repo/v1.tar"));
}

#[test]
fn what_works_and_should_be_changed_is_warned_of() {
    let text = "
jobs = [job(production = True), job(name = 'm', announce = Announcer(primary_port = 'admin')),
        job(name = 'o', cron_collision_policy = 'RUN_OVERLAP')]";
    let warnings = load_python(text, &[]).unwrap().warnings;
    let about: Vec<_> = warnings.iter().map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(about, ["c/r/e/n:", "c/r/e/m:"], "{warnings:?}");
}

#[test]
fn policies_of_every_kind() {
    let loaded = load_file("policies.aurora", &[]).unwrap();
    let [count, percentage, coordinator, _, disabled, delay, batches, cron] =
        loaded.jobs.as_slice()
    else {
        panic!("eight jobs")
    };
    assert_eq!((count.instances, count.tier.as_deref()), (2, Some("preferred")));
    assert_eq!(count.sla_policy, Some(SlaPolicy::Count { count: 1, duration_secs: 15 }));
    let half = SlaPolicy::Percentage { percentage: 50.0, duration_secs: 15 };
    assert_eq!(percentage.sla_policy, Some(half));
    let asked = SlaPolicy::Coordinator {
        coordinator_url: "http://localhost:9000".into(),
        status_key: "ok".into(),
    };
    assert_eq!(coordinator.sla_policy, Some(asked));
    assert!(!disabled.partition_policy.as_ref().unwrap().reschedule);
    assert_eq!(delay.partition_policy.as_ref().unwrap().delay_secs, 86_400);
    let strategy =
        UpdateStrategy::VariableBatch { batch_sizes: vec![1, 2, 3], autopause_after_batch: false };
    assert_eq!(batches.update_config.update_strategy, Some(strategy));
    assert_eq!(key(cron), "devcluster/www-data/test/cron");
    assert_eq!(cron.cron_collision_policy, "kill_existing");
    let resources = cron.task.resources;
    assert_eq!((resources.cpu, resources.ram / MB, resources.disk / MB), (1.0, 1024, 1024));
}

#[test]
fn daemons_beside_a_main_process() {
    let loaded = load_file("daemons.aurora", &[("stop_file", "/tmp/stop")]).unwrap();
    let [main, daemon, last] = loaded.jobs[0].task.processes.as_slice() else { panic!() };
    assert_eq!(main.cmdline, "while [ ! -e /tmp/stop ]; do sleep 1; done");
    assert!(daemon.daemon && daemon.ephemeral && last.is_final);
    assert_eq!(loaded.jobs[0].task.finalization_wait, 5);
    let unbound = load_file("daemons.aurora", &[]).unwrap_err().to_string();
    assert!(unbound.contains("Unexpected unbound refs: {{stop_file}}"), "{unbound}");
}

#[test]
fn json_files_have_templates_and_strict_names() {
    let loaded = load_file("jobs.json", &[]).unwrap();
    assert_eq!(keys(&loaded), ["devcluster/www-data/prod/hello-devcluster"]);
    let job = &loaded.jobs[0];
    assert_eq!((job.service, job.instances), (true, 2));
    assert_eq!(job.task.processes[0].cmdline, "echo hello of www-data on {{thermos.ports[http]}}");
    let text = std::fs::read_to_string(testdata("jobs.json")).unwrap();
    let misspelt = text.replace("\"service\"", "\"servise\"").replace("\"2\"", "\"two\"");
    let error = load_text("jobs.json", &misspelt, &[]).unwrap_err().to_string();
    assert!(error.contains("Unknown schema attribute servise in Job, did you mean service?"));
    assert!(error.contains("Cannot coerce 'two' to Integer"), "{error}");
    assert!(error.contains("jobs.json:5, /jobs/0/servise"), "{error}");
    assert!(error.contains("jobs.json:5, /jobs/0/instances"), "{error}");
    let broken = load_text("jobs.json", "{\n\"jobs\": [,]}", &[]).unwrap_err().to_string();
    assert!(broken.contains("jobs.json:2"), "{broken}");
}

#[test]
fn yaml_files_have_the_same_shape() {
    let loaded = load_file("jobs.yaml", &[("release", "v7")]).unwrap();
    assert_eq!(keys(&loaded), ["devcluster/www-data/devel/hello"]);
    assert_eq!(loaded.jobs[0].task.processes[0].cmdline, "echo v7\n");
    let broken = load_text("jobs.yml", "a: b: c\n", &[]).unwrap_err().to_string();
    assert!(broken.contains("jobs.yml:1"), "{broken}");
}

#[test]
fn a_job_is_picked_by_parts_of_its_key() {
    let loaded = load_file("hello_world_productionized.aurora", &[]).unwrap();
    let found = loaded.find(Some("cluster2"), Some("steve"), None, Some("hello_world-cluster2"));
    assert_eq!(found.map(|it| it.instances).unwrap(), 15);
    let message = |found: Result<&JobSpec, ConfigError>| found.unwrap_err().to_string();
    assert_eq!(
        message(loaded.find(Some("local"), None, None, Some("x"))),
        "Could not find job local/*/*/x\nCandidates are:\n  \
         cluster1/steve/devel/hello_world-cluster1\n  \
         cluster2/steve/devel/hello_world-cluster2\n  \
         local/steve/devel/hello_world-local"
    );
    let unnamed = message(loaded.find(None, None, None, None));
    assert!(unnamed.starts_with("Configuration has multiple jobs but no job name specified!"));
    let twice = load_python("jobs = [job, job(cluster = 'd')]", &[]).unwrap();
    let several = message(twice.find(None, None, None, Some("n")));
    assert_eq!(
        several,
        "Multiple jobs match, please disambiguate by specifying a job key.\n\
         Candidates are:\n  c/r/e/n\n  d/r/e/n"
    );
    let none = load_text("none.aurora", "", &[]).unwrap();
    assert_eq!(message(none.find(None, None, None, None)), "No job defined in this config!");
}

#[test]
fn later_complaints_are_explained_with_the_line_they_are_about() {
    let text = "jobs = [\n  job(\n    instances = -5)]\n";
    let loaded = load_python(text, &[]).unwrap();
    let complaint =
        Complaint { pointer: "/instances".into(), detail: "must be positive".to_owned() };
    let error = loaded.explain(&loaded.jobs[0], vec![complaint]);
    let mut picture = String::new();
    let handler =
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut picture, &error).unwrap();
    assert!(picture.contains("instances = -5)"), "{picture}");
    let loaded = load_file("jobs.json", &[]).unwrap();
    let complaint = Complaint { pointer: "/service".into(), detail: "no".to_owned() };
    let error = loaded.explain(&loaded.jobs[0], vec![complaint]).to_string();
    assert!(error.contains("jobs.json:3, /service"), "{error}");
}

#[test]
fn an_endless_loop_is_stopped_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loop.aurora");
    let options = Options { time_limit: Duration::from_millis(50), ..Options::default() };
    for text in ["x = 1\nwhile True: pass\n", "while True:\n  try: x = 1\n  except: pass\n"] {
        std::fs::write(&path, text).unwrap();
        let error = load_in(&path, &options, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("still running after 50ms"), "{error}");
        assert!(error.contains("loop.aurora"), "{error}");
    }
}
