//! QMux: QUIC's streams and their flow control over one ordered byte stream (draft-ietf-quic-qmux, state of draft-02),
//! and our mapping on top of it.
//!
//! | file | what it is |
//! |---|---|
//! | `frame`, `decoder`, `record` | bytes: frames in, records in, records out |
//! | `parameters` | what the two ends tell each other first |
//! | `window`, `budget`, `ping` | credit, floods, time: counting, without any bytes |
//! | `stream`, `streams` | one stream's two halves; the table of them |
//! | `queue`, `scheduler` | what waits to be sent on a stream; whose turn it is |
//! | `receive`, `abort`, `bodies`, `texts`, `send`, `control`, `commands` | what frames mean; what is sent when; what the application wants |

mod abort;
mod bodies;
mod budget;
mod carry;
mod commands;
mod control;
mod counts;
mod credit;
mod decoder;
mod frame;
mod opens;
mod parameters;
mod peer;
mod ping;
mod queue;
mod receive;
mod record;
mod recv_credit;
mod scheduler;
mod send;
mod stream;
mod streams;
mod texts;
mod waiting;
mod window;
mod wire;

pub use carry::Carried;
pub use parameters::Parameters;
pub use wire::Qmux;
