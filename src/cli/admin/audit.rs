//! `airglow admin audit`: who did what to a cluster, its jobs and its hosts.

use std::io::Write;

use airglow_web::api::AuditEntry;

use super::{Code, Failure, Global, Outcome, screen};
use crate::cli::key::Pattern;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What it was done to; the only cluster there is, if not said
    #[arg(value_name = "CLUSTER[/ROLE[/ENV[/NAME]]]")]
    target: Option<Pattern>,
    /// Only what was done to this host
    #[arg(long)]
    host: Option<String>,
    /// Only what this user did
    #[arg(long)]
    user: Option<String>,
    /// The newest so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    let cluster = args.target.as_ref().map(|it| it.cluster.as_str());
    let session = global.cluster_session(cluster)?;
    let query = args.query()?;
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let entries = session.client.audit(&query, args.limit)?;
    if global.write_json {
        return screen::json(&entries);
    }
    if entries.is_empty() {
        screen::aside("Nobody has done anything of that kind");
        return Ok(());
    }
    let header = ["WHEN", "WHO", "WHAT", "TO", "OUTCOME"];
    Ok(writeln!(screen::out(), "{}", screen::table(&header, entries.iter().map(row)))?)
}

impl Args {
    /// What is said of the target, in the API's words.
    fn query(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let target = self.target.iter().flat_map(|it| {
            [("role", &it.role), ("environment", &it.environment), ("name", &it.name)]
        });
        let named = target.filter(|(_, it)| *it != "*").map(|(name, it)| (name, it.clone()));
        let named: Vec<_> = named.collect();
        if let Some((_, wild)) = named.iter().find(|(_, it)| it.contains(['*', '?', '['])) {
            let message = format!("\"{wild}\" is a pattern: name one, or * for all of them");
            return Err(Failure::new(Code::InvalidParameter, message));
        }
        let host = self.host.iter().map(|it| ("host", it.clone()));
        let user = self.user.iter().map(|it| ("user", it.clone()));
        Ok(named.into_iter().chain(host).chain(user).collect())
    }
}

fn row(it: &AuditEntry) -> Vec<String> {
    let said = it.message.as_ref().map(|it| format!("\"{it}\""));
    let what = [Some(it.verb.clone()), Some(it.details.clone()), said];
    let what = what.into_iter().flatten().filter(|it| !it.is_empty()).collect::<Vec<_>>();
    let outcome = match &it.why {
        Some(why) => format!("{}: {why}", it.outcome),
        None => it.outcome.clone(),
    };
    vec![
        screen::local_time(it.at),
        format!("{} {}", it.user, it.peer),
        screen::plain(&what.join(", ")),
        screen::plain(&it.target),
        screen::plain(&outcome),
    ]
}

#[cfg(test)]
mod tests {
    use airglow_model::machine::Timestamp;
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_named_is_asked_for() {
        let query = |args: &[&str]| {
            let line = Line::try_parse_from([&["x"], args].concat()).unwrap();
            let query = line.args.query().map_err(|_| "refused")?;
            let query: Vec<_> = query.iter().map(|(name, it)| format!("{name}={it}")).collect();
            Ok(query.join("&"))
        };
        for (args, asked) in [
            (&[][..], Ok("")),
            (&["west"], Ok("")),
            (&["west/www"], Ok("role=www")),
            (&["west/www/prod/web"], Ok("role=www&environment=prod&name=web")),
            (&["west/*/*/web", "--user", "ada"], Ok("name=web&user=ada")),
            (&["west", "--host", "a1"], Ok("host=a1")),
            (&["west/w*"], Err("refused")),
        ] {
            assert_eq!(query(args), asked.map(str::to_owned), "{args:?}");
        }
    }

    #[test]
    fn a_row_says_who_did_what_and_what_came_of_it() {
        let entry = AuditEntry {
            number: 7,
            at: Timestamp(0),
            user: "anonymous".into(),
            peer: "127.0.0.1".into(),
            verb: "kill".into(),
            target: "job/www/prod/web".into(),
            details: "Instances 0-1".into(),
            message: Some("too many".into()),
            outcome: "refused".into(),
            ended_at: None,
            why: Some("there is no job www/prod/web".into()),
        };
        assert_eq!(
            row(&entry)[1..],
            [
                "anonymous 127.0.0.1",
                "kill, Instances 0-1, \"too many\"",
                "job/www/prod/web",
                "refused: there is no job www/prod/web",
            ]
        );
    }
}
