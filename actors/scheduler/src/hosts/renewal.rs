//! Another certificate for a host that is connected.

use airglow_kit::{
    To,
    identity::{Bearer, Role},
};
use airglow_model::{
    host::Event,
    ids::{HostId, MachineId},
    joining,
    wire::ToExecutor,
};

use super::Exchange;
use crate::messages::Happened;

/// What to answer. `machine` counts if its certificate names none, as older ones do not. A host that
/// gets no answer asks again.
pub(super) fn renew(
    exchange: &Exchange,
    (host, known): (&HostId, Option<&MachineId>),
    machine: MachineId,
    request: &str,
) -> Option<ToExecutor> {
    let machine = known.cloned().unwrap_or(machine);
    let may_be = exchange.view.read(|view| joining::may_be(view, host, Some(&machine)));
    if let Err(refusal) = may_be {
        tracing::warn!(%host, %refusal, "its certificate is not renewed");
        return None;
    }
    let (name, role) = (host.to_string(), Role::Agent);
    let bearer = Bearer { name, role, machine: Some(machine.clone()) };
    match exchange.authority.grant(&bearer, request) {
        Ok(chain) => {
            tracing::info!(%host, "its certificate is renewed");
            if known.is_none() {
                // It is a machine with an id from now on, and may be removed as that.
                let event = Happened(Event::Identified(machine));
                exchange.hosts.do_send(To(host.clone(), event));
            }
            Some(ToExecutor::Renewed { chain })
        }
        Err(error) => {
            tracing::warn!(%host, %error, "its certificate is not renewed");
            None
        }
    }
}
