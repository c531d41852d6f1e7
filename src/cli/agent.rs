//! `airglow agent`: this machine's daemon.

use std::path::PathBuf;

use airglow_kit::identity::JoinToken;
use airglow_model::resources::Attributes;

use super::{
    Outcome,
    exit::{Code, Failure},
};
use crate::agent::{self, AgentOptions};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Be the scheduler too, and serve the API and the pages
    #[arg(long)]
    scheduler: bool,
    /// Where everything that must survive a restart is kept
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The name of the cluster, for a scheduler
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// A scheduler of the cluster to join; else one is looked for in the local network
    #[arg(long, value_name = "HOST:PORT")]
    join: Option<String>,
    /// Leave to join, needed once; `airglow admin token show` prints it. No process list shows it if
    /// it is in `AIRGLOW_TOKEN`, or in the file that the settings name as `token_file`
    #[arg(long, env = "AIRGLOW_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// What constraints may ask of this machine; repeat for more
    #[arg(long = "attribute", value_name = "NAME=VALUE[,VALUE…]", value_parser = attribute)]
    attributes: Vec<(String, Vec<String>)>,
    /// Settings in TOML; flags win over them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn attribute(text: &str) -> Result<(String, Vec<String>), String> {
    match text.split_once('=') {
        Some((name, values)) if !name.is_empty() && !values.is_empty() => {
            Ok((name.to_owned(), values.split(',').map(str::to_owned).collect()))
        }
        _ => Err("an attribute is written name=value, or name=value,value".into()),
    }
}

impl TryFrom<Args> for AgentOptions {
    type Error = Failure;

    fn try_from(args: Args) -> Result<Self, Failure> {
        // Read here, because clap would print what it cannot read.
        let token = args.token.map(|it| it.parse::<JoinToken>()).transpose();
        let token = token.map_err(|wrong| Failure::new(Code::CommandLine, wrong.to_string()))?;
        let mut attributes = Attributes::new();
        for (name, values) in args.attributes {
            attributes.entry(name).or_default().extend(values);
        }
        Ok(Self {
            scheduler: args.scheduler,
            data: args.data,
            cluster: args.cluster,
            join: args.join,
            token,
            attributes,
            config: args.config,
        })
    }
}

pub(crate) fn run(args: Args) -> Outcome {
    agent::run(args.try_into()?).map_err(|error| Failure::new(Code::Fatal, format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_names_and_values() {
        assert_eq!(attribute("rack=a"), Ok(("rack".into(), vec!["a".into()])));
        assert_eq!(attribute("zone=a,b"), Ok(("zone".into(), vec!["a".into(), "b".into()])));
        for bad in ["rack", "=a", "rack="] {
            assert!(attribute(bad).is_err(), "{bad}");
        }
    }
}
