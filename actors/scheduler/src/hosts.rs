//! Who is connected, and what passes over the connections.
//!
//! A host's connection is a [`session`], which speaks JSON on a thread for such things. The
//! [`Switchboard`] sits with the entities and knows which session is a host's newest. An order to
//! a host that is not connected is dropped: when it connects it says what it has, and every order
//! that still matters is found again by comparing.

mod orders;
mod renewal;
mod session;
mod switchboard;

pub(crate) use orders::order;
pub(crate) use session::{Arrived, Exchange, Sessions};
pub(crate) use switchboard::{
    Ask, Expel, Order, PlugIn, Repeat, Switchboard, TakeStock, Tell, Unplugged,
};
