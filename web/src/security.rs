//! Keeps other people's web pages away from an API that may trust whoever can reach it.
//!
//! On loopback there need be no passwords, so any page that a user has open could try to talk to us
//! through their browser. Three things stop that. A request has to be addressed to us by a name
//! that nobody else's DNS can lend (a rebinding attack arrives with the attacker's name). Whatever
//! changes something has to be JSON, which a page cannot send across origins without asking us
//! first, and we answer no such question; only logging in and out work by form. And if the browser says where the request comes from, it
//! has to be from here.

use std::net::IpAddr;

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use crate::{Site, api::Problem, error::PROBLEM_JSON, pages::Sorry, parameters::pattern};

/// Pages load nothing from elsewhere, run nothing inline, and are framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Refuses what should not be here, and dresses every answer: safe headers, and a problem document
/// on each error that has none.
pub(crate) async fn guard<B: MessageBody + 'static>(
    site: web::Data<Site>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http = request.request();
    let known =
        || site.parameters.check(http.method(), pattern(http).as_deref(), http.query_string());
    if let Err(problem) = admit(http, &site.names).and_then(|()| known()) {
        let response = HttpResponse::from_error(problem);
        return Ok(dress(request.into_response(response)));
    }
    Ok(dress(next.call(request).await?.map_into_boxed_body()))
}

fn admit(request: &HttpRequest, names: &[String]) -> Result<(), Problem> {
    let text = |name| header_text(request.headers(), &name);
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|it| it.as_str()));
    let host = host.ok_or_else(|| Problem::bad_request("the request names no host"))?;
    if !is_ours(host, names) {
        let detail = format!("this is not {host}; use an address, localhost or a known name");
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let elsewhere = || Problem::new(StatusCode::FORBIDDEN, "the request comes from another site");
    let strange = text(HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let foreign = text(header::ORIGIN)
        .is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| from != host));
    if strange || foreign {
        return Err(elsewhere());
    }
    let is_form = matches!(request.path(), "/login" | "/logout")
        && matches!(request.content_type(), "application/x-www-form-urlencoded" | "");
    if matches!(*request.method(), Method::POST | Method::PUT)
        && request.content_type() != "application/json"
        && !is_form
    {
        let detail = "the body has to be JSON, with content-type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

/// An address cannot be rebound: whoever can be reached there is who the browser asked for.
fn is_ours(host: &str, names: &[String]) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|it| it.is_ascii_digit()) { name } else { host }
    });
    let name = name.to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || names.contains(&name)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|it| it.to_str().ok())
}

fn dress(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let mut response = if status.is_client_error() || status.is_server_error() {
        explain(response)
    } else {
        response
    };
    let headers = response.headers_mut();
    let mut usually = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    usually(header::CONTENT_SECURITY_POLICY, POLICY);
    usually(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    usually(header::X_FRAME_OPTIONS, "DENY");
    usually(header::REFERRER_POLICY, "same-origin");
    usually(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    usually(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    usually(header::CACHE_CONTROL, "no-store");
    response
}

/// What the framework refuses by itself has no body that a program could read.
fn explain(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let kind = header_text(response.headers(), &header::CONTENT_TYPE).unwrap_or_default();
    if kind == PROBLEM_JSON || kind.starts_with("text/html") {
        return response;
    }
    let status = response.status();
    let detail = response.response().error().map(ToString::to_string).unwrap_or_default();
    let allow = response.headers().get(header::ALLOW).cloned();
    let problem = Problem::new(status, detail);
    let mut problem = if for_people(response.request()) {
        Sorry::from(problem).error_response()
    } else {
        problem.error_response()
    };
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    response.into_response(problem)
}

pub(crate) fn for_people(request: &HttpRequest) -> bool {
    let accepts = header_text(request.headers(), &header::ACCEPT).unwrap_or_default();
    !request.path().starts_with("/api/") && accepts.contains("text/html")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn we_answer_to_addresses_localhost_and_known_names_only() {
        let names = ["airglow.example".to_owned()];
        for ours in
            ["127.0.0.1:8081", "[::1]:8081", "[::1]", "LOCALHOST", "a.localhost:1", "10.0.0.7"]
        {
            assert!(is_ours(ours, &names), "{ours}");
        }
        assert!(is_ours("airglow.example:8081", &names));
        for other in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""] {
            assert!(!is_ours(other, &names), "{other}");
        }
    }

    #[test]
    fn another_sites_page_cannot_change_anything() {
        let post = || TestRequest::post().insert_header(("host", "localhost:8081"));
        let json = || post().insert_header(("content-type", "application/json"));
        let refused = |request: TestRequest| admit(&request.to_http_request(), &[]).err();
        let status = |request| refused(request).map(|it| it.status);

        assert_eq!(refused(json()), None);
        assert_eq!(refused(json().insert_header(("origin", "http://localhost:8081"))), None);
        assert_eq!(status(json().insert_header(("origin", "http://localhost:9000"))), Some(403));
        assert_eq!(status(json().insert_header(("origin", "null"))), Some(403));
        assert_eq!(status(json().insert_header(("sec-fetch-site", "cross-site"))), Some(403));
        assert_eq!(status(post().insert_header(("content-type", "text/plain"))), Some(415));
        assert_eq!(status(post()), Some(415));
        assert_eq!(status(TestRequest::get().insert_header(("host", "evil.example"))), Some(421));
    }
}
