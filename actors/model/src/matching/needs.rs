//! What an instance takes of its host: of what the host has for certain, and of what it offers
//! beyond that and can take back at any time.

use super::{pool::Seat, scheduling::Scheduling};
use crate::{config::TaskConfig, resources::Resources};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Needs {
    pub(super) firm: Resources,
    pub(super) spare: Resources,
    pub(super) ports: u32,
}

impl Needs {
    pub(super) fn of(config: &TaskConfig, scheduling: &Scheduling) -> Self {
        let ports = u32::try_from(config.ports.len()).expect("nobody asks for so many ports");
        let (firm, spare) = config.takes(scheduling.revocable_ram);
        Self { firm, spare, ports }
    }

    /// Of what is firm and what is spare, that which would be taken, kind by kind.
    pub(super) fn of_use(&self, firm: Resources, spare: Resources) -> Resources {
        let pick = |needed, firm, spare| if needed == 0 { firm } else { spare };
        let cpu_milli = pick(self.spare.cpu_milli, firm.cpu_milli, spare.cpu_milli);
        let ram_mb = pick(self.spare.ram_mb, firm.ram_mb, spare.ram_mb);
        Resources { cpu_milli, ram_mb, ..firm }
    }

    /// Whether the host has as much left.
    pub(super) fn fit(&self, seat: &Seat) -> bool {
        let firm = (&self.firm, &seat.free);
        let spare = (&self.spare, &seat.spare);
        self.ports <= seat.ports.free()
            && [firm, spare].iter().all(|(needs, free)| {
                needs.cpu_milli <= free.cpu_milli
                    && needs.ram_mb <= free.ram_mb
                    && needs.disk_mb <= free.disk_mb
                    && needs.gpus <= free.gpus
            })
    }
}
