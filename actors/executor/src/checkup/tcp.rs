//! Healthy is where somebody listens.

use std::time::Duration;

use tokio::time::timeout;

use crate::localhost;

pub(super) async fn check(port: u16, within: Duration) -> Result<(), String> {
    let connected = timeout(within, localhost::connect(port)).await;
    let why = match connected {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "timed out".to_owned(),
    };
    Err(format!("Failed to connect to port {port}: {why}"))
}
