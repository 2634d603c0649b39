//! The operating system: what one does unlike another, and what no crate wraps safely. Every system has all of it here,
//! with one signature; where a system lacks something, the function or the type itself says so.
//!
//! ```text
//!   socket, listener, error      what the systems have alike
//!      ├── unix │ windows        Unix domain sockets, a place in Tokio's reactor, error numbers, the program's symbols
//!      └── linux │ elsewhere     sets of sockets, send queues, a fine timer, shared ports, names of interfaces
//! ```
//!
//! Apart from `binding`, the only place with `unsafe` code: `proto` and `driver` forbid it.
//!
//! May not know what the driver does with a socket, nor Node's API.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod error;
#[cfg(target_os = "linux")]
mod linux;
mod listener;
mod socket;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(any(windows, test))]
mod winsock;

#[cfg(not(target_os = "linux"))]
use elsewhere as kernel;
#[cfg(target_os = "linux")]
use linux as kernel;
#[cfg(unix)]
use unix as family;
#[cfg(windows)]
use windows as family;

pub use error::{connection_reset, errno, timed_out};
#[cfg(feature = "binding")]
pub use family::symbol;
pub use family::{Readiness, connect_path, reuse_address};
pub use kernel::{PollSet, interface, sleep_until};
pub use listener::Listener;
pub use socket::Socket;
