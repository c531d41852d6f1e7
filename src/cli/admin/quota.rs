//! `airglow admin set-quota` and `increase-quota`.

use airglow_web::api::Amount;

use super::{Code, Failure, Global, Outcome};
use crate::cli::{
    key::RoleKey,
    quota::{self, Amounts},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    cluster: String,
    role: String,
    #[command(flatten)]
    amounts: Amounts,
}

impl Args {
    fn key(&self) -> RoleKey {
        RoleKey { cluster: self.cluster.clone(), role: self.role.clone() }
    }
}

pub(super) fn set(args: &Args, global: &Global) -> Outcome {
    quota::set(&args.key(), |_| Ok(args.amounts.amount()), global)
}

pub(super) fn increase(args: &Args, global: &Global) -> Outcome {
    let by = args.amounts.amount();
    let more = |old: Option<Amount>| old.map(|it| sum(it, by)).ok_or_else(|| unlimited(args));
    quota::set(&args.key(), more, global)
}

/// What is not limited would be less if it were.
fn unlimited(Args { cluster, role, .. }: &Args) -> Failure {
    let message = format!("Role {role} has no quota that could be increased");
    Failure::new(Code::InvalidParameter, message)
        .hint(format!("`airglow quota set {cluster}/{role} CPU RAM DISK` gives it one"))
}

fn sum(a: Amount, b: Amount) -> Amount {
    Amount { cpu: a.cpu + b.cpu, ram_mb: a.ram_mb + b.ram_mb, disk_mb: a.disk_mb + b.disk_mb }
}
