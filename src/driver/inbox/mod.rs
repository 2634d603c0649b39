//! Events on their way to JavaScript.
//!
//! ```text
//!   session ─▶ Collector ─▶ Inbox: batches, in the order they came ─▶ Lanes: whose turn ─▶ Delivery ─▶ JavaScript's memory
//!               records                 ▲                                                      │
//!                          read buffers, lent memory ◀──────────── delivered ──────────────────┘
//! ```
//!
//! `flow` counts how much of one connection is on its way, and stops its reading.

pub mod buffers;
pub mod collector;
pub mod delivery;
pub mod flow;
mod lanes;
pub mod queue;
pub mod record;
