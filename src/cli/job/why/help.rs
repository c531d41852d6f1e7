//! What would help an instance to a place: for each reason against it, by what the hosts are and
//! what the job asks for, a sentence.

use airglow_model::resources::{Constraint, Demand};
use airglow_web::api::{Config, HostSummary, Resources};

/// A cluster, and what somebody wants of it.
pub(super) struct Wish<'a> {
    pub(super) hosts: &'a [HostSummary],
    /// `None`: it is forgotten.
    pub(super) config: Option<&'a Config>,
}

impl Wish<'_> {
    /// `None`: the reason says it all.
    pub(super) fn help(&self, reason: &str) -> Option<String> {
        let (kind, of) = reason.split_once(": ").unwrap_or((reason, ""));
        match kind {
            "Insufficient" if of == "ports" => Some(
                "end something that holds some there, or let their agents offer a wider range"
                    .into(),
            ),
            "Insufficient" => self.enough(of),
            "Constraint not satisfied" => self.other_values(of),
            "Limit not satisfied" => self.fuller(of),
            "Host is dedicated" => Some(
                "they are kept for jobs that ask for them with a constraint on `dedicated`".into(),
            ),
            "Host is down" => Some(
                "start their agents again, or wait: `airglow host list` says who was heard when"
                    .into(),
            ),
            "Host is draining for maintenance" | "Host is drained for maintenance" => {
                Some("`airglow host activate` takes them back when they are ready".into())
            }
            _ => None,
        }
    }

    fn enough(&self, what: &str) -> Option<String> {
        let lack: Lack = LACKS.iter().find(|it| it.0 == what)?.1;
        let Some(wanted) = self.config.map(|it| (lack.amount)(&it.resources)) else {
            return Some(format!("free some {what} on one of them"));
        };
        let has = |it: &&HostSummary| wanted <= (lack.amount)(&it.capacity);
        let large = self.hosts.iter().filter(|it| it.state == "up").filter(has).count();
        let largest = self.hosts.iter().map(|it| (lack.amount)(&it.capacity)).fold(0.0, f64::max);
        Some(match large {
            0 => format!(
                "an instance asks for {}, and the largest host has {}: ask for no more, or add a larger host",
                (lack.show)(wanted),
                (lack.show)(largest)
            ),
            1 => format!("1 host has that much {what} in all: free some there, or ask for less"),
            some => format!(
                "{some} hosts have that much {what} in all: free some on one of them, or ask for less"
            ),
        })
    }

    fn demand(&self, attribute: &str) -> Option<Demand> {
        let text = self.config?.job.constraints.get(attribute)?;
        Constraint::parse(attribute, text).ok().map(|it| it.demand)
    }

    fn other_values(&self, attribute: &str) -> Option<String> {
        let there = self.values(attribute);
        let there = match there.as_slice() {
            [] => format!("no host has the attribute {attribute}"),
            some => format!("hosts have {attribute} {}", some.join(", ")),
        };
        Some(match self.demand(attribute)? {
            Demand::Value { negated, values } => {
                let values = values.into_iter().collect::<Vec<_>>().join(" or ");
                let asked = if negated { format!("anything but {values}") } else { values };
                format!(
                    "the job asks for {asked}, and {there}: change its constraint, or a host's attributes"
                )
            }
            Demand::Limit(_) => format!("{there}: give them one, or drop the job's limit"),
        })
    }

    fn fuller(&self, attribute: &str) -> Option<String> {
        let Demand::Limit(limit) = self.demand(attribute)? else { return None };
        let places = self.values(attribute).len();
        let room = u64::from(limit) * places as u64;
        Some(format!(
            "{limit} instances may have the same {attribute}, and there are {places} of it: that is {room} in all; add a host with another {attribute}, or raise the limit"
        ))
    }

    /// All that there are, in order.
    fn values(&self, attribute: &str) -> Vec<&str> {
        let values = self.hosts.iter().filter_map(|it| it.attributes.get(attribute)).flatten();
        let values: std::collections::BTreeSet<&str> = values.map(String::as_str).collect();
        values.into_iter().collect()
    }
}

/// Something that there can be too little of.
#[derive(Clone, Copy)]
struct Lack {
    amount: fn(&Resources) -> f64,
    show: fn(f64) -> String,
}

#[expect(clippy::cast_precision_loss, reason = "no host has so much that it matters")]
const LACKS: [(&str, Lack); 4] = [
    ("CPU", Lack { amount: |it| it.cpu, show: |it| format!("{it} cores") }),
    ("RAM", Lack { amount: |it| it.ram_mb as f64, show: |it| format!("{it} MB") }),
    ("disk", Lack { amount: |it| it.disk_mb as f64, show: |it| format!("{it} MB") }),
    ("GPU", Lack { amount: |it| it.gpus as f64, show: |it| format!("{it} GPUs") }),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn host(name: &str, cpu: f64, rack: &str) -> HostSummary {
        serde_json::from_value(json!({
            "host": name, "state": "up", "joined_at": 0, "heard_at": 0, "version": "1",
            "attributes": { "rack": [rack] }, "tasks": 0,
            "capacity": { "cpu": cpu, "ram_mb": 1024, "disk_mb": 1024, "gpus": 0 },
            "used": { "cpu": 0.0, "ram_mb": 0, "disk_mb": 0, "gpus": 0 },
        }))
        .unwrap()
    }

    fn config(cpu: f64, constraints: &serde_json::Value) -> Config {
        serde_json::from_value(json!({
            "number": 1, "instances": "0-2", "kind": "service", "ports": [], "tier": "preferred",
            "priority": 0,
            "resources": { "cpu": cpu, "ram_mb": 2048, "disk_mb": 1, "gpus": 1 },
            "job": {
                "cluster": "c", "role": "r", "environment": "e", "name": "n",
                "constraints": constraints,
                "task": { "name": "n", "processes": [{ "name": "p", "cmdline": "true" }],
                          "resources": { "cpu": cpu, "ram": 1, "disk": 1 } },
            },
        }))
        .unwrap()
    }

    #[test]
    fn every_reason_has_its_help() {
        let hosts = [host("a", 8.0, "1"), host("b", 4.0, "1"), host("c", 2.0, "2")];
        let help = |cpu: f64, constraint: &str, reason: &str| {
            let config = config(cpu, &json!({ "rack": constraint }));
            Wish { hosts: &hosts, config: Some(&config) }.help(reason).unwrap()
        };
        for (cpu, constraint, reason, says) in [
            (16.0, "1", "Insufficient: CPU", "asks for 16 cores, and the largest host has 8 cores"),
            (8.0, "1", "Insufficient: CPU", "1 host has that much CPU in all: free some there"),
            (3.0, "1", "Insufficient: CPU", "2 hosts have that much CPU in all"),
            (1.0, "1", "Insufficient: RAM", "asks for 2048 MB, and the largest host has 1024 MB"),
            (1.0, "1", "Insufficient: disk", "3 hosts have that much disk in all"),
            (1.0, "1", "Insufficient: GPU", "asks for 1 GPUs, and the largest host has 0 GPUs"),
            (1.0, "1", "Insufficient: ports", "wider range"),
            (1.0, "3", "Constraint not satisfied: rack", "asks for 3, and hosts have rack 1, 2"),
            (1.0, "!1,2", "Constraint not satisfied: rack", "asks for anything but 1 or 2"),
            (1.0, "limit:1", "Limit not satisfied: rack", "there are 2 of it: that is 2 in all"),
            (1.0, "1", "Host is dedicated", "a constraint on `dedicated`"),
            (1.0, "1", "Host is down", "start their agents again"),
            (1.0, "1", "Host is draining for maintenance", "`airglow host activate`"),
            (1.0, "1", "Host is drained for maintenance", "`airglow host activate`"),
        ] {
            let told = help(cpu, constraint, reason);
            assert!(told.contains(says), "{reason}: {told}");
        }
        let nothing_known = Wish { hosts: &hosts, config: None };
        assert_eq!(
            nothing_known.help("Insufficient: CPU").unwrap(),
            "free some CPU on one of them"
        );
        assert_eq!(nothing_known.help("Something else"), None);
    }
}
