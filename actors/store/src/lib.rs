//! The cluster's memory.
