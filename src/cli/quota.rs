//! `airglow quota`: how much of a cluster's dependable resources a role may have, and what it has.

use std::io::Write;

use airglow_web::api::{Amount, Quota};

use super::{Global, Outcome, Session, amounts, exit::Failure, key::RoleKey, screen};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show what a role may have and what it has
    Get {
        #[arg(value_name = "CLUSTER/ROLE")]
        role: RoleKey,
    },
    /// Say how much production work on shared hosts a role may have
    Set {
        #[arg(value_name = "CLUSTER/ROLE")]
        role: RoleKey,
        #[command(flatten)]
        amounts: Amounts,
    },
}

/// As `set_quota` always took them.
#[derive(clap::Args)]
pub(crate) struct Amounts {
    /// Cores, such as 4 or 1.5
    #[arg(value_parser = amounts::cores)]
    cpu: f64,
    /// Such as 10g or 512MB
    #[arg(value_name = "RAM", value_parser = amounts::megabytes)]
    ram_mb: u64,
    /// Such as 100g
    #[arg(value_name = "DISK", value_parser = amounts::megabytes)]
    disk_mb: u64,
}

impl Amounts {
    pub(crate) fn amount(&self) -> Amount {
        let &Self { cpu, ram_mb, disk_mb } = self;
        Amount { cpu, ram_mb, disk_mb }
    }
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Get { role } => get(&role, global),
        Verb::Set { role, amounts } => set(&role, |_| Ok(amounts.amount()), global),
    }
}

fn get(role: &RoleKey, global: &Global) -> Outcome {
    let quota = ask(&global.cluster_session(Some(&role.cluster))?, role)?;
    if global.write_json {
        return screen::json(&quota);
    }
    Ok(screen::out().write_all(render(&quota).as_bytes())?)
}

/// To what `change` makes of the quota that there is.
pub(crate) fn set(
    role: &RoleKey,
    change: impl FnOnce(Option<Amount>) -> Result<Amount, Failure>,
    global: &Global,
) -> Outcome {
    let session = global.cluster_session(Some(&role.cluster))?;
    let old = ask(&session, role)?.quota;
    let wanted = change(old)?;
    let set = session.client.set_quota(&role.role, &wanted).map_err(|error| {
        Failure::from(error)
            .under(&format!("Error setting quota for role {}", role.role))
            .hint(format!("`airglow quota get {role}` shows what the role has"))
    })?;
    if global.write_json {
        return screen::json(&set);
    }
    let new = set.quota.as_ref().map_or_else(|| "none".into(), short);
    let old = old.as_ref().map_or_else(|| "none".into(), short);
    Ok(writeln!(screen::out(), "Quota of {role}: {new} (before: {old})")?)
}

fn ask(session: &Session, role: &RoleKey) -> Result<Quota, Failure> {
    session.client.quota(&role.role).map_err(|error| {
        Failure::from(error).under(&format!("Error retrieving quota for role {}", role.role))
    })
}

fn short(Amount { cpu, ram_mb, disk_mb }: &Amount) -> String {
    format!("CPU {cpu} core(s), RAM {ram_mb} MB, disk {disk_mb} MB")
}

/// As it has always been printed.
fn render(quota: &Quota) -> String {
    let Quota { quota, prod_shared, prod_dedicated, nonprod_shared, nonprod_dedicated, .. } = quota;
    let block = |title: &str, Amount { cpu, ram_mb, disk_mb }: &Amount| {
        format!("{title}:\n  CPU: {cpu} core(s)\n  RAM: {ram_mb} MB\n  Disk: {disk_mb} MB\n")
    };
    let consumed = |pool: &str, amount| block(&format!("{pool} pool resources consumed"), amount);
    let allocated = match quota {
        Some(amount) => block("Allocated", amount),
        None => "Allocated:\n  no quota is set\n".into(),
    };
    [
        allocated,
        consumed("Production shared", prod_shared),
        consumed("Production dedicated", prod_dedicated),
        consumed("Non-production shared", nonprod_shared),
        consumed("Non-production dedicated", nonprod_dedicated),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_looks_as_it_always_did() {
        let nothing = Amount::default();
        let quota = Quota {
            role: "bozo".into(),
            quota: Some(Amount { cpu: 5.0, ram_mb: 20480, disk_mb: 40960 }),
            prod_shared: Amount { cpu: 1.5, ram_mb: 512, disk_mb: 1024 },
            nonprod_shared: nothing,
            prod_dedicated: nothing,
            nonprod_dedicated: nothing,
        };
        let text = render(&quota);
        assert!(
            text.starts_with(
                "Allocated:\n  CPU: 5 core(s)\n  RAM: 20480 MB\n  Disk: 40960 MB\n\
                 Production shared pool resources consumed:\n\
                 \x20 CPU: 1.5 core(s)\n  RAM: 512 MB\n  Disk: 1024 MB\n\
                 Production dedicated pool resources consumed:\n"
            ),
            "{text}"
        );
        assert_eq!(text.lines().filter(|it| it.ends_with("pool resources consumed:")).count(), 4);
        let unlimited = render(&Quota { quota: None, ..quota });
        assert!(unlimited.starts_with("Allocated:\n  no quota is set\nProduction"), "{unlimited}");
    }
}
