use serde_json::{Value, json};

use super::*;
use crate::spec::{Container, Image, SlaPolicy, UpdateStrategy};

fn hello() -> Value {
    json!({
        "cluster": "devcluster", "role": "www-data",
        "task": {
            "processes": [{"name": "hello", "cmdline": "echo hello"}],
            "resources": {"cpu": 1, "ram": "134217728", "disk": 8.9},
        },
    })
}

/// `hello` with the value at `pointer` replaced, as `pointer: detail` lines.
fn complaints(changes: &[(&str, Value)]) -> String {
    let mut job = hello();
    for (pointer, value) in changes {
        let (outer, name) = pointer.rsplit_once('/').unwrap();
        job.pointer_mut(outer).unwrap()[name] = value.clone();
    }
    let complaints = read_job(&job).err().unwrap_or_default();
    complaints.iter().map(|it| format!("{it}\n")).collect()
}

#[test]
fn what_is_left_out_has_the_value_that_users_were_told() {
    let job = read_job(&hello()).unwrap();
    assert_eq!((job.name.as_str(), job.task.name.as_str()), ("hello", "hello"));
    assert_eq!((job.environment.as_str(), job.instances), ("devel", 1));
    assert_eq!((job.task.resources.ram, job.task.resources.disk), (134_217_728, 8));
    assert_eq!(job.task.processes[0].min_duration, 15);
    assert_eq!(job.task.finalization_wait, 30);
    assert_eq!(job.lifecycle, crate::spec::LifecycleConfig::usual());
    assert_eq!(job.update_config, crate::spec::UpdateConfig::default());
    assert_eq!(job.health_check_config, crate::spec::HealthCheckConfig::default());
    assert_eq!(job.executor_config, crate::spec::ExecutorConfig::default());
}

#[test]
fn a_job_is_read_back_as_it_is_written() {
    let job = read_job(&hello()).unwrap();
    assert_eq!(read_job(&serde_json::to_value(&job).unwrap()), Ok(job));
}

#[test]
fn every_object_with_everything_set_is_taken_by_the_types() {
    let mut job = hello();
    let set = |job: &mut Value, name: &str, value| job[name] = value;
    set(&mut job, "announce", json!({}));
    set(&mut job, "partition_policy", json!({}));
    set(&mut job, "metadata", json!([{"key": "k", "value": 1}]));
    set(&mut job, "constraints", json!({"host": "limit:1"}));
    set(&mut job, "task_links", json!({"a": "b"}));
    job["task"]["constraints"] = json!([{"order": ["hello"]}, {}]);
    job["task"]["processes"][0]["logger"] = json!({"rotate": {}});
    job["task"]["processes"][0]["resources"] = json!({"cpu": 1, "ram": 1, "disk": 1});
    job["health_check_config"] =
        json!({"health_checker": {"tcp": {}, "shell": {"shell_command": "true"}}});
    let job = read_job(&job).unwrap();
    let portmap = job.announce.unwrap().portmap;
    assert_eq!(portmap.into_iter().collect::<Vec<_>>(), [("aurora".to_owned(), "http".to_owned())]);
    assert_eq!(job.task.processes[0].logger.as_ref().unwrap().destination, "file");
    assert_eq!(job.health_check_config.health_checker.tcp.unwrap().port, "health");
}

#[test]
fn all_mistakes_are_told_at_once_and_where() {
    let told = complaints(&[
        ("/role", Value::Null),
        ("/instances", json!("many")),
        ("/naem", json!("x")),
        ("/service", json!("yes")),
        ("/task/processes", json!([{"nme": "x", "cmdline": "y"}, 7])),
        ("/task/resources", json!({"cpu": "1e1", "ram": [], "disk": 1})),
        ("/update_config", json!({"restart_threshold": 60, "watch_sec": 1})),
    ]);
    assert_eq!(
        told,
        "\
/naem: Unknown schema attribute naem in Job, did you mean name?
/instances: Cannot coerce 'many' to Integer
/task/processes/0/nme: Unknown schema attribute nme in Process, did you mean name?
/task/processes/0/name: Process[name] is required.
/task/processes/1: Cannot coerce '7' to Process
/task/resources/ram: Cannot coerce '[]' to Integer
/update_config/watch_sec: Unknown schema attribute watch_sec in UpdateConfig, did you mean watch_secs?
/service: Cannot coerce 'yes' to Boolean
/role: Role required for job \"\"
"
    );
}

#[test]
fn what_is_missing_is_told_in_the_usual_words() {
    let told = read_job(&json!({"name": "j"})).unwrap_err();
    let told: Vec<_> = told.into_iter().map(|it| it.detail).collect();
    let required = ["Cluster", "Role", "Task"].map(|it| format!("{it} required for job \"j\""));
    assert_eq!(told, required);
    assert_eq!(
        complaints(&[("/name", json!("j")), ("/task", json!({}))]),
        "/task/processes: Processes required for task on job \"j\"\n\
         /task/resources: Task must specify resources!\n"
    );
    assert_eq!(
        complaints(&[("/task/processes", json!([]))]),
        "/task/name: Processes required for task on job \"\"\n"
    );
    assert_eq!(complaints(&[("/task", json!("x"))]), "/task: Cannot coerce 'x' to Task\n");
}

#[test]
fn alternatives_are_told_apart_by_their_fields() {
    let with = |name: &str, value: Value| {
        let mut job = hello();
        job[name] = value;
        read_job(&job)
    };
    let docker = Some(Container::Docker { image: "x".into(), parameters: vec![] });
    assert_eq!(with("container", json!({"image": "x"})).unwrap().container, docker);
    assert_eq!(with("container", json!({"docker": {"image": "x"}})).unwrap().container, docker);
    let image = Some(Image::Docker { name: "n".into(), tag: "t".into() });
    assert_eq!(
        with("container", json!({"image": {"name": "n", "tag": "t"}})).unwrap().container,
        Some(Container::Mesos { image, volumes: vec![] })
    );
    assert_eq!(
        with("sla_policy", json!({"count": 2, "duration_secs": 3})).unwrap().sla_policy,
        Some(SlaPolicy::Count { count: 2, duration_secs: 3 })
    );
    let strategy = |value| {
        let config = with("update_config", json!({"update_strategy": value})).unwrap();
        config.update_config.update_strategy.unwrap()
    };
    assert_eq!(strategy(json!({"batch_size": 3})), UpdateStrategy::Queue { batch_size: 3 });
    assert_eq!(
        strategy(json!({"autopause_after_batch": true})),
        UpdateStrategy::Batch { batch_size: 1, autopause_after_batch: true }
    );
    assert_eq!(
        strategy(json!({"batch_sizes": [1, "2"]})),
        UpdateStrategy::VariableBatch { batch_sizes: vec![1, 2], autopause_after_batch: false }
    );
}

#[test]
fn a_container_is_one_and_its_mistakes_are_its_own() {
    let one = "/container: If a container is specified it must set one type.\n";
    assert_eq!(complaints(&[("/container", json!({}))]), one);
    let both = json!({"docker": {"image": "x"}, "mesos": {}});
    assert_eq!(complaints(&[("/container", both)]), one);
    let volume = json!({"container_path": "/a", "host_path": "/b", "mode": "X"});
    assert_eq!(
        complaints(&[(
            "/container",
            json!({"image": {"name": "n", "tag": "t"}, "volumes": [volume]})
        )]),
        "/container/volumes/0/mode: Enum_RO_RW only accepts the following values: RO, RW\n"
    );
}

#[test]
fn the_api_documentation_knows_every_object_that_it_mentions() {
    let schemas = json_schema();
    let text = schemas.to_string();
    for mentioned in text.split("#/components/schemas/").skip(1) {
        let name = mentioned.split('"').next().unwrap();
        assert!(schemas.get(name).is_some(), "{name}");
    }
    assert_eq!(schemas["Process"]["properties"]["min_duration"]["default"], 15);
    assert_eq!(schemas["Job"]["required"], json!(["cluster", "role", "task"]));
}

#[test]
fn likely_names_are_suggested_and_unlikely_ones_are_not() {
    let names = || JOB.fields.iter().map(|it| it.name);
    for (word, name) in [("instance", Some("instances")), ("enviroment", Some("environment"))] {
        assert_eq!(closest(word, names()), name);
    }
    assert_eq!(closest("colour", names()), None);
}

#[test]
fn whatever_is_wrong_the_rest_can_be_read() {
    let wrong = [json!([]), json!({}), json!("x"), json!({"x": 1}), json!([null, {"x": 1}])];
    for field in JOB.fields {
        for value in &wrong {
            let mut job = hello();
            job[field.name] = value.clone();
            assert!(read_job_leniently(&job).0.is_some(), "{} {value}", field.name);
        }
    }
    for object in OBJECTS {
        for field in object.fields.iter().filter(|it| matches!(it.presence, Presence::Required)) {
            assert!(!matches!(field.kind, Kind::Choice(_)), "{}[{}]", object.name, field.name);
        }
    }
}

#[test]
fn what_is_left_out_for_a_mistake_is_replaced_by_its_type() {
    let mut job = hello();
    job["role"] = json!([]);
    job["environment"] = json!([]);
    job["task"]["processes"] = json!([{"name": "p"}, 7]);
    job["task"]["resources"] = json!({"cpu": "x", "ram": 5});
    job["sla_policy"] = json!({"count": "x", "duration_secs": 3});
    let (job, complaints) = read_job_leniently(&job);
    let job = job.unwrap();
    assert_eq!(complaints.len(), 7);
    assert_eq!((job.role.as_str(), job.environment.as_str()), ("placeholder", "devel"));
    assert_eq!((job.name.as_str(), job.task.processes.len()), ("p", 2));
    let crate::spec::ResourceSpec { cpu, ram, disk, .. } = job.task.resources;
    assert_eq!((cpu.to_bits(), ram, disk), (1.0_f64.to_bits(), 5, 1));
    assert_eq!(job.sla_policy, Some(SlaPolicy::Count { count: 1, duration_secs: 3 }));
}
