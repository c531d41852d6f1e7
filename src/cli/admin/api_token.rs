//! `airglow admin api-token`: what programs show to the API.

use std::{io::Write, time::Duration};

use airglow_web::api::{CreateToken, TokenSummary};

use super::{Global, Outcome, screen, user::At};
use crate::{
    cli::{Session, amounts, exit::Failure, login::to},
    client::Client,
};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make one, and print it: this once
    Create {
        #[command(flatten)]
        whose: Whose,
        /// What it may do at most, repeatable: VERB[,VERB…][:ROLE[/ENV[/NAME]]]; what its user may,
        /// if not said
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// For how long; 90 days, if not said
        #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
        expires: Option<Duration>,
        /// What it is for
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List a user's tokens and logins
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Make one worth nothing, at once
    Revoke {
        /// As `list` shows it
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(clap::Args)]
pub(crate) struct Whose {
    /// Whose; one's own, if not said
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    at: At,
}

impl Whose {
    fn find(self, global: &Global) -> Result<(Session, String), Failure> {
        let session = to(self.at.cluster.as_deref(), global)?;
        let user = match self.user {
            Some(user) => user,
            None => own(&session.client)?,
        };
        Ok((session, user))
    }
}

fn own(client: &Client) -> Result<String, Failure> {
    Ok(client.whoami()?.user)
}

pub(super) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Create { whose, grants, expires, note } => {
            let (session, user) = whose.find(global)?;
            let grants = Some(grants).filter(|it| !it.is_empty());
            let expires_in_secs = expires.map(|it| it.as_secs());
            let wanted = CreateToken { grants, expires_in_secs, note };
            let issued = session.client.create_token(&user, &wanted)?;
            if global.write_json {
                return screen::json(&issued);
            }
            let until = screen::local_time(issued.expires_at);
            screen::aside(&format!("Token {} of {user}, until {until}:", issued.id));
            Ok(writeln!(screen::out(), "{}", issued.token.0)?)
        }
        Verb::List { whose } => {
            let (session, user) = whose.find(global)?;
            let tokens = session.client.tokens(&user)?;
            if global.write_json {
                return screen::json(&tokens);
            }
            let header = ["ID", "KIND", "GRANTS", "NOTE", "MADE", "BY", "EXPIRES", "USED"];
            Ok(writeln!(screen::out(), "{}", screen::table(&header, tokens.iter().map(row)))?)
        }
        Verb::Revoke { id, whose } => {
            let (session, user) = whose.find(global)?;
            session.client.revoke_token(&user, &id)?;
            Ok(writeln!(screen::out(), "{id} of {user} is worth nothing any more")?)
        }
    }
}

fn row(it: &TokenSummary) -> Vec<String> {
    vec![
        it.id.clone(),
        it.purpose.clone(),
        it.grants.as_ref().map_or_else(|| "as the user".into(), |it| it.join(" ")),
        it.note.clone(),
        screen::local_time(it.created_at),
        it.created_by.clone(),
        screen::local_time(it.expires_at),
        it.used_at.map_or_else(|| "never".into(), screen::local_time),
    ]
}
