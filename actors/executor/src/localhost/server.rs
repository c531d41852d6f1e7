//! Servers for tests: those that answer, and those that do not.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Listens until it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

#[derive(Clone, Copy)]
enum Then {
    HangUp,
    Hold,
    GoOn,
}

impl Server {
    /// Says the same to everybody, and hangs up. If there is nothing to say it does not even do that.
    pub(crate) async fn answers(text: impl Into<String>) -> Self {
        let text = text.into();
        let then = if text.is_empty() { Then::Hold } else { Then::HangUp };
        Self::start("127.0.0.1:0", move |_| (text.clone(), then)).await
    }

    pub(crate) async fn replies(reply: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start("127.0.0.1:0", move |request| (reply(request), Then::HangUp)).await
    }

    pub(crate) async fn on_ipv6(text: &'static str) -> Self {
        Self::start("[::1]:0", move |_| (text.to_owned(), Then::HangUp)).await
    }

    /// Never ends its answer.
    pub(crate) async fn endless(text: &'static str) -> Self {
        Self::start("127.0.0.1:0", move |_| (text.to_owned(), Then::GoOn)).await
    }

    /// Begins to answer, and then neither goes on nor hangs up.
    pub(crate) async fn stuck(text: &'static str) -> Self {
        Self::start("127.0.0.1:0", move |_| (text.to_owned(), Then::Hold)).await
    }

    /// A port where nobody listens.
    pub(crate) async fn nobody() -> Self {
        let mut server = Self::answers("").await;
        server._task.shutdown().await;
        server
    }

    /// The requests up to now.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    async fn start(
        address: &str,
        reply: impl Fn(&str) -> (String, Then) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, reply) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(reply));
        let all = heard.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (all, reply) = (all.clone(), reply.clone());
                connections.spawn(async move { serve(stream, &all, &*reply).await });
            }
        });
        Self { port, heard, _task: task }
    }
}

async fn serve(
    mut stream: TcpStream,
    all: &Mutex<Vec<String>>,
    reply: &(impl Fn(&str) -> (String, Then) + Sync),
) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let request = String::from_utf8(request).unwrap();
    let (text, then) = reply(&request);
    all.lock().unwrap().push(request);
    stream.write_all(text.as_bytes()).await.ok()?;
    match then {
        Then::HangUp => stream.shutdown().await.ok(),
        Then::Hold => std::future::pending().await,
        Then::GoOn => loop {
            stream.write_all(&[b'x'; 1000]).await.ok()?;
        },
    }
}
