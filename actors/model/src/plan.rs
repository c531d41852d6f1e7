//! Which processes of a task wait for which others.
//!
//! A task has two plans: one of its regular processes, and one of those that run last. An order
//! constraint lies within one of them, because a regular process that waited for a final one would
//! wait for ever. What becomes of the processes is not known here: that is [`crate::run`]'s matter.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::spec::{OrderConstraint, ProcessSpec};

/// The processes of a task, in the order in which they were written, and what each waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    processes: Vec<Planned>,
    by_name: BTreeMap<Arc<str>, usize>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Planned {
    pub name: Arc<str>,
    pub is_final: bool,
    pub daemon: bool,
    pub ephemeral: bool,
    /// The places in the plan of those that have to finish first.
    pub after: Vec<usize>,
}

/// Why there is no order in which the processes could run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlanError {
    /// Two processes have this name.
    SameName {
        process: String,
    },
    /// A constraint names some of a plan's processes and something that is not in that plan.
    Mixed,
    Cycle,
    AfterDaemon {
        process: String,
        daemon: String,
    },
    AfterEphemeral {
        process: String,
        ephemeral: String,
    },
}

impl Plan {
    /// # Errors
    /// The processes could not all have their turn; the text says why as users know it.
    pub fn new(
        processes: &[ProcessSpec],
        constraints: &[OrderConstraint],
    ) -> Result<Self, PlanError> {
        let mut plan = Self { processes: Vec::new(), by_name: BTreeMap::new() };
        for process in processes {
            plan.add(process)?;
        }
        for constraint in constraints {
            plan.order(constraint)?;
        }
        for process in &mut plan.processes {
            process.after.sort_unstable();
            process.after.dedup();
        }
        plan.refuse_impossible_predecessors()?;
        plan.refuse_cycles()?;
        Ok(plan)
    }

    pub fn processes(&self) -> &[Planned] {
        &self.processes
    }

    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn add(&mut self, process: &ProcessSpec) -> Result<(), PlanError> {
        let name: Arc<str> = process.name.as_str().into();
        if self.by_name.insert(name.clone(), self.processes.len()).is_some() {
            return Err(PlanError::SameName { process: process.name.clone() });
        }
        self.processes.push(Planned {
            name,
            is_final: process.is_final,
            daemon: process.daemon,
            ephemeral: process.ephemeral,
            after: Vec::new(),
        });
        Ok(())
    }

    /// Nothing of the task is meant by a constraint that names none of its processes: templates
    /// that combine tasks leave such behind.
    fn order(&mut self, constraint: &OrderConstraint) -> Result<(), PlanError> {
        let known: Vec<_> = constraint.order.iter().map(|name| self.place_of(name)).collect();
        if known.iter().all(Option::is_none) {
            return Ok(());
        }
        let places: Vec<_> = known.into_iter().collect::<Option<_>>().ok_or(PlanError::Mixed)?;
        for pair in places.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if self.processes[before].is_final != self.processes[after].is_final {
                return Err(PlanError::Mixed);
            }
            self.processes[after].after.push(before);
        }
        Ok(())
    }

    fn refuse_impossible_predecessors(&self) -> Result<(), PlanError> {
        for process in &self.processes {
            for before in process.after.iter().map(|&place| &self.processes[place]) {
                if before.daemon {
                    return Err(PlanError::AfterDaemon {
                        process: process.name.to_string(),
                        daemon: before.name.to_string(),
                    });
                }
                if before.ephemeral && !process.ephemeral {
                    return Err(PlanError::AfterEphemeral {
                        process: process.name.to_string(),
                        ephemeral: before.name.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Takes away what waits for nothing until nothing is left to take away.
    fn refuse_cycles(&self) -> Result<(), PlanError> {
        let mut waits: Vec<_> = self.processes.iter().map(|it| it.after.len()).collect();
        let mut followers = vec![Vec::new(); waits.len()];
        for (place, process) in self.processes.iter().enumerate() {
            for &before in &process.after {
                followers[before].push(place);
            }
        }
        let mut free: Vec<_> = (0..waits.len()).filter(|&place| waits[place] == 0).collect();
        let mut taken = 0;
        while let Some(place) = free.pop() {
            taken += 1;
            for &follower in &followers[place] {
                waits[follower] -= 1;
                if waits[follower] == 0 {
                    free.push(follower);
                }
            }
        }
        if taken == waits.len() { Ok(()) } else { Err(PlanError::Cycle) }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameName { process } => {
                write!(f, "Two processes have the name {process}; names must be unique in a task.")
            }
            Self::Mixed => write!(f, "Invalid process dependencies!"),
            Self::Cycle => write!(f, "Cycles detected in the task schedule!"),
            Self::AfterDaemon { process, daemon } => {
                write!(f, "Process {process} may not depend upon daemon process {daemon}")
            }
            Self::AfterEphemeral { process, ephemeral } => write!(
                f,
                "Non-ephemeral process {process} may not depend upon ephemeral process {ephemeral}"
            ),
        }
    }
}

impl std::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name`, `name!` final, `name*` daemon, `name~` ephemeral; orders as `a<b<c`.
    fn plan(processes: &str, orders: &str) -> String {
        let processes: Vec<_> = processes.split_whitespace().map(process).collect();
        let orders: Vec<_> = orders
            .split_whitespace()
            .map(|it| OrderConstraint { order: it.split('<').map(str::to_owned).collect() })
            .collect();
        match Plan::new(&processes, &orders) {
            Err(error) => error.to_string(),
            Ok(plan) => {
                let name = |&place: &usize| plan.processes[place].name.to_string();
                let waits = |it: &Planned| it.after.iter().map(name).collect::<Vec<_>>().join(",");
                let all = plan.processes.iter().map(|it| format!("{}({})", it.name, waits(it)));
                all.collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn process(text: &str) -> ProcessSpec {
        let name = text.trim_end_matches(['!', '*', '~']);
        let json = serde_json::json!({
            "name": name, "cmdline": "true", "final": text.contains('!'),
            "daemon": text.contains('*'), "ephemeral": text.contains('~'),
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn p1_p2_a_constraint_orders_its_neighbours() {
        assert_eq!(plan("", ""), "");
        assert_eq!(plan("p1 p2 p3", ""), "p1() p2() p3()");
        assert_eq!(plan("p1 p2 p3", "p1<p2<p3"), "p1() p2(p1) p3(p2)");
        assert_eq!(plan("p1 p2 p3", "p1<p3 p2<p3 p1<p3"), "p1() p2() p3(p1,p2)");
    }

    #[test]
    fn p4_cycles_are_refused() {
        let cycle = "Cycles detected in the task schedule!";
        assert_eq!(plan("p1 p2", "p1<p2 p2<p1"), cycle);
        assert_eq!(plan("p1 p2 p3", "p1<p2 p2<p3 p3<p1"), cycle);
        assert_eq!(plan("p1", "p1<p1"), cycle);
    }

    #[test]
    fn p16_a_constraint_lies_within_one_plan() {
        let orders = "p1<p2<p3 f1<f2<f3";
        assert_eq!(plan("p1 p2 p3 f1! f2! f3!", orders), "p1() p2(p1) p3(p2) f1() f2(f1) f3(f2)");
        let mixed = "Invalid process dependencies!";
        assert_eq!(plan("p1 p2 p3 f1! f2! f3!", &format!("{orders} p1<f1")), mixed);
        assert_eq!(plan("p1 p2", "p1<nobody"), mixed);
        assert_eq!(plan("p1 p2", "some<body"), "p1() p2()");
    }

    #[test]
    fn nothing_waits_for_what_never_counts_as_finished() {
        assert_eq!(plan("p* q", "p<q"), "Process q may not depend upon daemon process p");
        let ephemeral = "Non-ephemeral process q may not depend upon ephemeral process p";
        assert_eq!(plan("p~ q", "p<q"), ephemeral);
        assert_eq!(plan("p~ q~", "p<q"), "p() q(p)");
    }

    #[test]
    fn r25_two_processes_of_one_name_are_refused() {
        let same = "Two processes have the name p; names must be unique in a task.";
        assert_eq!(plan("p p", ""), same);
    }
}
