//! `airglow admin get-cluster-config` and `get-scheduler`: what is known of a cluster here.

use std::{fmt::Write as _, io::Write};

use serde_json::Value;

use super::{Global, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct ConfigArgs {
    cluster: String,
    /// As assignments that a shell can read
    #[arg(long)]
    sh: bool,
    /// The same, exported
    #[arg(long)]
    export: bool,
}

pub(super) fn config(args: &ConfigArgs, global: &Global) -> Outcome {
    let entry = global.clusters()?.entry(&args.cluster)?;
    if args.sh || args.export {
        let lines = shell(&entry, if args.export { "export " } else { "" });
        return Ok(screen::out().write_all(lines.as_bytes())?);
    }
    screen::json(&entry)
}

pub(super) fn scheduler(cluster: &str, global: &Global) -> Outcome {
    let session = global.cluster_session(Some(cluster))?;
    let uri = session.client.base();
    if global.write_json {
        return screen::json(&serde_json::json!({ "cluster": cluster, "scheduler_uri": uri }));
    }
    Ok(writeln!(screen::out(), "Found leading scheduler at: {uri}")?)
}

/// `AURORA_CLUSTER_SCHEDULER_URI='http://…'`, a line for each.
fn shell(entry: &Value, prefix: &str) -> String {
    entry.as_object().into_iter().flatten().fold(String::new(), |mut lines, (name, value)| {
        let name = name.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let quoted = value.replace('\'', r"'\''");
        writeln!(lines, "{prefix}AURORA_CLUSTER_{name}='{quoted}'")
            .expect("a string takes everything");
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_is_printed_for_it() {
        let entry = serde_json::json!({ "name": "west", "slave-root": "it's", "zk_port": 2181 });
        assert_eq!(
            shell(&entry, "export "),
            "export AURORA_CLUSTER_NAME='west'\n\
             export AURORA_CLUSTER_SLAVE_ROOT='it'\\''s'\n\
             export AURORA_CLUSTER_ZK_PORT='2181'\n"
        );
    }
}
