//! Users, tokens and TLS, from the command line and from outside: what is typed, what is refused, and
//! that nothing secret is left where it could be read.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use crate::cluster::{Cluster, Ran, airglow, eventually, files_below, processes_below};

const PASSWORD: &str = "swordfish-and-salad";

/// `airglow` in a shell that knows this scheduler, with something on its standard input.
fn piped(cluster: &Cluster, args: &[&str], input: &str) -> Ran {
    let mut command = airglow(cluster.root());
    command.env("AIRGLOW_SCHEDULER_URI", cluster.uri()).args(args);
    fed(command, args, input)
}

fn fed(mut command: Command, args: &[&str], input: &str) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ran::new(args, &child.wait_with_output().unwrap())
}

fn with_token(cluster: &Cluster, token: &str, args: &[&str]) -> Ran {
    let mut command = airglow(cluster.root());
    command.env("AIRGLOW_SCHEDULER_URI", cluster.uri()).env("AIRGLOW_API_TOKEN", token).args(args);
    fed(command, args, "")
}

#[test]
fn users_log_in_and_do_what_they_may_and_no_secret_is_left_anywhere() {
    let mut cluster = Cluster::start();
    let job =
        cluster.file("web.json", &crate::cluster::spec("web", "sleep 999", 1, true).to_string());
    let key = "devcluster/www-data/test/web";
    cluster.succeeds(&["job", "create", key, &job, "--read-json"]);

    let add = ["admin", "user", "add", "ada", "--admin"];
    piped(&cluster, &["admin", "user", "add", "bob"], PASSWORD).code(1).says("has to be an admin");
    piped(&cluster, &add, "short\n").code(1).says("at least 8 characters");
    piped(&cluster, &add, &format!("{PASSWORD}\n")).code(0).says("ada is known now: admin");
    let refused = cluster.airglow(&["job", "killall", key]).code(30);
    refused.says("say who you are").says("airglow login --user NAME");

    piped(&cluster, &["login", "--user", "ada"], "wrong-password\n")
        .code(30)
        .says("not the password");
    piped(&cluster, &["login", "--user", "ada"], &format!("{PASSWORD}\n"))
        .code(0)
        .says("is logged in");
    let kept = cluster.root().join(".config/airglow/credentials.toml");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    cluster.succeeds(&["admin", "user", "list"]);

    let grant = ["admin", "user", "add", "bob", "--no-password", "--grant", "restart:www-data"];
    cluster.succeeds(&grant);
    let create =
        ["admin", "api-token", "create", "--user", "bob", "--note", "ci", "--expires", "1h"];
    let token = cluster.succeeds(&create).trim().to_owned();
    with_token(&cluster, &token, &["job", "restart", key]).code(0);
    let denied = with_token(&cluster, &token, &["job", "killall", key]);
    denied.says("it takes kill:www-data/test/web").says("airglow admin user grant");
    cluster.airglow(&["admin", "audit"]).code(0).says("bob");

    fs::set_permissions(&kept, fs::Permissions::from_mode(0o644)).unwrap();
    cluster.airglow(&["job", "list", "devcluster"]).code(3).says("chmod 600");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();

    // It outlives the scheduler.
    cluster.kill_9("scheduler");
    cluster.restart("scheduler");
    with_token(&cluster, &token, &["job", "list", "devcluster"]).code(0);
    let id = token.split('_').nth(1).unwrap();
    cluster.succeeds(&["admin", "api-token", "revoke", id, "--user", "bob"]);
    with_token(&cluster, &token, &["job", "list", "devcluster"]).code(30).says("was revoked");

    let session = fs::read_to_string(&kept).unwrap();
    let session = session.split('"').find(|it| it.starts_with("airglow_")).unwrap().to_owned();
    cluster.succeeds(&["logout"]);
    assert!(!fs::read_to_string(&kept).unwrap().contains(&session));
    with_token(&cluster, &session, &["job", "list", "devcluster"]).code(30);
    nothing_is_left(&cluster, &[PASSWORD, &token, &session]);
}

/// Logs, the database, sandboxes, command lines and environments of what runs.
fn nothing_is_left(cluster: &Cluster, secrets: &[&str]) {
    let looked = files_below(cluster.root());
    assert!(looked.iter().any(|it| it.ends_with("scheduler.log")), "{looked:?}");
    for file in looked {
        let bytes = fs::read(&file).unwrap_or_default();
        let found = |it: &&&str| bytes.windows(it.len()).any(|part| part == it.as_bytes());
        assert_eq!(secrets.iter().find(found), None, "in {}", file.display());
    }
    for pid in processes_below(cluster.root()) {
        for what in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            assert!(secrets.iter().all(|it| !text.contains(it)), "{pid} {what}");
        }
    }
}

#[test]
fn elsewhere_than_on_loopback_it_is_encrypted_and_locked_until_somebody_is_known() {
    let mut cluster = Cluster::prepared();
    let mut command = cluster.scheduler();
    let config = cluster.root().join("scheduler.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("api = \"127.0.0.1:", "api = \"0.0.0.0:")).unwrap();
    let log = fs::File::create(cluster.root().join("scheduler.log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut agent = command.spawn().unwrap();
    let uri = cluster.uri().replace("http://", "https://");
    let authority = cluster.data("scheduler").join("api-authority.pem");
    eventually("the authority is told", || authority.exists().then_some(()));
    let there = |args: &[&str], trusting: bool, input: &str| {
        let mut command = airglow(cluster.root());
        command.env("AIRGLOW_SCHEDULER_URI", &uri).args(args);
        if trusting {
            command.env("AIRGLOW_CACERT", &authority);
        }
        fed(command, args, input)
    };
    there(&["job", "list", "devcluster"], true, "").code(0);
    there(&["job", "list", "devcluster"], false, "").code(7).says("api-authority.pem");
    let log = || fs::read_to_string(cluster.root().join("scheduler.log")).unwrap();
    eventually("it says what to do", || log().contains("makes the first user").then_some(()));
    there(&["admin", "user", "add", "ada", "--admin"], true, PASSWORD).code(0);
    there(&["job", "list", "devcluster"], true, "").code(30);
    there(&["login", "--user", "ada"], true, PASSWORD).code(0);
    there(&["job", "list", "devcluster"], true, "").code(0);
    let plain = airglow(cluster.root())
        .env("AIRGLOW_SCHEDULER_URI", cluster.uri())
        .args(["job", "list", "devcluster"])
        .output()
        .unwrap();
    assert!(!plain.status.success(), "nothing is served in the clear");
    agent.kill().unwrap();
    agent.wait().unwrap();
}
