//! Cables that are bad at it: between a host and the bridge, frames pass through this process, which
//! may lose them or let them wait.
//!
//! A cable has a network device at either end. All cables are served by one thread. What a fault
//! does to a frame is decided where it leaves the bridge for a host: there both who sent it and whom
//! it reaches are known, of a broadcast too.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use airglow_model::machine::Timestamp;
use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::chance::Chance;
use crate::cluster::eventually;

/// Of two hosts, by their numbers: what the first one sends does not reach the second.
pub(super) type Direction = (u8, u8);

/// What becomes of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) lost_percent: u64,
    pub(super) latency: Duration,
}

/// What is wrong with the network.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) cut: BTreeSet<Direction>,
    pub(super) weather: Weather,
}

pub(super) struct Cable {
    /// The host's number.
    pub(super) host: u8,
    at_host: File,
    at_bridge: File,
}

/// Whoever carries frames, until it is dropped.
pub(super) struct Carrier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    faults: Mutex<Faults>,
    cables: Mutex<Vec<Arc<Cable>>>,
    is_over: AtomicBool,
}

/// A frame that waits to be delivered; ordered by when, and then by when it came.
struct Waiting {
    due: (Timestamp, u64),
    frame: Vec<u8>,
    to: Arc<Cable>,
}

/// The address of a host's device, which says its number.
pub(super) fn address(host: u8) -> String {
    format!("02:00:00:00:00:{host:02x}")
}

/// Who sent it, if it was a host: no other device has such an address.
fn sender(frame: &[u8]) -> Option<u8> {
    match frame.get(6..12)? {
        [2, 0, 0, 0, 0, host] => Some(*host),
        _ => None,
    }
}

/// A new network device, in the namespace of the thread that asks. It is gone when it is closed, and
/// so is the one that had this name before, soon after its cable was pulled out.
pub(super) fn device(name: &str) -> File {
    eventually("a network device can be made: /dev/net/tun is there, and this is root", || {
        let device = File::options().read(true).write(true).open("/dev/net/tun").ok()?;
        bring_about(&device, name).then_some(device)
    })
}

#[expect(unsafe_code, reason = "a device gets its name by an ioctl, which has no safe form")]
fn bring_about(device: &File, name: &str) -> bool {
    // SAFETY: all zeroes are a request; the call reads no more than a whole one.
    let made = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::try_from(from).unwrap();
        }
        let flags = libc::IFF_TAP | libc::IFF_NO_PI;
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).unwrap();
        libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &request)
    };
    made == 0
}

impl Cable {
    pub(super) fn new(host: u8, at_host: File, at_bridge: File) -> Self {
        for end in [&at_host, &at_bridge] {
            rustix::io::ioctl_fionbio(end, true).unwrap();
        }
        Self { host, at_host, at_bridge }
    }
}

impl Carrier {
    pub(super) fn start(chance: Chance) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let carry =
            move || Carrying { shared: theirs, chance, waiting: BinaryHeap::new(), seen: 0 };
        let thread = thread::spawn(move || carry().carry());
        Self { shared, thread: Some(thread) }
    }

    pub(super) fn faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        change(&mut self.shared.faults.lock().unwrap())
    }

    /// The one that the host had before is pulled out.
    pub(super) fn plug_in(&self, cable: Cable) {
        self.pull_out(cable.host);
        self.shared.cables.lock().unwrap().push(Arc::new(cable));
    }

    pub(super) fn pull_out(&self, host: u8) {
        self.shared.cables.lock().unwrap().retain(|it| it.host != host);
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

struct Carrying {
    shared: Arc<Shared>,
    chance: Chance,
    waiting: BinaryHeap<Reverse<Waiting>>,
    seen: u64,
}

impl Carrying {
    fn carry(mut self) {
        while !self.shared.is_over.load(Ordering::Relaxed) {
            // Whoever is new is looked at from the next round on.
            let cables = self.shared.cables.lock().unwrap().clone();
            if self.wait(&cables) {
                for cable in &cables {
                    self.serve(cable);
                }
            }
            self.deliver();
        }
    }

    /// Until a frame has come, or one is due. Says whether one may have come.
    fn wait(&self, cables: &[Arc<Cable>]) -> bool {
        const LONGEST_MS: u64 = 20;
        let due = self.waiting.peek().map(|Reverse(it)| it.due.0.0);
        let ms = due.map_or(LONGEST_MS, |it| it.saturating_sub(airglow_kit::now().0));
        let timeout =
            Timespec { tv_sec: 0, tv_nsec: i64::try_from(ms.min(LONGEST_MS)).unwrap() * 1_000_000 };
        let ends = cables.iter().flat_map(|it| [&it.at_host, &it.at_bridge]);
        let mut polled: Vec<_> =
            ends.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)).collect();
        poll(&mut polled, Some(&timeout)).is_ok_and(|ready| 0 < ready)
    }

    fn serve(&mut self, cable: &Arc<Cable>) {
        while let Some(frame) = read(&cable.at_host) {
            // A device that is going away takes nothing any more.
            (&cable.at_bridge).write_all(&frame).ok();
        }
        while let Some(frame) = read(&cable.at_bridge) {
            self.judge(cable, frame);
        }
    }

    fn judge(&mut self, to: &Arc<Cable>, frame: Vec<u8>) {
        let faults = self.shared.faults.lock().unwrap();
        let Some(from) = sender(&frame) else { return };
        let Weather { lost_percent, latency } = faults.weather;
        if faults.cut.contains(&(from, to.host)) || self.chance.happens(lost_percent) {
            return;
        }
        drop(faults);
        self.seen += 1;
        let due = (airglow_kit::now() + latency, self.seen);
        self.waiting.push(Reverse(Waiting { due, frame, to: to.clone() }));
    }

    fn deliver(&mut self) {
        let now = airglow_kit::now();
        while self.waiting.peek().is_some_and(|Reverse(it)| it.due.0 <= now) {
            let Some(Reverse(Waiting { frame, to, .. })) = self.waiting.pop() else { return };
            (&to.at_host).write_all(&frame).ok();
        }
    }
}

/// A frame, if there is one; none from a device that is gone.
fn read(mut end: &File) -> Option<Vec<u8>> {
    let mut frame = vec![0; 2048];
    let length = end.read(&mut frame).ok()?;
    frame.truncate(length);
    (0 < length).then_some(frame)
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}
