//! Asks a task over HTTP to leave, before it is made to.

use std::time::Duration;

use airglow_model::conduct::Farewell;
use tokio::time::timeout;

use crate::localhost;

/// Whether it was heard: any answer will do, also one that it was a bad question.
pub(crate) async fn say(Farewell { port, path, .. }: &Farewell) -> bool {
    let patience = patience(std::env::var("AURORA_HTTP_SIGNALER_TIMEOUT_SECS").ok().as_deref());
    matches!(timeout(patience, localhost::post(*port, path)).await, Ok(Ok(_)))
}

/// A second, if nothing sensible is said.
fn patience(secs: Option<&str>) -> Duration {
    let secs = secs.and_then(|it| it.trim().parse().ok());
    let said = secs.and_then(|it| Duration::try_from_secs_f64(it).ok());
    said.filter(|it| !it.is_zero()).unwrap_or(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localhost::server::Server;

    async fn is_heard(server: &Server) -> bool {
        let wait = Duration::from_secs(5);
        say(&Farewell { port: server.port, path: "/quitquitquit".into(), wait }).await
    }

    #[actix_rt::test]
    async fn e10_any_answer_to_a_farewell_will_do() {
        for status in ["200 OK", "302 Found\r\nLocation: http://example.com/", "404 No", "500 No"] {
            let server = Server::answers(format!("HTTP/1.1 {status}\r\n\r\n")).await;
            assert!(is_heard(&server).await, "{status}");
            let heard = server.heard();
            let [heard] = heard.as_slice() else { panic!("{heard:?}") };
            assert!(heard.starts_with("POST /quitquitquit HTTP/1.1\r\n"), "{heard}");
            assert!(heard.to_lowercase().contains("content-length: 0\r\n"), "{heard}");
        }
    }

    #[actix_rt::test]
    async fn e10_no_answer_is_none_and_soon_so() {
        let silent = Server::answers(String::new()).await;
        let start = tokio::time::Instant::now();
        assert!(!is_heard(&silent).await);
        assert!(start.elapsed() < Duration::from_secs(30));
        let babbling = Server::answers("hello").await;
        assert!(!is_heard(&babbling).await);
        let nobody = Server::nobody().await;
        assert!(!is_heard(&nobody).await);
    }

    #[test]
    fn e10_one_may_be_more_patient() {
        assert_eq!(patience(Some("2.5")), Duration::from_millis(2500));
        for nonsense in [None, Some(""), Some("soon"), Some("-1"), Some("0"), Some("inf")] {
            assert_eq!(patience(nonsense), Duration::from_secs(1), "{nonsense:?}");
        }
    }
}
