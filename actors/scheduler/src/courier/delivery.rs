//! One request to one receiver.

use std::thread;

use airglow_model::webhook::{Hook, Notice, NoticeId, Secret};

/// By which a receiver knows what it had already.
const ID: &str = "webhook-id";
/// When it happened, in milliseconds. Aurora's name for it.
const TIMESTAMP: &str = "timestamp";

/// Where a receiver is, and what it has to be shown.
pub(super) struct Address {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, Secret)>,
}

impl Address {
    pub(super) fn new(hook: &Hook) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(hook.pace.timeout))
            .user_agent(concat!("airglow/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), url: hook.url.clone(), headers: hook.headers.clone() }
    }
}

/// From a thread of its own, because nothing waits for a receiver: neither those who decide nor the
/// end of the scheduler.
pub(super) fn send(
    Address { agent, url, headers }: &Address,
    id: NoticeId,
    notice: Notice,
    tell: impl FnOnce(Result<(), String>) + Send + 'static,
) {
    let mut request = agent.post(url);
    for (name, Secret(value)) in headers {
        request = request.header(name, value);
    }
    let request = request.header(ID, id.to_string()).header(TIMESTAMP, notice.at.0.to_string());
    thread::spawn(move || {
        tell(match request.send_json(&notice.news) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answers with status {}", answer.status().as_u16())),
            Err(error) => Err(format!("it does not answer: {error}")),
        });
    });
}
