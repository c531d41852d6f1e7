//! `airglow admin token`: what a machine has to show to join the cluster.

use std::{io::Write, time::Duration};

use airglow_web::api::{Rotate, Token};

use super::{Code, Failure, Global, Outcome, screen};
use crate::cli::amounts::duration;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Print the token; on the scheduler's own machine only
    Show(Which),
    /// Make another one and print it; the one before lets nobody join any more
    Rotate {
        #[command(flatten)]
        which: Which,
        /// After which the new one lets nobody join either: `24h`
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<Duration>,
    },
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// Without a name: the cluster of the agent on this machine
    cluster: Option<String>,
    /// Whom it lets join
    #[arg(long = "for", value_enum, default_value = "agents", value_name = "WHOM")]
    whom: Whom,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Whom {
    Agents,
    Schedulers,
}

impl Whom {
    fn purpose(self) -> &'static str {
        match self {
            Self::Agents => "agent",
            Self::Schedulers => "scheduler",
        }
    }
}

pub(super) fn run(verb: &Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Show(Which { cluster, whom }) => {
            let session = global.cluster_session(cluster.as_deref())?;
            let tokens = session.client.join_tokens()?;
            let token = tokens.into_iter().find(|it| it.purpose == whom.purpose());
            print(&token.ok_or_else(unseen)?, global)
        }
        Verb::Rotate { which: Which { cluster, whom }, expires } => {
            let session = global.cluster_session(cluster.as_deref())?;
            let how = Rotate { expires_secs: expires.map(|it| it.as_secs()) };
            print(&session.client.rotate_token(whom.purpose(), &how)?, global)
        }
    }
}

/// Alone on its line, so that it can be taken over by a script.
fn print(token: &Token, global: &Global) -> Outcome {
    if global.write_json {
        return screen::json(token);
    }
    let text = token.token.as_ref().ok_or_else(unseen)?;
    Ok(writeln!(screen::out(), "{text}")?)
}

fn unseen() -> Failure {
    Failure::new(Code::Forbidden, "The scheduler does not show its tokens to this machine")
        .hint("Ask for it on the machine of the scheduler that leads")
}
