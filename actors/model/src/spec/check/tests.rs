use serde_json::{Value, json};

use super::*;
use crate::resources::Resources;

fn limits() -> Limits {
    Limits::usual("devcluster")
}

fn good() -> Value {
    json!({
        "cluster": "devcluster", "role": "www", "environment": "prod", "name": "web",
        "instances": 30,
        "task": {
            "name": "web",
            "processes": [{ "name": "web", "cmdline": "serve" }],
            "resources": { "cpu": 0.001, "ram": 4 << 20, "disk": (8 << 20) + 1 },
        },
    })
}

fn check(job: &Value) -> Result<Job, Vec<Complaint>> {
    serde_json::from_value::<JobSpec>(job.clone()).unwrap().check(&limits())
}

/// The good job with something else at some pointers.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut job = good();
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        job.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    job
}

/// What is wrong, a line each; empty if nothing is.
fn complaints(changes: &[(&str, Value)]) -> String {
    let found = check(&with(changes)).err().unwrap_or_default();
    found.iter().map(|it| format!("{it}\n")).collect()
}

#[test]
fn a_good_job_is_taken_and_says_what_it_needs() {
    let job = check(&good()).unwrap();
    assert_eq!(job.key.to_string(), "www/prod/web");
    assert_eq!((job.instances, job.config.kind), (30, Kind::Adhoc));
    let needs = Resources { cpu_milli: 1, ram_mb: 4, disk_mb: 8, gpus: 0 };
    assert_eq!(job.config.resources, needs);
    assert_eq!(job.config.tier, "preemptible");
    assert_eq!(job.config.spec.instances, 1);
}

#[test]
fn how_many_and_how_updated_make_no_other_configuration() {
    let other = with(&[("/instances", json!(31)), ("/update_config", json!({ "batch_size": 3 }))]);
    let (one, other) = (check(&good()).unwrap(), check(&other).unwrap());
    assert_eq!(one.config, other.config);
    assert_eq!(other.update_config.batch_size, 3);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = complaints(&[
        ("/cluster", json!("elsewhere")),
        ("/role", json!("a b")),
        ("/environment", json!("production")),
        ("/name", json!("x".repeat(256))),
        ("/instances", json!(4001)),
        ("/tier", json!("gold")),
        ("/service", json!(true)),
        ("/cron_schedule", json!("* * * * *")),
        ("/cron_collision_policy", json!("GARBAGE")),
        ("/task/max_failures", json!(-1)),
        (
            "/task/processes",
            json!([
                { "name": ".p", "cmdline": "a" },
                { "name": "q/r", "cmdline": "b {{nobody}}", "min_duration": -5 },
                { "name": "s", "cmdline": "c", "logger": { "destination": "tape", "rotate": { "log_size": 0 } } },
            ]),
        ),
        ("/task/resources", json!({ "cpu": 1.0, "ram": 1 << 19, "disk": 1 << 20, "gpu": 2 })),
        ("/constraints", json!({ "rack": "limit:x", "a/b": "limit:-1" })),
        ("/executor_config", json!({ "name": "other" })),
        ("/container", json!({ "docker": { "image": "busybox" } })),
    ]);
    assert_eq!(
        found,
        "\
/cluster: This is the cluster devcluster, and the job is for elsewhere
/constraints/a~1b: -1 is not a valid limit value, must be integer
/constraints/rack: x is not a valid limit value, must be integer
/container/docker: Docker containers are not available on this cluster
/cron_collision_policy: Invalid CronCollisionPolicy type: GARBAGE
/environment: Environment must be prod, devel, test or staging<number>, got production
/executor_config/name: There is no executor other here, only AuroraExecutor
/instances: A job may have 4000 instances, got 4001
/name: Invalid name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx': expected letters, digits, '_', '-' and '.', at most 255
/role: Invalid name 'a b': expected letters, digits, '_', '-' and '.', at most 255
/service: A cron job cannot be a service: its runs have to end
/task/max_failures: Value cannot be less than 0, got -1
/task/processes/0/name: Task has invalid process: Invalid process name: .p
/task/processes/1/cmdline: Failed to fully evaluate: {{nobody}} has no value
/task/processes/1/min_duration: Value cannot be less than 0, got -5
/task/processes/1/name: Task has invalid process: Invalid process name: q/r
/task/processes/2/logger/destination: Expected file, console, both or none, got tape
/task/processes/2/logger/rotate/log_size: Must be positive, got 0
/task/resources/gpu: This cluster does not give out GPUs
/task/resources/ram: Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:1.0 ramMb:0 diskMb:1
/tier: Invalid tier 'gold', expected one of preemptible, preferred, revocable
"
    );
}

#[test]
fn s70_names_and_numbers_at_their_edges() {
    let fine = |changes: &[(&str, Value)]| complaints(changes).is_empty();
    for environment in ["prod", "devel", "test", "staging", "staging12"] {
        assert!(fine(&[("/environment", json!(environment))]), "{environment}");
    }
    for environment in ["production", "staging1a", "staging-1", "Prod", ""] {
        assert!(!fine(&[("/environment", json!(environment))]), "{environment}");
    }
    assert!(fine(&[("/instances", json!(1))]) && fine(&[("/instances", json!(4000))]));
    for instances in [json!(0), json!(-1), json!(4001), json!(1_i64 << 40)] {
        assert!(!fine(&[("/instances", instances)]));
    }
    assert!(
        fine(&[("/role", json!("r".repeat(193)))]) && !fine(&[("/role", json!("r".repeat(194)))])
    );
    assert!(fine(&[("/cron_collision_policy", json!("kill_existing"))]));
    assert!(!fine(&[("/cron_collision_policy", json!("RUN_OVERLAP"))]));
}

#[test]
fn resources_are_positive_in_the_units_that_are_kept() {
    let resources = |cpu: f64, ram: i64, disk: i64| {
        complaints(&[("/task/resources", json!({ "cpu": cpu, "ram": ram, "disk": disk }))])
    };
    let text = [
        resources(0.0, 1 << 20, 1 << 20),
        resources(0.0004, 1 << 20, 1 << 20),
        resources(-1.0, -1, 1 << 20),
        resources(1.0, 0, 1 << 20),
    ]
    .concat();
    assert_eq!(
        text,
        "\
/task/resources/cpu: Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:0.0 ramMb:1 diskMb:1
/task/resources/cpu: Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:0.0004 ramMb:1 diskMb:1
/task/resources/cpu: Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:-1.0 ramMb:-1 diskMb:1
/task/resources/ram: Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:-1.0 ramMb:-1 diskMb:1
/task/resources/ram: Must specify ram and disk resources, got ram:0 disk:1048576
"
    );
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    let process = |name: &str| json!({ "name": name, "cmdline": "true" });
    let last = json!({ "name": "last", "cmdline": "true", "final": true });
    let order = |names: &[&str]| json!({ "order": names });
    let plan = |processes: &[Value], orders: &[Value]| {
        complaints(&[("/task/processes", json!(processes)), ("/task/constraints", json!(orders))])
    };
    let text = [
        plan(&[], &[]),
        plan(&[process("a"), process("b"), process("a")], &[order(&["b", "a", "b"])]),
        plan(&[process("a"), process("b")], &[order(&["a", "b", "a"])]),
        plan(&[process("a"), last.clone()], &[order(&["a", "last"])]),
        plan(&[process("a"), last], &[order(&["a"]), order(&["last"]), order(&["x", "y"])]),
    ]
    .join("--\n");
    assert_eq!(
        text,
        "\
/task/processes: Processes required for task
--
/task/processes/2/name: Process 0 has the name a already
--
/task/constraints: Task has invalid plan: Cycles detected in the task schedule!
--
/task/constraints: Task has invalid plan: Invalid process dependencies!
--
"
    );
}

#[test]
fn ports_are_those_that_are_referred_to() {
    let ports = |changes: &[(&str, Value)]| {
        let ports = check(&with(changes)).map(|it| it.config.ports);
        ports.map(|it| it.into_iter().collect::<Vec<_>>().join(" ")).map_err(|it| it[0].to_string())
    };
    let uses = |names: &[&str]| {
        let cmdline: String =
            names.iter().map(|it| format!("{{{{thermos.ports[{it}]}}}} ")).collect();
        ("/task/processes/0/cmdline", json!(cmdline))
    };
    let announce =
        |portmap: Value| ("/announce", json!({ "primary_port": "http", "portmap": portmap }));
    let dedicated = ("/constraints", json!({ "dedicated": "www/web" }));
    assert_eq!(ports(&[]).unwrap(), "");
    assert_eq!(ports(&[uses(&["http", "admin", "http"])]).unwrap(), "admin http");
    let shell =
        json!({ "health_checker": { "shell": { "shell_command": "{{thermos.ports[x]}}" } } });
    assert_eq!(ports(&[("/health_check_config", shell)]).unwrap(), "x");
    // Announced without being used, and used by another name.
    assert_eq!(ports(&[("/announce", json!({}))]).unwrap(), "http");
    assert_eq!(ports(&[uses(&["aurora"]), ("/announce", json!({}))]).unwrap(), "http");
    assert_eq!(ports(&[uses(&["a"]), announce(json!({ "a": "b", "b": "c" }))]).unwrap(), "c");
    let fixed = announce(json!({ "http": "80", "aurora": "http" }));
    assert_eq!(ports(&[uses(&["aurora", "x"]), fixed.clone(), dedicated]).unwrap(), "x");
    assert!(
        ports(&[fixed]).unwrap_err().starts_with("/announce/portmap/http: Job must be dedicated")
    );
    let cycle = announce(json!({ "a": "b", "b": "a" }));
    assert_eq!(ports(&[cycle]).unwrap_err(), "/announce/portmap: Found cycle in portmap!");
}

#[test]
fn a_port_that_is_checked_is_one_that_something_uses() {
    let told = |port: &str, others: &[(&str, Value)]| {
        let tcp = json!({ "health_checker": { "tcp": { "port": port } } });
        complaints(&[&[("/health_check_config", tcp)], others].concat())
    };
    let uses = ("/task/processes/0/cmdline", json!("serve {{thermos.ports[http]}}"));
    let announce = ("/announce", json!({ "portmap": { "alias": "http" } }));
    assert_eq!(told("http", std::slice::from_ref(&uses)), "");
    assert_eq!(told("alias", &[uses.clone(), announce.clone()]), "");
    assert_eq!(told("http", &[announce]), "");
    assert_eq!(
        told("db", &[uses]),
        "/health_check_config/health_checker/tcp/port: \
         Nothing refers to {{thermos.ports[db]}}, so nobody will listen there\n"
    );
}

#[test]
fn references_are_known_by_the_launch_and_used_where_they_are_filled_in() {
    let text = complaints(&[
        (
            "/task/processes/0/cmdline",
            json!("{{mesos.instance}} {{&x}} {{thermos.task_id}} {{role}}"),
        ),
        ("/contact", json!("{{mesos.hostname}}@example.org")),
        ("/metadata", json!([{ "key": "k", "value": "{{a b}}" }])),
    ]);
    assert_eq!(
        text,
        "\
/contact: {{mesos.hostname}} is known only where the task runs, not here
/metadata/0/value: Invalid reference {{a b}}: expected a name, like {{name}} or {{profile.name}} or {{thermos.ports[http]}}, without blanks
/task/processes/0/cmdline: Failed to fully evaluate: {{role}} has no value
"
    );
}

#[test]
fn s23_a_dedicated_job_asks_for_hosts_of_its_own_role() {
    let dedicated = |value: &str| complaints(&[("/constraints", json!({ "dedicated": value }))]);
    assert_eq!(dedicated("www/web") + &dedicated("*/web"), "");
    for bad in ["ads/web", "www", "!www/web", "www/a,www/b", "limit:1"] {
        assert!(dedicated(bad).starts_with("/constraints/dedicated: Must be www/…"), "{bad}");
    }
}

#[test]
fn constraints_on_values_come_before_limits() {
    let constraints = json!({ "a": "limit:2", "b": "!x,y", "c": "limit:1", "d": "z" });
    let job = check(&with(&[("/constraints", constraints)])).unwrap();
    let order: Vec<_> = job.config.constraints.iter().map(|it| it.attribute.as_str()).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn the_tier_is_what_was_written_or_follows_from_production() {
    let tier = |changes: &[(&str, Value)]| check(&with(changes)).unwrap().config.tier;
    assert_eq!(tier(&[("/production", json!(true))]), "preferred");
    assert_eq!(tier(&[("/production", json!(true)), ("/tier", json!("revocable"))]), "revocable");
}

#[test]
fn updates_and_health_checks_keep_to_their_ranges() {
    let update = |config: Value| complaints(&[("/update_config", config)]);
    let strategy = |strategy: Value| update(json!({ "update_strategy": strategy }));
    let text = [
        update(json!({ "batch_size": 0, "watch_secs": -1, "pulse_interval_secs": 59 })),
        update(json!({ "max_total_failures": 30 })),
        update(json!({ "batch_size": 2, "wait_for_batch_completion": true, "update_strategy": { "batch_size": 0 } })),
        strategy(json!({ "batch_sizes": [2, 0] })),
        strategy(json!({ "batch_sizes": [] })),
        complaints(&[
            ("/instances", json!(100)),
            ("/constraints", json!({ "dedicated": "www/web" })),
            ("/update_config", json!({ "max_total_failures": 1 })),
        ]),
        complaints(&[("/health_check_config", json!({ "interval_secs": -0.5, "max_consecutive_failures": -1 }))]),
    ]
    .join("--\n");
    assert_eq!(
        text,
        "\
/update_config/batch_size: Batch size should be greater than 0
/update_config/pulse_interval_secs: Pulse interval seconds must be at least 60 seconds.
/update_config/watch_secs: Watch seconds should be greater than or equal to 0
--
/update_config/max_total_failures: Must be less than the number of instances, 30, got 30
--
/update_config/update_strategy: Ambiguous update configuration. Give the batch size in the update strategy only.
/update_config/update_strategy: Ambiguous update configuration. Instead of wait_for_batch_completion, use a BatchUpdateStrategy.
/update_config/update_strategy/batch_size: Batch size should be greater than 0
--
/update_config/update_strategy/batch_sizes/1: Batch size should be greater than 0
--
/update_config/update_strategy/batch_sizes: At least one batch size is needed
--
/update_config/max_total_failures: Must be at least 2 % of the instances of a dedicated job, 2, got 1
--
/health_check_config/interval_secs: Invalid value (-0.5) specified for interval_secs. Value cannot be less than 0.
/health_check_config/max_consecutive_failures: Value cannot be less than 0, got -1
"
    );
    assert_eq!(strategy(json!({ "batch_sizes": [1, 2], "autopause_after_batch": true })), "");
}

#[test]
fn an_sla_leaves_room_for_maintenance() {
    let sla = |policy: Value| complaints(&[("/tier", json!("preferred")), ("/sla_policy", policy)]);
    let text = [
        complaints(&[("/sla_policy", json!({ "percentage": 95.0, "duration_secs": 60 }))]),
        sla(json!({ "percentage": 97.0, "duration_secs": 7201 })),
        sla(json!({ "count": 30, "duration_secs": 60 })),
        complaints(&[
            ("/instances", json!(19)),
            ("/tier", json!("preferred")),
            ("/sla_policy", json!({ "count": 1, "duration_secs": 60 })),
        ]),
        sla(json!({ "percentage": 95.0, "duration_secs": 7200 })),
        sla(json!({ "count": 29, "duration_secs": 0 })),
        sla(json!({ "coordinator_url": "http://localhost" })),
    ]
    .concat();
    assert_eq!(
        text,
        "\
/sla_policy: Only jobs that nothing preempts have an SLA: those of tier preferred, say
/sla_policy/duration_secs: Must be between 0 and 7200, got 7201
/sla_policy/percentage: Leaves no instance that may be down, so no host could ever be maintained
/sla_policy/count: Leaves no instance that may be down, so no host could ever be maintained
/sla_policy: An SLA needs at least 20 instances, got 19
"
    );
}

/// What is wrong with the good job with something else at some pointers, as users write it.
fn told(changes: &[(&str, Value)]) -> String {
    let found = JobSpec::read_and_check(&with(changes), &limits()).err().unwrap_or_default();
    found.iter().map(|it| format!("{it}\n")).collect()
}

#[test]
fn what_cannot_be_read_hides_no_other_mistake() {
    let processes = json!([{ "name": "p" }, { "name": "p", "cmdline": "b", "max_failures": -1 }]);
    let found = told(&[
        ("/role", json!("a b")),
        ("/instances", json!(-1)),
        ("/naem", json!("x")),
        ("/task/processes", processes),
        ("/task/resources/ram", json!("x")),
        ("/update_config", json!({ "update_strategy": { "batch_sizes": [0, "y"] } })),
    ]);
    assert_eq!(
        found,
        "\
/instances: A job has at least one instance, got -1
/naem: Unknown schema attribute naem in Job, did you mean name?
/role: Invalid name 'a b': expected letters, digits, '_', '-' and '.', at most 255
/task/processes/0/cmdline: Process[cmdline] is required.
/task/processes/1/max_failures: Value cannot be less than 0, got -1
/task/processes/1/name: Process 0 has the name p already
/task/resources/ram: Cannot coerce 'x' to Integer
/update_config/update_strategy/batch_sizes/0: Batch size should be greater than 0
/update_config/update_strategy/batch_sizes/1: Cannot coerce 'y' to Integer
"
    );
}

#[test]
fn what_cannot_be_read_is_complained_about_once() {
    let sla = json!({ "count": 1, "duration_secs": -1 });
    let misspelt = json!([{ "nme": "a", "cmdline": "x" }, { "nme": "b", "cmdline": "y" }]);
    let cases: [Case<'_>; 13] = [
        (&[], &[]),
        (&[("/cluster", Value::Null)], &["/cluster"]),
        (&[("/environment", json!([]))], &["/environment"]),
        (&[("/name", json!([]))], &["/name"]),
        (&[("/task", Value::Null)], &["/task"]),
        (&[("/task", json!("x"))], &["/task"]),
        (&[("/task/processes", json!("x"))], &["/task/processes"]),
        (&[("/task/resources", json!(1))], &["/task/resources"]),
        (
            &[("/instances", json!("many")), ("/update_config", json!({"max_total_failures": 5}))],
            &["/instances"],
        ),
        (
            &[("/instances", json!([])), ("/tier", json!("preferred")), ("/sla_policy", sla)],
            &["/instances", "/sla_policy/duration_secs"],
        ),
        (&[("/role", json!([])), ("/constraints", json!({ "dedicated": "www/x" }))], &["/role"]),
        (
            &[
                ("/task/processes", misspelt),
                ("/task/constraints", json!([{ "order": ["a", "b"] }])),
            ],
            &[
                "/task/processes/0/name",
                "/task/processes/0/nme",
                "/task/processes/1/name",
                "/task/processes/1/nme",
            ],
        ),
        (
            &[("/container", json!({ "imag": 1 })), ("/tier", json!("x"))],
            &["/container/imag", "/tier"],
        ),
    ];
    for (changes, pointers) in cases {
        let found = JobSpec::read_and_check(&with(changes), &limits()).err().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(found, pointers, "{changes:?}");
    }
    let nothing = JobSpec::read_and_check(&json!(7), &limits()).unwrap_err();
    assert_eq!(nothing.len(), 1);
}

#[test]
fn a_wrong_number_of_instances_is_no_reason_to_complain_about_updates() {
    for instances in [-1, 0, 4001] {
        let found = complaints(&[
            ("/instances", json!(instances)),
            ("/update_config", json!({ "max_total_failures": 5000 })),
        ]);
        assert!(found.starts_with("/instances: ") && found.lines().count() == 1, "{found}");
    }
}

/// What is changed of the good job, and where something is wrong with it then.
type Case<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);

#[test]
fn only_coordinators_that_an_operator_trusts_are_asked() {
    let job = with(&[
        ("/tier", json!("preferred")),
        ("/sla_policy", json!({ "coordinator_url": "http://sla.example/ask" })),
    ]);
    let told = |urls: Option<&[&str]>| {
        let urls = urls.map(|it| it.iter().map(|&it| it.to_owned()).collect());
        let limits = Limits { coordinator_urls: urls, ..limits() };
        let job = serde_json::from_value::<JobSpec>(job.clone()).unwrap();
        let found = job.check(&limits).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(told(None), "");
    assert_eq!(told(Some(&["http://other", "http://sla.example"])), "");
    assert_eq!(
        told(Some(&["https://sla.example", "http://b/"])),
        "/sla_policy/coordinator_url: This cluster asks coordinators only at https://sla.example, \
         http://b/"
    );
    let none = "/sla_policy/coordinator_url: This cluster asks no coordinators";
    assert_eq!(told(Some(&[])), none);
}
