//! The end that calls.

use std::{io, net::SocketAddr, sync::Arc};

use airglow_model::ids::MachineId;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{Join, Link, LinkError, PATIENCE, Verdict};
use crate::identity::{self, AuthorityKeys, Identity, JoinToken, Request};

/// What somebody is who has joined.
#[derive(Debug)]
pub struct Joined {
    pub identity: Identity,
    /// If it is a scheduler.
    pub authority: Option<AuthorityKeys>,
}

/// A link to the scheduler at `addr`, which has accepted it.
pub async fn dial(addr: SocketAddr, identity: &Identity) -> Result<Link, LinkError> {
    let unwelcome = |source| LinkError::Unwelcome { addr, source };
    let mut link = connect(addr, identity.calling()?).await?;
    let verdict = in_time(addr, link.hear()).await?.map_err(|error| {
        if has_expired(&error) { LinkError::Expired { addr } } else { unwelcome(Some(error)) }
    });
    match verdict? {
        Verdict::Welcome => Ok(link.trusted()),
        Verdict::Refused(why) => Err(LinkError::Refused { addr, why }),
        Verdict::Removed(why) => Err(LinkError::Removed { addr, why }),
        Verdict::Granted(_) | Verdict::Trusted { .. } => Err(unwelcome(None)),
    }
}

/// Makes a key, and has the scheduler at `addr` certify that it is `name`'s, on that machine: an
/// agent's or a scheduler's, as the token has it. The token is shown only to a scheduler of the
/// cluster that it is for.
pub async fn join(
    addr: SocketAddr,
    token: &JoinToken,
    name: &str,
    machine: &MachineId,
) -> Result<Joined, LinkError> {
    let request = Request::new(name)?;
    let mut link = connect(addr, identity::joining(token)?).await?;
    let join = Join {
        name: name.to_owned(),
        machine: Some(machine.clone()),
        secret: token.secret(),
        request: request.pem().to_owned(),
    };
    let talk = async {
        link.say(&join).await?;
        link.hear().await
    };
    match in_time(addr, talk).await?.map_err(LinkError::Broken)? {
        Verdict::Granted(chain) => {
            Ok(Joined { identity: request.granted(&chain, token)?, authority: None })
        }
        Verdict::Trusted { chain, authority } => {
            let authority = Some(AuthorityKeys::read(authority, token)?);
            Ok(Joined { identity: request.granted(&chain, token)?, authority })
        }
        Verdict::Refused(why) => Err(LinkError::Refused { addr, why }),
        Verdict::Removed(why) => Err(LinkError::Removed { addr, why }),
        Verdict::Welcome => Err(LinkError::Unwelcome { addr, source: None }),
    }
}

async fn connect(addr: SocketAddr, config: ClientConfig) -> Result<Link, LinkError> {
    let broken = |source| LinkError::Connect { addr, source };
    let stream = in_time(addr, TcpStream::connect(addr)).await?.map_err(broken)?;
    stream.set_nodelay(true).map_err(broken)?;
    let tls = TlsConnector::from(Arc::new(config)).connect(identity::server_name(), stream);
    match in_time(addr, tls).await? {
        Ok(tls) => Ok(Link::with_stranger(tls.into())),
        Err(source) if has_expired(&source) => Err(LinkError::Overdue { addr }),
        Err(source) if is_foreign(&source) => Err(LinkError::OtherCluster { addr, source }),
        Err(source) => Err(LinkError::Insecure { addr, source }),
    }
}

async fn in_time<T>(
    addr: SocketAddr,
    future: impl Future<Output = io::Result<T>>,
) -> Result<io::Result<T>, LinkError> {
    timeout(PATIENCE, future).await.map_err(|_| LinkError::Slow { addr })
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn is_foreign(error: &io::Error) -> bool {
    matches!(tls_error(error), Some(Error::InvalidCertificate(_)))
}

/// A certificate, by its own end's clock or by the other's.
pub(super) fn has_expired(error: &io::Error) -> bool {
    matches!(
        tls_error(error),
        Some(
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            ) | Error::AlertReceived(AlertDescription::CertificateExpired)
        )
    )
}
