//! `airglow admin user`: who may use the API, and for what.

use std::io::Write;

use airglow_web::api::{AddUser, UserSummary};

use super::{Global, Outcome, screen};
use crate::cli::{login::to, secret};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make somebody known. Their password is asked for, or the first line of standard input
    Add {
        name: String,
        #[command(flatten)]
        may: May,
        /// They use tokens only
        #[arg(long)]
        no_password: bool,
        #[command(flatten)]
        at: At,
    },
    /// List who is known
    List {
        #[command(flatten)]
        at: At,
    },
    /// Forget somebody, with all tokens
    Remove {
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Say what somebody may do, instead of what was said before
    Grant {
        name: String,
        #[command(flatten)]
        may: May,
        #[command(flatten)]
        at: At,
    },
    /// Set somebody's password; it is asked for, or the first line of standard input
    Password {
        name: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(clap::Args)]
pub(crate) struct May {
    /// Everything
    #[arg(long)]
    admin: bool,
    /// What else than reading, repeatable: VERB[,VERB…][:ROLE[/ENV[/NAME]]] of read, create, kill,
    /// restart, add, update, cron, quota, hosts, and * for all about jobs
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct At {
    /// In which cluster; the only one there is, if not said
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
}

impl May {
    fn grants(self) -> Vec<String> {
        match (self.admin, self.grants) {
            (true, mut grants) => {
                grants.insert(0, "admin".into());
                grants
            }
            (false, grants) if grants.is_empty() => vec!["read-only".into()],
            (false, grants) => grants,
        }
    }
}

pub(super) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Add { name, may, no_password, at } => {
            let session = to(at.cluster.as_deref(), global)?;
            let password = if no_password { None } else { Some(secret::ask_new(&name)?) };
            let grants = may.grants();
            let made = session.client.add_user(&AddUser { name, password, grants })?;
            let UserSummary { name, grants, .. } = &made;
            say(format_args!("{name} is known now: {}", grants.join(" ")))
        }
        Verb::List { at } => {
            let users = to(at.cluster.as_deref(), global)?.client.users()?;
            if global.write_json {
                return screen::json(&users);
            }
            if users.is_empty() {
                screen::aside("Nobody is known, so nobody has to say who they are");
                return Ok(());
            }
            let header = ["NAME", "GRANTS", "PASSWORD", "TOKENS", "LOGINS", "SINCE", "BY"];
            Ok(writeln!(screen::out(), "{}", screen::table(&header, users.iter().map(row)))?)
        }
        Verb::Remove { name, at } => {
            to(at.cluster.as_deref(), global)?.client.remove_user(&name)?;
            say(format_args!("{name} is not known any more"))
        }
        Verb::Grant { name, may, at } => {
            let grants = may.grants();
            let told = grants.join(" ");
            to(at.cluster.as_deref(), global)?.client.grant(&name, grants)?;
            say(format_args!("{name} may do this now: {told}"))
        }
        Verb::Password { name, at } => {
            let session = to(at.cluster.as_deref(), global)?;
            session.client.set_password(&name, secret::ask_new(&name)?)?;
            say(format_args!("{name} has a new password; whoever used the old one has to log in"))
        }
    }
}

fn say(line: std::fmt::Arguments<'_>) -> Outcome {
    Ok(writeln!(screen::out(), "{line}")?)
}

fn row(it: &UserSummary) -> Vec<String> {
    vec![
        it.name.clone(),
        it.grants.join(" "),
        if it.has_password { "yes" } else { "no" }.into(),
        it.tokens.to_string(),
        it.sessions.to_string(),
        screen::local_time(it.created_at),
        it.created_by.clone(),
    ]
}
