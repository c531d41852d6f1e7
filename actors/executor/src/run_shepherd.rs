//! The parent of one run of one process, which outlives the agent.
//!
//! A process of the machine does not end with its actor, and must not: an agent is restarted and
//! upgraded while tasks run. Somebody else has to be there when a process ends, to see how, and to
//! write it down. That is all that this program does: no actors, no runtime, no threads, no heap
//! to speak of. It gets its order from a file, so that nothing of it is in the list of processes,
//! and leaves its word in files next to it.
//!
//! It is the reaper of all descendants, so that none escapes by making a session of its own. It
//! takes no signal as its own: `SIGTERM` is passed on to its children, and `SIGUSR1` means that
//! everything below it is to end now.

use std::{
    ffi::{CString, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{ffi::OsStringExt, fs::OpenOptionsExt},
    process::ExitCode,
    time::Duration,
};

use airglow_kit::now;
use airglow_model::process::Exit;
use nix::{
    fcntl::OFlag,
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, Signal},
        stat::{Mode, umask},
    },
    unistd::{chdir, setsid},
};
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, kill_process_group, wait,
    waitid, waitpgid, waitpid,
};

use crate::{
    folder::{Claim, Ended, Order, RunFolder, Started},
    pids::{self, Identity},
};

mod raw;

/// Runs one process of a task as its folder says, detached from whoever called. To be called
/// before anything else is started: it needs to be the only thread.
pub fn shepherd(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(folder) = arguments.next() else { return ExitCode::FAILURE };
    match raw::detach() {
        // The parent's part is done; what is left of it would only be a zombie's parent.
        Ok(raw::Side::Parent) => ExitCode::SUCCESS,
        Ok(raw::Side::Child) => {
            Shepherd::new(RunFolder::at(folder)).map_or(ExitCode::FAILURE, Shepherd::tend)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

struct Shepherd {
    run: RunFolder,
    bell: File,
}

/// What [`Shepherd::watch`] watches.
struct Flock {
    main: Pid,
    is_main_over: bool,
    is_doomed: bool,
}

impl Shepherd {
    fn new(run: RunFolder) -> io::Result<Self> {
        setsid()?;
        prctl::set_child_subreaper(true)?;
        prctl::set_name(c"airglow-herd")?;
        SigSet::all().thread_block()?;
        umask(Mode::from_bits_truncate(0o022));
        // Both ends, so that it can be opened when nobody listens, and be rung when nobody does.
        let bell = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(run.bell())?;
        Ok(Self { run, bell })
    }

    fn tend(self) -> ExitCode {
        let me = Identity::of(getpid().as_raw_nonzero().get());
        match me.map(|me| self.run.claim(&Claim::Shepherd(me))) {
            Some(Ok(true)) => {}
            // Another one was quicker, or nobody is wanted any more.
            Some(Ok(false)) => return ExitCode::SUCCESS,
            Some(Err(_)) | None => return ExitCode::FAILURE,
        }
        match self.start() {
            Ok(main) => {
                // A run that nobody can be told of must not go on, lest another starts beside it.
                let is_doomed = self.say_started(main).is_err();
                self.watch(Flock { main, is_main_over: false, is_doomed });
            }
            Err(why) => self.say_ended(Exit::Unstarted(why.to_string()), false),
        }
        ExitCode::SUCCESS
    }

    /// # Errors
    /// Nothing was started.
    fn start(&self) -> io::Result<Pid> {
        let order = self.run.order()?;
        chdir(&order.sandbox)?;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, order.open_files.min(most), most)?;
        give_up_protection();
        let main = spawn(&order)?;
        // Were it to stay there nothing would be wrong but that the sandbox could not be unmounted.
        chdir("/").ok();
        Ok(main)
    }

    fn say_started(&self, main: Pid) -> io::Result<()> {
        // Nobody else reaps it, so it is there even if it has ended.
        let main = Identity::of(main.as_raw_nonzero().get())
            .ok_or_else(|| io::Error::other("a process that was started is not in /proc"))?;
        self.run.write_started(&Started { main, at: now() })?;
        self.ring();
        Ok(())
    }

    /// Until nothing is left to be watched.
    fn watch(&self, mut flock: Flock) {
        let signals = SigSet::all();
        while self.reap(&mut flock) {
            if flock.is_doomed {
                // Their children become ours, and we hear of it when they do.
                tell_children(rustix::process::Signal::KILL);
            }
            match signals.wait() {
                Ok(Signal::SIGTERM) => tell_children(rustix::process::Signal::TERM),
                Ok(Signal::SIGUSR1) => flock.is_doomed = true,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Whether somebody is left.
    fn reap(&self, flock: &mut Flock) -> bool {
        if !flock.is_main_over {
            let Some(exit) = exit_of(flock.main) else {
                // One by one, lest the main process is reaped with them and nobody sees how it ended.
                let others = children().filter(|it| *it != flock.main);
                for other in others {
                    waitpid(Some(other), WaitOptions::NOHANG).ok();
                }
                return true;
            };
            flock.is_main_over = true;
            self.say_ended(exit, clear_group(flock.main));
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        is_anybody_left()
    }

    /// This must not get lost, even if there is no room on the disk for now. Without a folder there
    /// is nobody left who could want to know.
    fn say_ended(&self, exit: Exit, leftover: bool) {
        let ended = Ended { at: now(), exit, leftover };
        while self.run.write_ended(&ended).is_err() && self.run.path().exists() {
            pause(Duration::from_secs(1));
        }
        self.ring();
    }

    /// If nobody hears it, whoever comes next will look at the files anyway.
    fn ring(&self) {
        (&self.bell).write_all(&[0]).ok();
    }
}

/// The kernel may have been told to spare the agent when memory runs out, which whoever it starts
/// inherits; a user's process has no claim to that. If it cannot be changed, it was not protected.
fn give_up_protection() {
    const SCORE: &str = "/proc/self/oom_score_adj";
    let score = fs::read_to_string(SCORE).ok().and_then(|it| it.trim().parse::<i32>().ok());
    if score.is_some_and(i32::is_negative) {
        fs::write(SCORE, "0").ok();
    }
}

/// `/bin/bash -c`, in a process group of its own, with nothing inherited but what the order says.
fn spawn(order: &Order) -> io::Result<Pid> {
    let mut files = PosixSpawnFileActions::init()?;
    let append = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT;
    files.add_open(0, "/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    files.add_open(1, &order.stdout, append, Mode::from_bits_truncate(0o644))?;
    files.add_open(2, &order.stderr, append, Mode::from_bits_truncate(0o644))?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::all())?;
    let text = |it: Vec<u8>| CString::new(it).map_err(io::Error::from);
    let cmdline = text(order.cmdline.clone().into_bytes())?;
    let arguments = [c"/bin/bash".to_owned(), c"-c".to_owned(), cmdline];
    let environment: Vec<_> = order
        .environment
        .iter()
        .map(|(name, value)| text(OsString::from(format!("{name}={value}")).into_vec()))
        .collect::<io::Result<_>>()?;
    let main = posix_spawn(c"/bin/bash", &files, &attributes, &arguments, &environment)?;
    Ok(Pid::from_raw(main.as_raw()).expect("a process that was started has a number"))
}

/// How it ended, if it has. It is left as it is: as long as it is not reaped, its number is nobody
/// else's.
fn exit_of(main: Pid) -> Option<Exit> {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(main), peek).ok()??;
    let code = status.exit_status().map(Exit::Code);
    Some(code.or(status.terminating_signal().map(Exit::Signal)).unwrap_or(Exit::Lost))
}

/// Ends what the main process left in its group, itself unreaped so that the group is still its
/// own, and says whether anybody is left elsewhere.
fn clear_group(main: Pid) -> bool {
    kill_process_group(main, rustix::process::Signal::KILL).ok();
    while waitpgid(main, WaitOptions::empty()).is_ok() {}
    is_anybody_left()
}

fn is_anybody_left() -> bool {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, peek).is_ok()
}

fn children() -> impl Iterator<Item = Pid> {
    pids::children(getpid().as_raw_nonzero().get()).into_iter().filter_map(Pid::from_raw)
}

/// Not reaped yet, so still who they were.
fn tell_children(signal: rustix::process::Signal) {
    for child in children() {
        kill_process(child, signal).ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no arbiter in this program to be blocked")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
