//! Healthy is whose command succeeds.

use std::time::Duration;

use airglow_model::process::Exit;
use tokio::time::timeout;

use super::Shell;

/// How much of what a command wrote is passed on, in characters.
const OUTPUT_MAX: usize = 1000;

pub(super) async fn check(command: &str, shell: &Shell, within: Duration) -> Result<(), String> {
    let ended = timeout(within, shell(command.to_owned(), within)).await;
    let (exit, output) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(why)) => return Err(format!("Internal health check error: {why}")),
        Err(_) => return Err("Health check timed out.".to_owned()),
    };
    let status = match exit {
        Exit::Code(0) => return Ok(()),
        Exit::Code(code) => code,
        Exit::Signal(signal) => -signal,
        Exit::Unstarted(why) => return Err(format!("OSError: {why}")),
        Exit::Lost => return Err("Internal health check error: the command was lost".to_owned()),
    };
    let output = cut(&output);
    Err(format!(
        "Command '{command}' returned non-zero exit status {status} with output '{output}'"
    ))
}

fn cut(output: &str) -> String {
    match output.char_indices().nth(OUTPUT_MAX) {
        Some((end, _)) => format!("{}...", &output[..end]),
        None => output.to_owned(),
    }
}
