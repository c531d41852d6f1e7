//! `airglow login` and `airglow logout`: a password becomes a token, which is kept for later.

use std::{io::Write, time::Duration};

use airglow_web::api::Credentials;

use super::{Global, Outcome, Session, amounts, credentials, exit::Failure, screen, secret};

/// Thirty days: whoever works with it every day need not think of it.
const LASTS_SECS: u64 = 30 * 24 * 60 * 60;

#[derive(clap::Args)]
pub(crate) struct LoginArgs {
    /// Where to; the only cluster there is, if not said
    cluster: Option<String>,
    /// As whom; as the user of this machine, if not said
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For how long, 90 days at most
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    expires: Option<Duration>,
}

#[derive(clap::Args)]
pub(crate) struct LogoutArgs {
    /// From where; the only cluster there is, if not said
    cluster: Option<String>,
}

pub(crate) fn log_in(args: LoginArgs, global: &Global) -> Outcome {
    let session = to(args.cluster.as_deref(), global)?;
    let user = args.user.or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let password = secret::ask(&user)?;
    let expires_in_secs = Some(args.expires.map_or(LASTS_SECS, |it| it.as_secs()));
    let issued = session.client.log_in(&Credentials { user, password, expires_in_secs })?;
    let uri = &session.address.api;
    let kept = credentials::keep(uri, &issued.user, issued.token)?;
    let until = screen::local_time(issued.expires_at);
    let (user, kept) = (issued.user, kept.display());
    Ok(writeln!(screen::out(), "{user} is logged in at {uri} until {until}, by {kept}")?)
}

/// Also if the scheduler does not answer, or does not know the token any more: it is forgotten here.
pub(crate) fn log_out(args: &LogoutArgs, global: &Global) -> Outcome {
    let session = to(args.cluster.as_deref(), global)?;
    let told = session.client.log_out();
    let uri = &session.address.api;
    let was_in = credentials::forget(uri)?;
    match told {
        Ok(()) => {}
        Err(error) if error.status() == Some(401) => {}
        Err(error) => return Err(error.into()),
    }
    let line = if was_in { "is forgotten" } else { "was not kept" };
    Ok(writeln!(screen::out(), "The token for {uri} {line}")?)
}

pub(crate) fn to(cluster: Option<&str>, global: &Global) -> Result<Session, Failure> {
    match cluster {
        Some(cluster) => global.session(cluster),
        None => global.only_session(),
    }
}
