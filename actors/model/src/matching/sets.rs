//! Seats by what matters about their hosts.

use std::collections::BTreeMap;

use super::{
    bits::{Bits, Few},
    ladder::Ladder,
};
use crate::{config::DEDICATED, host::Host};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sets {
    pub(super) known: Bits,
    /// They are up, and new instances may go there.
    pub(super) ready: Bits,
    /// Maintenance is coming, so others are preferred.
    pub(super) later: Bits,
    pub(super) dedicated: Bits,
    /// They are kept for somebody.
    pub(super) reserved: Bits,
    pub(super) cpu: Ladder,
    pub(super) ram: Ladder,
    pub(super) attributes: BTreeMap<String, Attribute>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attribute {
    /// Those that have it.
    pub(super) known: Bits,
    pub(super) values: BTreeMap<String, Few>,
}

impl Sets {
    pub(super) fn new(words: usize) -> Self {
        let none = || Bits::new(words);
        Self {
            known: none(),
            ready: none(),
            later: none(),
            dedicated: none(),
            reserved: none(),
            cpu: Ladder::new(words),
            ram: Ladder::new(words),
            attributes: BTreeMap::new(),
        }
    }

    /// The host has these attributes, or had them.
    pub(super) fn list(&mut self, seat: usize, host: &Host, has: bool) {
        let words = self.known.words();
        for (name, values) in &host.attributes {
            let none = || Attribute { known: Bits::new(words), values: BTreeMap::new() };
            let attribute = self.attributes.entry(name.clone()).or_insert_with(none);
            attribute.known.put(seat, has);
            for value in values {
                let few = attribute.values.entry(value.clone()).or_default();
                few.put(seat, has);
                if few.is_empty() {
                    attribute.values.remove(value);
                }
            }
            if attribute.known.is_empty() {
                self.attributes.remove(name);
            }
        }
        self.dedicated.put(seat, has && host.attributes.contains_key(DEDICATED));
    }
}
