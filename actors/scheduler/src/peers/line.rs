//! Questions of one scheduler to another.

use std::net::SocketAddr;

use airglow_kit::link::{LinkError, Receiver, Sender};
use airglow_store::{Answer, Asking, PeerLine, Question};
use tokio::sync::{mpsc, oneshot};

use super::{Ask, Asked, Said, Told, Ways};

/// It ends when it is dropped, whatever is on its way.
pub(super) struct Line {
    questions: mpsc::UnboundedSender<(Question, Reply)>,
}

type Reply = oneshot::Sender<Result<Answer, String>>;

impl Line {
    /// To be called within a tokio runtime, which then does the work.
    pub(super) fn to(addr: SocketAddr, ways: Ways) -> Self {
        let (questions, asked) = mpsc::unbounded_channel();
        tokio::spawn(Operator { addr, ways, number: 0, open: None, waiting: None }.work(asked));
        Self { questions }
    }
}

impl PeerLine for Line {
    fn ask(&mut self, question: Question) -> Asking<'_> {
        let (reply, answer) = oneshot::channel();
        // Should it have ended, the reply is dropped with it.
        self.questions.send((question, reply)).ok();
        Box::pin(async { answer.await.unwrap_or_else(|_| Err("the line has ended".to_owned())) })
    }
}

struct Operator {
    addr: SocketAddr,
    ways: Ways,
    number: u64,
    open: Option<(Sender<Ask>, Receiver<Told>)>,
    waiting: Option<Waiting>,
}

/// For the answer to the newest question.
struct Waiting {
    number: u64,
    burden: Option<String>,
    reply: Reply,
}

impl Operator {
    async fn work(mut self, mut questions: mpsc::UnboundedReceiver<(Question, Reply)>) {
        loop {
            tokio::select! {
                asked = questions.recv() => match asked {
                    Some((question, reply)) => self.put(question, reply).await,
                    None => return,
                },
                told = heard(&mut self.open) => self.pass_on(told),
            }
        }
    }

    async fn put(&mut self, question: Question, reply: Reply) {
        if reply.is_closed() {
            return;
        }
        let burden = question.burden();
        if self.open.is_some()
            && let Some(waiting) = &mut self.waiting
            && burden.is_some()
            && waiting.burden == burden
        {
            waiting.reply = reply;
            return;
        }
        self.number += 1;
        let (number, what) = (self.number, Asked::Raft(question));
        match self.send(&Ask { number, what }).await {
            Ok(()) => self.waiting = Some(Waiting { number, burden, reply }),
            Err(why) => {
                self.open = None;
                reply.send(Err(why)).ok();
            }
        }
    }

    async fn send(&mut self, ask: &Ask) -> Result<(), String> {
        if self.open.is_none() {
            let link = self.ways.dial(self.addr).await.map_err(|error| in_full(&error))?;
            self.open = Some(link.split());
        }
        let Some((says, _)) = &self.open else { return Err("the line is closed".to_owned()) };
        says.send(ask).map_err(|error| error.to_string())
    }

    fn pass_on(&mut self, told: Result<Option<Told>, LinkError>) {
        let answer = match told {
            Ok(Some(Told { number, what })) => {
                let Some(waiting) = self.waiting.take_if(|it| it.number == number) else { return };
                let answer = match what {
                    Said::Raft(answer) => Ok(answer),
                    Said::Nobody => Err("it shares no records".to_owned()),
                    other @ (Said::Joined | Said::Wait | Said::Elsewhere(_) | Said::Refused(_)) => {
                        Err(format!("it answers {other:?}"))
                    }
                };
                // Whoever has lost patience asks again.
                waiting.reply.send(answer).ok();
                return;
            }
            Ok(None) => "the link has ended".to_owned(),
            Err(error) => in_full(&error),
        };
        self.open = None;
        if let Some(waiting) = self.waiting.take() {
            waiting.reply.send(Err(answer)).ok();
        }
    }
}

/// For ever nothing, while it is closed.
async fn heard(
    open: &mut Option<(Sender<Ask>, Receiver<Told>)>,
) -> Result<Option<Told>, LinkError> {
    match open {
        Some((_, hears)) => hears.next().await,
        None => std::future::pending().await,
    }
}

fn in_full(error: &LinkError) -> String {
    use std::error::Error;
    let causes = std::iter::successors(error.source(), |&it| it.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
