//! What is still worth saying about a job that could not be read in all places.

use super::{Complaint, Complaints};

/// All complaints of both, without what was found only because something could not be read.
pub(super) fn merge(unreadable: Vec<Complaint>, mut found: Vec<Complaint>) -> Vec<Complaint> {
    found.retain(|it| !unreadable.iter().any(|cause| follows(&it.pointer, &cause.pointer)));
    found.extend(unreadable);
    Complaints(found).in_order()
}

/// Whether a rule that complains about `found` may have looked at `unreadable`.
fn follows(found: &str, unreadable: &str) -> bool {
    let elsewhere = |(rule, cause): &(&str, &str)| found == *rule && touch(unreadable, cause);
    touch(found, unreadable)
        || ELSEWHERE.iter().any(elsewhere)
        || (found == "/task/constraints" && is_of_plan(unreadable))
        || (is_within(found, "/announce/portmap") && touch(unreadable, "/constraints/dedicated"))
}

/// Rules that look at another place than the one they complain about, and that place.
const ELSEWHERE: [(&str, &str); 8] = [
    ("/update_config/max_total_failures", "/instances"),
    ("/sla_policy", "/instances"),
    ("/sla_policy", "/tier"),
    ("/sla_policy", "/production"),
    ("/constraints/dedicated", "/role"),
    ("/announce/portmap", "/announce/primary_port"),
    ("/health_check_config/health_checker/tcp/port", "/task/processes"),
    ("/health_check_config/health_checker/tcp/port", "/announce"),
];

/// Whether the order of processes depends on it: on who they are and when they run.
fn is_of_plan(pointer: &str) -> bool {
    let Some(below) = pointer.strip_prefix("/task/processes") else { return false };
    let mut steps = below.split('/').skip(2);
    matches!((steps.next(), steps.next()), (None | Some("name" | "final"), None))
}

/// Whether one is the other or a part of it.
fn touch(one: &str, other: &str) -> bool {
    is_within(one, other) || is_within(other, one)
}

/// Whether a pointer leads to where another does, or further.
fn is_within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
