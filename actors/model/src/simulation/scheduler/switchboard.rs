//! Which hosts are connected, and which connection of a host is its newest.

use std::collections::BTreeMap;

use super::{Mail, Out, ToSession, Word};
use crate::{
    host,
    ids::HostId,
    wire::{Hello, ToExecutor},
};

pub(super) struct Line {
    session: u64,
    hello: Hello,
}

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToSwitchboard {
    PlugIn(u64, Hello),
    Unplugged(HostId, u64),
    /// A host that has woken up asks to be told again whether it is connected.
    Repeat(HostId),
    Tell(HostId, ToExecutor),
}

/// As long as usual.
pub(super) fn disconnected() -> host::Event {
    host::Event::Disconnected { patience: host::UNREACHABLE_AFTER }
}

pub(super) fn read(lines: &mut BTreeMap<HostId, Line>, word: ToSwitchboard, out: &mut Out) {
    let happened = |host, event| Mail::Host(host, Word::Happened(event, None));
    match word {
        ToSwitchboard::PlugIn(session, hello) => {
            let host = hello.host.clone();
            let before = lines.insert(host.clone(), Line { session, hello: hello.clone() });
            if let Some(before) = before {
                out.send(Mail::Session(before.session, ToSession::Replaced));
            }
            out.send(happened(host, host::Event::Connected(hello)));
            out.send(Mail::Session(session, ToSession::Plugged));
        }
        ToSwitchboard::Unplugged(host, session) => {
            if lines.get(&host).is_some_and(|it| it.session == session) {
                lines.remove(&host);
                out.send(happened(host, disconnected()));
            }
        }
        ToSwitchboard::Repeat(host) => {
            let event = lines
                .get(&host)
                .map_or_else(disconnected, |it| host::Event::Connected(it.hello.clone()));
            out.send(happened(host, event));
        }
        ToSwitchboard::Tell(host, order) => {
            if let Some(line) = lines.get(&host) {
                out.send(Mail::Session(line.session, ToSession::Obey(order)));
            }
        }
    }
}
