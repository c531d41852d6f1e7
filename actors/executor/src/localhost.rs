//! HTTP to what a task listens with, from the host that it runs on.
//!
//! Each request has a connection of its own, which is closed with it: whoever is asked every few
//! seconds whether it still answers should also be asked whether it still accepts. Nothing here
//! limits the time; whoever has waited long enough drops the future, and the connection with it.
//! What a server sends is a stranger's word, so there is a bound to how much of it is read, and a
//! redirect may lead anywhere but to another host.

use std::{
    error::Error,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    pin::pin,
};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, LOCATION, USER_AGENT},
    http::uri::PathAndQuery,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is read of a body at most.
const BODY_MAX: usize = 64 * 1024;

const REDIRECTS_MAX: usize = 10;

#[cfg(test)]
pub(crate) mod server;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Its beginning, if it is long.
    pub(crate) body: Vec<u8>,
}

/// As `localhost` is understood: IPv4, or else IPv6.
pub(crate) async fn connect(port: u16) -> io::Result<TcpStream> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => Ok(stream),
        Err(error) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.map_err(|_| error),
    }
}

/// `path` begins with a slash and may have a query. Redirects are followed.
///
/// # Errors
/// Why there was no answer, in words.
pub(crate) async fn get(port: u16, path: &str) -> Result<Answer, String> {
    let mut place = (port, valid(path)?);
    for _ in 0..=REDIRECTS_MAX {
        let (port, path) = &place;
        let answer = request(Method::GET, *port, path, true).await?;
        match answer.redirect {
            None => return Ok(Answer { status: answer.status, body: answer.body }),
            Some(to) => place = follow(*port, path, &to)?,
        }
    }
    Err("it redirects again and again".to_owned())
}

/// With an empty body; that of the answer is left unread.
///
/// # Errors
/// Why there was no answer, in words.
pub(crate) async fn post(port: u16, path: &str) -> Result<StatusCode, String> {
    Ok(request(Method::POST, port, &valid(path)?, false).await?.status)
}

struct Heard {
    status: StatusCode,
    redirect: Option<String>,
    body: Vec<u8>,
}

fn valid(path: &str) -> Result<PathAndQuery, String> {
    let fits = path.starts_with('/') && path.bytes().all(|it| it.is_ascii_graphic());
    fits.then(|| path.parse().ok()).flatten().ok_or_else(|| format!("{path:?} is no path"))
}

async fn request(
    method: Method,
    port: u16,
    path: &PathAndQuery,
    wants_body: bool,
) -> Result<Heard, String> {
    let stream = connect(port).await.map_err(|it| it.to_string())?;
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(in_full)?;
    let is_post = method == Method::POST;
    let request = Request::builder()
        .method(method)
        .uri(Uri::from(path.clone()))
        .header(HOST, format!("localhost:{port}"))
        .header(USER_AGENT, "airglow")
        .header(CONNECTION, "close")
        .body(Empty::new());
    let mut request = request.map_err(in_full)?;
    if is_post {
        // Some servers insist on hearing how long nothing is.
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(in_full)?;
        hear(response, wants_body).await
    });
    tokio::select! {
        biased;
        heard = &mut exchange => return heard,
        // Whatever ended it, the exchange hears of it.
        _ = connection => {}
    }
    exchange.await
}

async fn hear(response: Response<Incoming>, wants_body: bool) -> Result<Heard, String> {
    let status = response.status();
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| is_redirect);
    let redirect = location.and_then(|it| it.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    let mut rest = response.into_body();
    while wants_body && redirect.is_none() && body.len() < BODY_MAX {
        let Some(frame) = rest.frame().await else { break };
        if let Ok(data) = frame.map_err(in_full)?.into_data() {
            body.extend_from_slice(&data[..data.len().min(BODY_MAX - body.len())]);
        }
    }
    Ok(Heard { status, redirect, body })
}

/// Where `to` leads, said by who answered at this port and path.
fn follow(port: u16, path: &PathAndQuery, to: &str) -> Result<(u16, PathAndQuery), String> {
    let is_absolute = to.contains("://") || to.starts_with("//");
    if !is_absolute {
        let here = path.path();
        let folder = &here[..=here.rfind('/').unwrap_or(0)];
        let to = to.split('#').next().unwrap_or_default();
        return Ok((
            port,
            valid(&match to.chars().next() {
                Some('/') => to.to_owned(),
                Some('?') | None => format!("{here}{to}"),
                Some(_) => format!("{folder}{to}"),
            })?,
        ));
    }
    let absolute = if to.starts_with("//") { format!("http:{to}") } else { to.to_owned() };
    let elsewhere = || format!("it redirects to {to}, which is not on this host");
    let uri: Uri = absolute.parse().map_err(|_| elsewhere())?;
    let is_here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if !is_here || uri.scheme_str() != Some("http") {
        return Err(elsewhere());
    }
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok((uri.port_u16().unwrap_or(80), valid(&format!("{slash}{path}"))?))
}

fn in_full(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(to: &str) -> Result<String, String> {
        let (port, path) = follow(80, &"/a/b?c".parse().unwrap(), to)?;
        Ok(format!("{port} {path}"))
    }

    #[test]
    fn a_redirect_leads_to_where_a_browser_would_go() {
        for (to, expected) in [
            ("/x", "80 /x"),
            ("x?y=1", "80 /a/x?y=1"),
            ("../x", "80 /a/../x"),
            ("?d", "80 /a/b?d"),
            ("/x#part", "80 /x"),
            ("http://localhost:81/x", "81 /x"),
            ("http://127.0.0.1", "80 /"),
            ("//localhost:81?q", "81 /?q"),
            ("http://[::1]:81/x#part", "81 /x"),
        ] {
            assert_eq!(leads(to).as_deref(), Ok(expected), "{to}");
        }
    }

    #[test]
    fn a_redirect_does_not_lead_away() {
        for to in [
            "http://169.254.169.254/latest",
            "//example.com/",
            "https://localhost/",
            "file:///etc/passwd",
            "http://localhost@example.com/",
            "http://localhost.example.com/",
            "/ HTTP/1.1\r\nX: y",
            "/a b",
        ] {
            assert!(leads(to).is_err(), "{to}: {:?}", leads(to));
        }
    }

    #[test]
    fn a_path_is_a_path_and_nothing_else() {
        for path in ["/", "/health?verbose=1&x={}", "//example.com/", "/@example.com"] {
            assert!(valid(path).is_ok(), "{path}: {:?}", valid(path));
        }
        for path in ["", "health", "/a b", "/a\r\nHost: x", "http://example.com/", "/\u{e9}"] {
            assert!(valid(path).is_err(), "{path}");
        }
    }
}
