//! QMux: QUIC's streams and their flow control over one ordered byte stream (draft-ietf-quic-qmux, state of draft-02),
//! and our mapping on top of it.
//!
//! A part owns its fields, which nobody else sees. `Qmux` owns the parts, and does what concerns several of them. A
//! part never calls `Qmux`, and knows only the parts that are lent to it for a call:
//!
//! ```text
//!                          Qmux (wire)          looks a stream up, lends it to the parts, removes it when it is over
//!        ┌──────────┬─────────┼─────────┬──────────┬─────────┬─────────┬─────────┐
//!     Streams     Recv      Send     Credit     Counts    Control    Ping      Peer, Budgets
//!
//!     Recv ──▶ Streams, Credit, Counts     what comes counts against credit, and may ask for more
//!     Send ──▶ Control, Peer               what cannot go is told, and goes as the peer likes it
//!     Credit ──▶ Streams, Ping             what is consumed goes back, by round trip time
//! ```
//!
//! | part | owns |
//! |---|---|
//! | `Streams` | the table: streams by handle and by id, final sizes of the last |
//! | `Stream` | id, what the application knows of it; its halves, `SendHalf` and `RecvHalf`, own their state, queue and credit |
//! | `Recv` | what is under way of the input: `Decoder`, `Bodies`, `Texts` |
//! | `Send` | what is under way of the output: `Encoder`, `Scheduler`, `Opens`, `Waiting`, the connection's send window |
//! | `Credit` | what the peer may send on all streams, and whose credit is due: `RecvCredit` |
//! | `Counts` | ids; how many streams each side opened, may open and serves |
//! | `Control` | frames that are told once |
//! | `Ping` | pings, the round trip time, both timers |
//! | `Peer` | what the peer declared, and what follows for what we send |
//! | `Budgets` | limits for what is harmless once |
//!
//! | file | what it is |
//! |---|---|
//! | `frame`, `decoder`, `encoder`, `record`, `parameters` | bytes: frames in, records in and out, what the two ends tell each other first |
//! | `window`, `budget`, `queue`, `scheduler`, `piece` | counting and queues, without any bytes of the wire |
//! | `wire/frames`, `deliver`, `aborts` | what the peer's frames mean: headers, bodies, what ends a half early |
//! | `wire/commands`, `carry` | what the application wants; streams that began on the legacy wire |

mod bodies;
mod budget;
mod control;
mod counts;
mod credit;
mod decoder;
mod encoder;
mod frame;
mod opens;
mod parameters;
mod peer;
mod piece;
mod ping;
mod queue;
mod record;
mod recv;
mod recv_credit;
mod scheduler;
mod send;
mod stream;
mod streams;
mod texts;
mod waiting;
mod window;
mod wire;

pub use parameters::Parameters;
pub use wire::{Carried, Qmux};
