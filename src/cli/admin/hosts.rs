//! `airglow admin host-…`: maintenance of hosts as `aurora_admin` had it. `airglow host` does the
//! same in fewer words.

use std::{path::PathBuf, process::Command, time::Duration};

use airglow_web::api::Drain;

use super::{Code, Failure, Global, Outcome, host_list::HostList};
use crate::cli::{
    amounts::{duration, percentage},
    host::{Hosts, drain, status},
};

#[derive(clap::Args)]
pub(crate) struct Named {
    cluster: String,
    #[command(flatten)]
    hosts: HostList,
}

#[derive(clap::Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    named: Named,
    /// How many of a job's instances have to stay up, if the job does not say it
    #[arg(long, visible_alias = "override-percentage", default_value = "95")]
    #[arg(alias = "default_percentage", alias = "override_percentage", value_parser = percentage)]
    default_percentage: f64,
    /// How long an instance has been up that counts
    #[arg(long, visible_alias = "override-duration", default_value = "30m")]
    #[arg(alias = "default_duration", alias = "override_duration", value_parser = duration)]
    default_duration: Duration,
    /// After which everything leaves by force
    #[arg(long, alias = "force_drain_timeout", default_value = "7d", value_parser = duration)]
    force_drain_timeout: Duration,
    /// A program to run when all hosts are empty, once for each, with its name
    #[arg(long, alias = "post_drain_script", value_name = "PROGRAM")]
    post_drain_script: Option<PathBuf>,
}

impl Named {
    pub(super) fn find(&self, global: &Global) -> Result<Hosts, Failure> {
        Hosts::find(global.cluster_session(Some(&self.cluster))?, self.hosts.read()?)
    }
}

pub(super) fn drain(args: &DrainArgs, global: &Global) -> Outcome {
    let hosts = args.named.find(global)?;
    let request = Drain {
        percentage: Some(args.default_percentage),
        duration_secs: Some(args.default_duration.as_secs()),
        timeout_secs: Some(args.force_drain_timeout.as_secs()),
        ..Drain::default()
    };
    drain::begin(&hosts, &request)?;
    let drained = drain::wait(&hosts)?;
    if let Some(program) = &args.post_drain_script {
        for host in &hosts.names {
            let ended = Command::new(program).arg(host).status();
            if !ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
                let how = ended.map_or_else(|error| error.to_string(), |it| it.to_string());
                let message = format!("{} {host} failed: {how}", program.display());
                return Err(Failure::new(Code::Failed, message));
            }
        }
    }
    status::show(&drained, global)
}
