//! What the application may choose, as JSON text gives it. JavaScript has checked it, and has put in every default: the
//! defaults here serve Rust callers and tests.
//!
//! May not leave out what the text must have, and may not validate but for the shape.

use super::admission::{AdmissionOptions, Refusal};
#[cfg(feature = "tls")]
use super::tls::options::{ClientTlsOptions, TlsOptions};
use crate::proto::Config;
use crate::proto::config::milliseconds;
use crate::sys;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// What a connection is told besides its protocol's limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionOptions {
    /// Limits and choices of the protocol.
    pub protocol: Config,
    /// Turns Nagle's algorithm off.
    pub no_delay: bool,
    /// Turns TCP keep-alive on.
    pub keep_alive: bool,
    /// Delay before its first probe.
    #[serde(with = "milliseconds")]
    pub keep_alive_delay: Duration,
    /// Queued bytes at which a full queue counts as drained.
    pub low_water: usize,
    /// Most bytes that JavaScript's thread sends at once; `None`: by the processors that there are.
    pub direct_send_limit: Option<u32>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            protocol: Config::default(),
            no_delay: true,
            keep_alive: false,
            keep_alive_delay: Duration::ZERO,
            low_water: 128 << 10,
            direct_send_limit: None,
        }
    }
}

/// Where and how to connect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectOptions {
    /// For TCP: the addresses to try, in order.
    pub addresses: Vec<Address>,
    /// For a Unix domain socket: its path.
    pub path: Option<String>,
    /// Address to connect from.
    pub local: Option<Address>,
    /// Time an address has before the next is tried; the last has no limit.
    #[serde(with = "milliseconds")]
    pub attempt_timeout: Duration,
    /// For the connection.
    pub connection: ConnectionOptions,
    /// How the connection is encrypted; `None`: not at all.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTlsOptions>,
}

/// Where and how to listen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenOptions {
    /// For TCP: the address, already looked up.
    pub address: Option<Address>,
    /// For a Unix domain socket: its path.
    pub path: Option<String>,
    /// The descriptor of a socket that is bound already, which comes before an address and a path. Without any of them,
    /// the server has only the sockets that it is given.
    pub descriptor: Option<i32>,
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Leaves IPv4 alone when listening on an IPv6 address.
    pub ipv6_only: bool,
    /// Other sockets may listen on the port as well, if they say so, too.
    pub reuse_port: bool,
    /// Lets everybody read from a Unix domain socket.
    pub readable_all: bool,
    /// Lets everybody write to a Unix domain socket.
    pub writable_all: bool,
    /// Whom the server lets in.
    pub admission: AdmissionOptions,
    /// For the connections accepted.
    pub connection: ConnectionOptions,
    /// How the connections are encrypted; `None`: not at all.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsOptions>,
}

/// How to make a connection over a carrier, or of a socket that JavaScript has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandedOptions {
    /// The server whose connection it is. Without one, it is a client's.
    pub server: Option<u32>,
    /// Whether JavaScript chooses what that server is by the name that the client asks for.
    pub asks_for_names: bool,
    /// The address of a carrier's peer, if it has one.
    pub remote: Option<IpAddr>,
    /// Both ends of a carrier, as JavaScript is told of them again.
    pub ends: serde_json::Value,
    /// The server does not let the connection in, and tells the peer why.
    pub refusal: Option<Refusal>,
    /// For the connection.
    pub connection: ConnectionOptions,
    /// How a client encrypts the connection; `None`: not at all.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTlsOptions>,
}

/// An address with the text it was made from, which errors name.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Address {
    /// What a socket takes.
    pub socket: SocketAddr,
    /// The text, without the port.
    pub text: String,
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        let text = socket.ip().to_string();
        Self { socket, text }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    address: String,
    port: u16,
}

impl TryFrom<Written> for Address {
    type Error = String;

    /// An address of version 4, or of version 6 with or without a scope.
    fn try_from(Written { address, port }: Written) -> Result<Self, String> {
        let invalid = || format!("not an IP address: {address}");
        let (bare, scope) = match address.split_once('%') {
            Some((bare, scope)) => (bare, Some(scope)),
            None => (&*address, None),
        };
        let ip: IpAddr = bare.parse().map_err(|_| invalid())?;
        let socket = match (ip, scope) {
            (IpAddr::V6(ip), Some(scope)) => {
                let scope = scope_id(scope).ok_or_else(invalid)?;
                SocketAddrV6::new(ip, port, 0, scope).into()
            }
            (ip, _) => SocketAddr::new(ip, port),
        };
        Ok(Self {
            socket,
            text: address,
        })
    }
}

/// The number of a scope, which names an interface or is a number itself.
fn scope_id(scope: &str) -> Option<u32> {
    scope.parse().ok().or_else(|| sys::interface(scope))
}
