//! `airglow admin snapshot`: the cluster's memory is backed up while everything goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use airglow_kit::now;
use airglow_web::api::{Snapshot, Snapshots};

use super::{Code, Failure, Global, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The only cluster there is, if not said
    cluster: Option<String>,
    /// Have it here, too. Whoever has this file can pretend to be the cluster: keep it safe
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// List those that are there, instead of making one
    #[arg(long, conflicts_with = "output")]
    list: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    let session = global.cluster_session(args.cluster.as_deref())?;
    if args.list {
        let snapshots = session.client.snapshots()?;
        return if global.write_json { screen::json(&snapshots) } else { list(&snapshots) };
    }
    if let Some(output) = &args.output {
        refuse_to_overwrite(output)?;
    }
    let mut progress = screen::Progress::new();
    progress.show("", "The scheduler copies its database and reads the copy back …");
    let began = now();
    let made = session.client.snapshot();
    progress.clear();
    let mut made = made?;
    let took = now().since(began).as_secs_f64();
    let size = screen::size(made.bytes);
    screen::aside(&format!("Backed up: {size}, up to transaction {}, in {took:.1} s", made.seq));
    if let Some(output) = &args.output {
        fetch(&made, output)?;
        made.path = output.display().to_string();
    }
    if global.write_json {
        return screen::json(&made);
    }
    Ok(writeln!(screen::out(), "{}", made.path)?)
}

fn list(snapshots: &Snapshots) -> Outcome {
    if let Some(failure) = &snapshots.failure {
        let at = screen::local_time(failure.at);
        screen::warn(&format!("The last backup failed at {at}: {}", failure.why));
    }
    if snapshots.items.is_empty() {
        screen::aside(&format!("There are no backups in {}", snapshots.folder));
        return Ok(());
    }
    let row = |it: &Snapshot| {
        let made_at = screen::local_time(it.made_at);
        vec![made_at, it.seq.to_string(), screen::size(it.bytes), it.path.clone()]
    };
    let header = ["MADE", "TRANSACTION", "SIZE", "FILE"];
    let rows = snapshots.items.iter().map(row);
    Ok(writeln!(screen::out(), "{}", screen::table(&header, rows))?)
}

fn refuse_to_overwrite(output: &Path) -> Outcome {
    if output.exists() {
        let message = format!("{} is there already", output.display());
        return Err(Failure::new(Code::Fatal, message).hint("Name another file."));
    }
    Ok(())
}

/// Whole or not at all.
fn fetch(made: &Snapshot, output: &Path) -> Outcome {
    let failed = |step: &str, path: &Path, error: &io::Error| {
        let message = format!("Cannot {step} {}: {error}", path.display());
        Failure::new(Code::Fatal, message)
            .hint(format!("The backup is on the scheduler's machine: {}", made.path))
    };
    let from = Path::new(&made.path);
    let mut source = File::open(from).map_err(|it| failed("read", from, &it))?;
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    let draft = PathBuf::from(name);
    let mut copy = || {
        let options =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
        let mut target = options.open(&draft)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        fs::rename(&draft, output)
    };
    copy().map_err(|error| {
        // It may not be there.
        fs::remove_file(&draft).ok();
        failed("write", output, &error)
    })
}
