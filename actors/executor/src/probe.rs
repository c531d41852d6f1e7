//! What this host has to offer.

use std::{io, path::Path};

use airglow_model::{resources::Resources, wire::Capacity};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    statvfs::statvfs,
};
use procfs::{Current, Meminfo};

/// Below what the kernel gives out to connections by itself.
const PORTS: (u16, u16) = (31_000, 32_000);

const MB: u64 = 1024 * 1024;

/// The cores, the memory but for a part that the machine itself needs, and the disk that is free
/// where the tasks are.
pub(crate) fn capacity(data: &Path) -> io::Result<Capacity> {
    let cores = std::thread::available_parallelism()?.get();
    let memory = Meminfo::current().map_err(io::Error::other)?.mem_total / MB;
    let disk = statvfs(data)?;
    let resources = Resources {
        cpu_milli: cores as u64 * 1000,
        ram_mb: memory.saturating_sub(reserve_mb(memory)),
        disk_mb: disk.blocks_available() * disk.fragment_size() / MB,
        gpus: 0,
    };
    Ok(Capacity { resources, ports: vec![PORTS], ..Capacity::default() })
}

/// Lets us have as many files open as we may: every process that runs here takes two. What was
/// usual before is returned, for the processes, some of which break if it is more.
pub(crate) fn raise_open_files() -> io::Result<u64> {
    let (usual, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(usual)
}

/// A tenth, but no more than a large machine needs for itself.
fn reserve_mb(memory: u64) -> u64 {
    (memory / 10).min(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_something_to_offer() {
        let found = capacity(Path::new("/")).unwrap();
        assert!(found.resources.cpu_milli >= 1000, "{found:?}");
        assert!(found.resources.ram_mb > 0, "{found:?}");
        assert_eq!(found.ports, [(31_000, 32_000)]);
    }
}
