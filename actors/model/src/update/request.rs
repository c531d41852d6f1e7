//! What somebody wants of an update, before it is one.

use std::collections::BTreeMap;

use super::{Asked, Diff, Direction, Roll, Settings, Side, Status, Update, UpdateEvent};
use crate::{
    ids::{ConfigId, UpdateKey},
    instances::InstanceSet,
    machine::Timestamp,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub key: UpdateKey,
    pub at: Timestamp,
    pub asked: Asked,
    pub metadata: BTreeMap<String, String>,
    pub settings: Settings,
    /// Only these instances are meant; the others stay as they are.
    pub only: Option<InstanceSet>,
}

impl Request {
    /// The update, of what there is to be changed; `config` is what is wanted.
    pub fn begin(self, diff: Diff, config: ConfigId) -> Update {
        let Self { key, at, asked, metadata, settings, only: _ } = self;
        let instances = diff.order.create.union(&diff.order.update);
        let status = match settings.pulse_ms {
            Some(_) => Status::RollForwardAwaitingPulse,
            None => Status::RollingForward,
        };
        let Asked { by, message } = asked;
        Update {
            key,
            created_at: at,
            by: by.clone(),
            metadata,
            settings,
            target: (!instances.is_empty()).then_some(Side { config, instances }),
            initial: diff.initial,
            status,
            events: vec![UpdateEvent { at, status, by, message }],
            roll: Roll::new(Direction::Forward, diff.order),
            pulsed_at: None,
            lots: 0,
            news: Vec::new(),
            look_at: None,
        }
    }
}
