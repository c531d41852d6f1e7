//! `airglow host remove` and `airglow host readmit`.

use super::{Failure, Global, Named, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Even if tasks are there: they are LOST, and run elsewhere
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
pub(crate) struct ReadmitArgs {
    /// Its id, as its agent tells when it is refused
    machine: String,
    /// Without a name: the cluster of the agent on this machine
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

pub(super) fn remove(args: &Args, global: &Global) -> Outcome {
    let hosts = args.named.find(global)?;
    for host in &hosts.names {
        let removed = hosts.session.client.remove_host(host, args.force);
        removed.map_err(|it| Failure::from(it).under(&format!("Cannot remove {host}:")))?;
        screen::aside(&format!("{host} is removed"));
    }
    Ok(())
}

pub(super) fn readmit(args: &ReadmitArgs, global: &Global) -> Outcome {
    let session = global.cluster_session(args.cluster.as_deref())?;
    session.client.readmit(&args.machine)?;
    screen::aside(&format!("{} may come back", args.machine));
    Ok(())
}
