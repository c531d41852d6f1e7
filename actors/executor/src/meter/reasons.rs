//! Why a task is ended that takes more than it asked for, as users are told it.

/// `reserved` as its configuration says, in bytes. `allowed` is what the kernel was told, and `peak`
/// the most that it saw, where it says so: with room left, it was not the task that wanted too much.
pub(crate) fn out_of_memory(reserved: u64, allowed: u64, peak: Option<u64>) -> String {
    if peak.is_some_and(|peak| peak.saturating_add(ROUNDING) < allowed) {
        return format!(
            "The host ran out of memory, and its kernel ended a process of this task, which kept \
             within its {}.",
            size(reserved)
        );
    }
    let allowed = match reserved < allowed {
        true => format!(" ({} allowed)", size(allowed)),
        false => String::new(),
    };
    let reserved = size(reserved);
    format!("Memory limit exceeded: {reserved} reserved{allowed}, and its processes wanted more.")
}

/// `None` if it has no more than it asked for; it may have all of it. Who asked for nothing was not
/// told of a limit.
pub(crate) fn disk_full(reserved: u64, used: u64) -> Option<String> {
    let is_more = 0 < reserved && reserved < used;
    is_more
        .then(|| format!("Disk limit exceeded.  Reserved {reserved} bytes vs used {used} bytes."))
}

/// The kernel charges by batches of pages.
const ROUNDING: u64 = 4 << 20;

/// In the largest unit of which it is at least one, exactly if that is short.
fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} bytes");
    };
    let one = 1_u64 << shift;
    match bytes.is_multiple_of(one) {
        true => format!("{} {unit}", bytes / one),
        false => format!("{:.1} {unit}", bytes as f64 / one as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// E8
    #[test]
    fn a_task_may_have_all_the_disk_that_it_asked_for_and_no_more() {
        let twice = disk_full(256, 512).unwrap();
        assert_eq!(twice, "Disk limit exceeded.  Reserved 256 bytes vs used 512 bytes.");
        assert_eq!(disk_full(256, 256), None);
        assert_eq!(disk_full(256, 0), None);
        assert_eq!(disk_full(0, 512), None);
    }

    #[test]
    fn who_wanted_too_much_memory_is_told_how_much_it_could_have() {
        let told = out_of_memory(64 * MIB, 64 * MIB, Some(64 * MIB));
        let plain = "Memory limit exceeded: 64 MiB reserved, and its processes wanted more.";
        assert_eq!(told, plain);
        assert_eq!(out_of_memory(64 * MIB, 64 * MIB, None), plain);
        let told = out_of_memory(1000, 32 * MIB, Some(31 * MIB));
        let small = "1000 bytes reserved (32 MiB allowed)";
        assert_eq!(told, plain.replace("64 MiB reserved", small));
    }

    #[test]
    fn whose_host_had_no_memory_left_is_not_blamed() {
        let told = out_of_memory(64 * MIB, 64 * MIB, Some(32 * MIB));
        assert!(told.starts_with("The host ran out of memory"), "{told}");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1023, 1024, 1536, 10 * MIB, 10 * MIB + 1, 3 << 40].map(size);
        let short = ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "10 MiB", "10.0 MiB", "3 TiB"];
        assert_eq!(sizes, short);
    }
}
