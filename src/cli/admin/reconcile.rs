//! `airglow admin reconcile-tasks`: hosts are asked what they have, now instead of at their next
//! turn.

use std::io::Write;

use airglow_web::api::Reconcile;

use super::{Global, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    cluster: String,
    /// Only this host, instead of all
    #[arg(long)]
    host: Option<String>,
    /// For scripts that say it; every host tells of all that it has, so both kinds are one
    #[arg(short = 't', long = "type", value_enum, default_value = "explicit", value_name = "TYPE")]
    kind: Kind,
    /// For scripts that say it; a host is asked once, whatever it has
    #[arg(short, long, alias = "batch_size", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
}

/// Aurora asked of each task whether it was still there, or which there were.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Kind {
    Explicit,
    Implicit,
}

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    if args.kind == Kind::Implicit || args.batch_size.is_some() {
        screen::warn("Hosts tell of everything at once: --type and --batch-size change nothing.");
    }
    let session = global.cluster_session(Some(&args.cluster))?;
    let answer = session.client.reconcile(&Reconcile { host: args.host.clone() })?;
    if global.write_json {
        return screen::json(&answer);
    }
    Ok(writeln!(screen::out(), "{}", told(&args.cluster, answer.asked))?)
}

fn told(cluster: &str, asked: usize) -> String {
    match asked {
        0 => format!("No host is connected, so none was asked; see `airglow host list {cluster}`."),
        1 => "1 host was asked what it has; what differs is corrected as it answers.".into(),
        more => {
            format!(
                "{more} hosts were asked what they have; what differs is corrected as they answer."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_scripts_said_to_aurora_is_understood() {
        let read = |args: &[&str]| Line::try_parse_from([&["x", "west"], args].concat());
        let kind = |args: &[&str]| read(args).map(|it| (it.args.kind, it.args.batch_size));
        assert_eq!(kind(&[]).unwrap(), (Kind::Explicit, None));
        assert_eq!(kind(&["-t", "implicit"]).unwrap(), (Kind::Implicit, None));
        let said = ["--type", "explicit", "--batch_size", "500"];
        assert_eq!(kind(&said).unwrap(), (Kind::Explicit, Some(500)));
        assert!(read(&["-t", "other"]).is_err() && read(&["-b", "0"]).is_err());
    }

    #[test]
    fn how_many_were_asked_is_told() {
        let first = |asked| told("west", asked).split(',').next().unwrap_or_default().to_owned();
        assert_eq!(first(0), "No host is connected");
        assert!(told("west", 1).starts_with("1 host was asked"));
        assert!(told("west", 3).starts_with("3 hosts were asked"));
    }
}
