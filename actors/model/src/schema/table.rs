//! The table itself.

use super::{Alternative, Enum, Field, Kind, Object, Presence};

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, presence: Presence::Required, about }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, presence: Presence::Optional, about }
}

const fn default(name: &'static str, kind: Kind, json: &'static str, about: &'static str) -> Field {
    Field { name, kind, presence: Presence::Default(json), about }
}

const fn list_of(kind: &'static Kind) -> Kind {
    Kind::List(kind)
}

const fn either(object: &'static Object) -> Alternative {
    Alternative { object, tag: None }
}

use Kind::{Boolean, Float, Integer, Map, String};

/// Every object, a job first and what it is made of after it.
pub static OBJECTS: [&Object; 33] = [
    &JOB,
    &TASK,
    &PROCESS,
    &LOGGER,
    &ROTATE_POLICY,
    &CONSTRAINT,
    &RESOURCES,
    &UPDATE_CONFIG,
    &CANARY,
    &QUEUE_UPDATE_STRATEGY,
    &BATCH_UPDATE_STRATEGY,
    &VARIABLE_BATCH_UPDATE_STRATEGY,
    &HEALTH_CHECK_CONFIG,
    &HEALTH_CHECKER_CONFIG,
    &HTTP_HEALTH_CHECKER,
    &TCP_HEALTH_CHECKER,
    &SHELL_HEALTH_CHECKER,
    &LIFECYCLE_CONFIG,
    &HTTP_LIFECYCLE_CONFIG,
    &ANNOUNCER,
    &CONTAINER,
    &DOCKER,
    &PARAMETER,
    &MESOS,
    &APPC_IMAGE,
    &DOCKER_IMAGE,
    &VOLUME,
    &PARTITION_POLICY,
    &METADATA,
    &EXECUTOR_CONFIG,
    &PERCENTAGE_SLA_POLICY,
    &COUNT_SLA_POLICY,
    &COORDINATOR_SLA_POLICY,
];

/// Where reading a job begins.
pub static JOB: Object = Object {
    name: "Job",
    about: "How many instances of a task run, where, and how they are looked after.",
    fields: &[
        required("cluster", String, "The cluster that runs it."),
        required("role", String, "The account that it runs as, and whose quota it uses."),
        default(
            "environment",
            String,
            "\"devel\"",
            "`prod`, `devel`, `test` or `staging` with a number.",
        ),
        optional("contact", String, "Where its owner can be reached."),
        default("instances", Integer, "1", "How many run at once."),
        required("task", Kind::Object(&TASK), "What one instance runs."),
        default("name", String, "\"{{task.name}}\"", "Names it within its role and environment."),
        optional("announce", Kind::Object(&ANNOUNCER), "How instances make themselves known."),
        optional(
            "tier",
            String,
            "How it shares the hosts with others; the scheduler has the list.",
        ),
        optional(
            "cron_schedule",
            String,
            "Five cron fields, or @hourly, @daily, @weekly, @monthly, @yearly; makes it a cron job.",
        ),
        default(
            "cron_collision_policy",
            String,
            "\"KILL_EXISTING\"",
            "Or CANCEL_NEW: what to do when a run is due and the last still runs.",
        ),
        optional(
            "cron_timezone",
            String,
            "The clock of the schedule, such as `Europe/Berlin`; else the cluster's.",
        ),
        default(
            "cron_catch_up",
            String,
            "\"none\"",
            "Or `latest` or `all`: which runs are made up for that were due without a scheduler.",
        ),
        default(
            "update_config",
            Kind::Object(&UPDATE_CONFIG),
            "{}",
            "How a new configuration replaces an old one.",
        ),
        optional("constraints", Map, "Attribute to demand: `limit:2`, `a,b` or `!a,b`."),
        default(
            "metadata",
            list_of(&Kind::Object(&METADATA)),
            "[]",
            "Shown and searched, not interpreted.",
        ),
        default("service", Boolean, "false", "Ended instances start again, however they ended."),
        default(
            "max_task_failures",
            Integer,
            "1",
            "How often an instance may fail; -1 for any number.",
        ),
        default("production", Boolean, "false", "An older way to say `tier`."),
        default("priority", Integer, "0", "Within a role and tier, the higher one goes first."),
        default(
            "health_check_config",
            Kind::Object(&HEALTH_CHECK_CONFIG),
            "{}",
            "When an instance counts as healthy.",
        ),
        default(
            "lifecycle",
            Kind::Object(&LIFECYCLE_CONFIG),
            "{\"http\": {}}",
            "How an instance is told to stop.",
        ),
        optional("task_links", Map, "Taken for old files' sake."),
        default(
            "executor_config",
            Kind::Object(&EXECUTOR_CONFIG),
            "{}",
            "For executors other than the built-in one.",
        ),
        default("enable_hooks", Boolean, "false", "Whether the client runs hooks."),
        optional(
            "partition_policy",
            Kind::Object(&PARTITION_POLICY),
            "What happens when a host is not heard of.",
        ),
        optional(
            "sla_policy",
            Kind::Choice(&SLA_POLICIES),
            "How much of it has to stay up through maintenance.",
        ),
        optional("container", Kind::Choice(&CONTAINERS), "What each instance is wrapped in."),
    ],
};

static TASK: Object = Object {
    name: "Task",
    about: "Processes that run together on one host, in one sandbox.",
    fields: &[
        required(
            "processes",
            list_of(&Kind::Object(&PROCESS)),
            "What runs; without constraints, all at once.",
        ),
        default("name", String, "\"{{processes[0].name}}\"", "Names the task."),
        default(
            "constraints",
            list_of(&Kind::Object(&CONSTRAINT)),
            "[]",
            "Which processes wait for which.",
        ),
        required("resources", Kind::Object(&RESOURCES), "What the host sets aside for it."),
        default(
            "max_failures",
            Integer,
            "1",
            "How many processes may fail before the task does; 0 for any number.",
        ),
        default(
            "max_concurrency",
            Integer,
            "0",
            "How many processes run at once; 0 for any number.",
        ),
        default(
            "finalization_wait",
            Integer,
            "30",
            "Seconds for ending and for the final processes.",
        ),
        optional("user", String, "The account to run as, if not the role."),
    ],
};

static PROCESS: Object = Object {
    name: "Process",
    about: "One command line.",
    fields: &[
        required(
            "name",
            String,
            "Unique in its task; a file name without slashes or a leading dot.",
        ),
        required("cmdline", String, "Run by bash."),
        default("max_failures", Integer, "1", "How often it may fail; 0 for any number."),
        default("daemon", Boolean, "false", "Runs again after it succeeded."),
        default("ephemeral", Boolean, "false", "The task ends without waiting for it."),
        default("min_duration", Integer, "15", "Seconds between the starts of two runs."),
        default("final", Boolean, "false", "Runs when all that are not have ended."),
        optional("logger", Kind::Object(&LOGGER), "Where its output goes."),
        optional("resources", Kind::Object(&RESOURCES), "Reserved."),
    ],
};

static LOGGER: Object = Object {
    name: "Logger",
    about: "Where a process's output goes.",
    fields: &[
        default(
            "destination",
            Kind::Enum(&LOGGER_DESTINATION),
            "\"file\"",
            "Files, the agent's own output, both or none.",
        ),
        default(
            "mode",
            Kind::Enum(&LOGGER_MODE),
            "\"standard\"",
            "Growing without limit, or rotating.",
        ),
        optional("rotate", Kind::Object(&ROTATE_POLICY), "For mode `rotate`."),
    ],
};

static ROTATE_POLICY: Object = Object {
    name: "RotatePolicy",
    about: "When a log file is set aside and how many are kept.",
    fields: &[
        default("log_size", Integer, "104857600", "Bytes."),
        default("backups", Integer, "5", "Files kept beside the newest."),
    ],
};

static CONSTRAINT: Object = Object {
    name: "Constraint",
    about: "Processes that run one after the other.",
    fields: &[optional("order", list_of(&String), "Names of processes.")],
};

static RESOURCES: Object = Object {
    name: "Resources",
    about: "What a task takes of its host.",
    fields: &[
        required("cpu", Float, "Cores."),
        required("ram", Integer, "Bytes."),
        required("disk", Integer, "Bytes."),
        default("gpu", Integer, "0", "Whole GPUs."),
    ],
};

static UPDATE_CONFIG: Object = Object {
    name: "UpdateConfig",
    about: "How a new configuration replaces an old one.",
    fields: &[
        default("batch_size", Integer, "1", "Instances replaced at once."),
        default(
            "watch_secs",
            Integer,
            "45",
            "Seconds an instance must stay up; 0 to rely on its health alone.",
        ),
        default(
            "max_per_shard_failures",
            Integer,
            "0",
            "Failures of one instance that are tolerated.",
        ),
        default("max_total_failures", Integer, "0", "Failed instances that are tolerated."),
        default("rollback_on_failure", Boolean, "true", "Whether a failed update is undone."),
        default(
            "wait_for_batch_completion",
            Boolean,
            "false",
            "Whether a batch waits for the one before it.",
        ),
        optional("pulse_interval_secs", Integer, "Without a pulse for so long the update waits."),
        default("sla_aware", Boolean, "false", "Whether the SLA policy holds during updates."),
        optional("update_strategy", Kind::Choice(&UPDATE_STRATEGIES), "How batches are formed."),
        optional(
            "max_pending_secs",
            Integer,
            "A replacement that finds no place for so long has failed; without it, it may wait for ever.",
        ),
        optional(
            "canary",
            Kind::Object(&CANARY),
            "Instances that go first, and stop the update if they do worse than the others.",
        ),
        Field {
            name: "restart_threshold",
            kind: Integer,
            presence: Presence::Ignored(
                "restart_threshold has no effect: an instance counts as started when it is healthy, \
                 see health_check_config",
            ),
            about: "No longer has an effect.",
        },
    ],
};

static CANARY: Object = Object {
    name: "Canary",
    about: "Instances that are updated first and compared with the others before these follow.",
    fields: &[
        default("instances", Integer, "1", "How many."),
        default(
            "watch_secs",
            Integer,
            "60",
            "How long they are compared, once all of them are up.",
        ),
        default(
            "on_worse",
            Kind::Enum(&ON_WORSE),
            "\"pause\"",
            "What the update does if they do worse.",
        ),
    ],
};

static QUEUE_UPDATE_STRATEGY: Object = Object {
    name: "QueueUpdateStrategy",
    about: "The next instance starts when one is done.",
    fields: &[default("batch_size", Integer, "1", "Instances replaced at once.")],
};

static BATCH_UPDATE_STRATEGY: Object = Object {
    name: "BatchUpdateStrategy",
    about: "The next batch starts when one is done.",
    fields: &[
        default("batch_size", Integer, "1", "Instances in a batch."),
        default("autopause_after_batch", Boolean, "false", "Whether each batch ends in a pause."),
    ],
};

static VARIABLE_BATCH_UPDATE_STRATEGY: Object = Object {
    name: "VariableBatchUpdateStrategy",
    about: "Batches of the given sizes, the last one repeated.",
    fields: &[
        required("batch_sizes", list_of(&Integer), "Instances in each batch."),
        default("autopause_after_batch", Boolean, "false", "Whether each batch ends in a pause."),
    ],
};

static HEALTH_CHECK_CONFIG: Object = Object {
    name: "HealthCheckConfig",
    about: "When an instance counts as healthy.",
    fields: &[
        default(
            "health_checker",
            Kind::Object(&HEALTH_CHECKER_CONFIG),
            "{\"http\": {}}",
            "How it is asked.",
        ),
        default("initial_interval_secs", Float, "15.0", "Failures before this do not count."),
        default("interval_secs", Float, "10.0", "From one question to the next."),
        default("max_consecutive_failures", Integer, "0", "So many in a row are tolerated."),
        default("min_consecutive_successes", Integer, "1", "So many in a row make it healthy."),
        default("timeout_secs", Float, "1.0", "How long an answer may take."),
    ],
};

static HEALTH_CHECKER_CONFIG: Object = Object {
    name: "HealthCheckerConfig",
    about: "One of the ways to ask. Of several, `shell` is taken, then `tcp`.",
    fields: &[
        optional("http", Kind::Object(&HTTP_HEALTH_CHECKER), "By a request to its port `health`."),
        optional("tcp", Kind::Object(&TCP_HEALTH_CHECKER), "By a connection to one of its ports."),
        optional("shell", Kind::Object(&SHELL_HEALTH_CHECKER), "By a command."),
    ],
};

static HTTP_HEALTH_CHECKER: Object = Object {
    name: "HttpHealthChecker",
    about: "Healthy by the answer to a request.",
    fields: &[
        default("endpoint", String, "\"/health\"", "The path that is requested."),
        default("expected_response", String, "\"ok\"", "The body, in any case; empty for any."),
        default("expected_response_code", Integer, "0", "The status; 0 for any."),
    ],
};

static TCP_HEALTH_CHECKER: Object = Object {
    name: "TcpHealthChecker",
    about: "Healthy while somebody listens.",
    fields: &[default("port", String, "\"health\"", "The name of a port that the job uses.")],
};

static SHELL_HEALTH_CHECKER: Object = Object {
    name: "ShellHealthChecker",
    about: "Healthy by a command's success.",
    fields: &[required("shell_command", String, "Run by bash in the sandbox.")],
};

static LIFECYCLE_CONFIG: Object = Object {
    name: "LifecycleConfig",
    about: "How an instance is told to stop before it is made to.",
    fields: &[optional("http", Kind::Object(&HTTP_LIFECYCLE_CONFIG), "By requests to a port.")],
};

static HTTP_LIFECYCLE_CONFIG: Object = Object {
    name: "HttpLifecycleConfig",
    about: "Requests that tell an instance to stop.",
    fields: &[
        default("port", String, "\"health\"", "The name of the port."),
        default("graceful_shutdown_endpoint", String, "\"/quitquitquit\"", "Asks."),
        default("shutdown_endpoint", String, "\"/abortabortabort\"", "Insists."),
        default(
            "graceful_shutdown_wait_secs",
            Integer,
            "5",
            "Seconds between asking and insisting.",
        ),
        default("shutdown_wait_secs", Integer, "5", "Seconds between insisting and ending it."),
    ],
};

static ANNOUNCER: Object = Object {
    name: "Announcer",
    about: "How instances make themselves known.",
    fields: &[
        default("primary_port", String, "\"http\"", "The port that stands for the instance."),
        default("portmap", Map, "{\"aurora\": \"{{primary_port}}\"}", "Other names for ports."),
        optional("zk_path", String, "Where, if not at the usual place."),
    ],
};

static CONTAINER: Object = Object {
    name: "Container",
    about: "An older wrapper around a container.",
    fields: &[
        optional("docker", Kind::Object(&DOCKER), "A Docker image."),
        optional("mesos", Kind::Object(&MESOS), "A file system image, with volumes."),
    ],
};

static DOCKER: Object = Object {
    name: "Docker",
    about: "A Docker image to run in.",
    fields: &[
        required("image", String, "Its name and tag."),
        default(
            "parameters",
            list_of(&Kind::Object(&PARAMETER)),
            "[]",
            "More for the container's engine.",
        ),
    ],
};

static PARAMETER: Object = Object {
    name: "Parameter",
    about: "A parameter of the container's engine.",
    fields: &[
        required("name", String, "Such as `volume`."),
        required("value", String, "Such as `/usr/bin:/usr/bin:ro`."),
    ],
};

static MESOS: Object = Object {
    name: "Mesos",
    about: "A file system image to run in, or just volumes.",
    fields: &[
        optional("image", Kind::Choice(&IMAGES), "What the root directory shows."),
        default(
            "volumes",
            list_of(&Kind::Object(&VOLUME)),
            "[]",
            "What of the host is seen inside.",
        ),
    ],
};

static APPC_IMAGE: Object = Object {
    name: "AppcImage",
    about: "An image by its id.",
    fields: &[required("name", String, "Its name."), required("image_id", String, "Its digest.")],
};

static DOCKER_IMAGE: Object = Object {
    name: "DockerImage",
    about: "An image by its tag.",
    fields: &[required("name", String, "Its name."), required("tag", String, "Its tag.")],
};

static VOLUME: Object = Object {
    name: "Volume",
    about: "A directory of the host, seen inside.",
    fields: &[
        required("container_path", String, "Where it is inside."),
        required("host_path", String, "Where it is on the host."),
        required("mode", Kind::Enum(&MODE), "Read only, or to write too."),
    ],
};

static PARTITION_POLICY: Object = Object {
    name: "PartitionPolicy",
    about: "What happens when a host is not heard of.",
    fields: &[
        default("reschedule", Boolean, "true", "Whether its instances start elsewhere."),
        default("delay_secs", Integer, "0", "After how many seconds."),
    ],
};

static METADATA: Object = Object {
    name: "Metadata",
    about: "Something to show and to search for.",
    fields: &[required("key", String, "What it is."), required("value", String, "Which one.")],
};

static EXECUTOR_CONFIG: Object = Object {
    name: "ExecutorConfig",
    about: "For executors other than the built-in one.",
    fields: &[
        default("name", String, "\"AuroraExecutor\"", "Which executor."),
        default("data", String, "\"\"", "Passed on as it is."),
    ],
};

static PERCENTAGE_SLA_POLICY: Object = Object {
    name: "PercentageSlaPolicy",
    about: "So many of a hundred stay up.",
    fields: &[
        required("percentage", Float, "Of the instances."),
        required("duration_secs", Integer, "How long an instance must have been up to count."),
    ],
};

static COUNT_SLA_POLICY: Object = Object {
    name: "CountSlaPolicy",
    about: "So many stay up.",
    fields: &[
        required("count", Integer, "Of the instances."),
        required("duration_secs", Integer, "How long an instance must have been up to count."),
    ],
};

static COORDINATOR_SLA_POLICY: Object = Object {
    name: "CoordinatorSlaPolicy",
    about: "Somebody else is asked.",
    fields: &[
        required("coordinator_url", String, "Who is asked."),
        default("status_key", String, "\"drain\"", "The field of the answer that counts."),
    ],
};

static CONTAINERS: [Alternative; 3] = [
    either(&CONTAINER),
    Alternative { object: &DOCKER, tag: Some("docker") },
    Alternative { object: &MESOS, tag: Some("mesos") },
];

static IMAGES: [Alternative; 2] = [either(&APPC_IMAGE), either(&DOCKER_IMAGE)];

static UPDATE_STRATEGIES: [Alternative; 3] = [
    either(&QUEUE_UPDATE_STRATEGY),
    either(&BATCH_UPDATE_STRATEGY),
    either(&VARIABLE_BATCH_UPDATE_STRATEGY),
];

static SLA_POLICIES: [Alternative; 3] =
    [either(&COORDINATOR_SLA_POLICY), either(&COUNT_SLA_POLICY), either(&PERCENTAGE_SLA_POLICY)];

/// Enums that files call by name.
pub static ENUMS: [&Enum; 3] = [&LOGGER_DESTINATION, &LOGGER_MODE, &MODE];

static LOGGER_DESTINATION: Enum =
    Enum { name: "LoggerDestination", values: &["file", "console", "both", "none"] };

static LOGGER_MODE: Enum = Enum { name: "LoggerMode", values: &["standard", "rotate"] };

static ON_WORSE: Enum = Enum { name: "OnWorse", values: &["pause", "rollback"] };

static MODE: Enum = Enum { name: "Enum_RO_RW", values: &["RO", "RW"] };
