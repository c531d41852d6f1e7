//! Airglow from outside.
mod architecture;
