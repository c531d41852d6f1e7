//! The end that calls.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::ClientConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{Join, Link, LinkError, PATIENCE, Verdict};
use crate::identity::{self, Identity, JoinToken, Request};

/// A link to the scheduler at `addr`, which has accepted it.
pub async fn dial(addr: SocketAddr, identity: &Identity) -> Result<Link, LinkError> {
    let unwelcome = |source| LinkError::Unwelcome { addr, source };
    let mut link = connect(addr, identity.calling()?).await?;
    match in_time(addr, link.hear()).await?.map_err(|error| unwelcome(Some(error)))? {
        Verdict::Welcome => Ok(link.trusted()),
        Verdict::Refused(why) => Err(LinkError::Refused { addr, why }),
        Verdict::Granted(_) => Err(unwelcome(None)),
    }
}

/// Makes a key, and has the scheduler at `addr` certify that it is agent `name`'s. The token is
/// shown only to a scheduler of the cluster that it is for.
pub async fn join(addr: SocketAddr, token: &JoinToken, name: &str) -> Result<Identity, LinkError> {
    let request = Request::new(name)?;
    let mut link = connect(addr, identity::joining(token)?).await?;
    let join = Join { name: name.to_owned(), secret: token.secret(), request: request.pem.clone() };
    let talk = async {
        link.say(&join).await?;
        link.hear().await
    };
    match in_time(addr, talk).await?.map_err(LinkError::Broken)? {
        Verdict::Granted(chain) => Ok(request.granted(&chain, token)?),
        Verdict::Refused(why) => Err(LinkError::Refused { addr, why }),
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

fn is_foreign(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}
