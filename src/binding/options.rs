//! Options as they come from JavaScript, where they were validated.
//!
//! May not have defaults.

use crate::driver::{ConnectOptions, ConnectionOptions, ListenOptions, interface};
use crate::proto::{Config, Protocol, QmuxConfig};
use napi::{Error, Result, Status};
use napi_derive::napi;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// For every connection.
#[napi(object)]
pub struct JsConnectionOptions {
    pub no_delay: bool,
    pub keep_alive: bool,
    /// Milliseconds.
    pub keep_alive_delay: u32,
    /// 'auto', 'legacy' or 'qmux'.
    pub protocol: String,
    pub peer_new: bool,
    pub low_water: u32,
    pub max_meta_size: u32,
    pub max_meta_total: u32,
    pub max_end_value_size: u32,
    pub max_json_depth: u32,
    pub hold_limit: u32,
    // Of QMux. Those that may exceed 32 bits are numbers of JavaScript's, exact up to 2^53.
    pub stream_window: f64,
    pub max_stream_window: f64,
    pub connection_window: f64,
    pub max_connection_window: f64,
    pub max_held: f64,
    pub max_incoming_streams: f64,
    pub max_pending_streams: f64,
    pub max_record_size: u32,
    /// Milliseconds; zero: none.
    pub idle_timeout: u32,
    /// Milliseconds; zero: none.
    pub ping_interval: u32,
    /// Milliseconds; zero: never.
    pub ping_timeout: u32,
    /// Milliseconds; zero: never.
    pub handshake_timeout: u32,
    pub max_resets: u32,
    pub max_pings: u32,
    pub max_empty_frames: u32,
    pub max_useless_frames: u32,
}

/// An address to connect to.
#[napi(object)]
pub struct JsAddress {
    pub address: String,
    pub port: u16,
}

/// For `connect`.
#[napi(object)]
pub struct JsConnectOptions {
    pub addresses: Vec<JsAddress>,
    pub path: Option<String>,
    pub local_address: Option<String>,
    pub local_port: Option<u16>,
    /// Milliseconds.
    pub attempt_timeout: u32,
    pub connection: JsConnectionOptions,
}

/// For `listen`.
#[napi(object)]
pub struct JsListenOptions {
    pub address: Option<String>,
    pub port: Option<u16>,
    pub path: Option<String>,
    pub backlog: i32,
    pub ipv6_only: bool,
    pub reuse_port: bool,
    pub readable_all: bool,
    pub writable_all: bool,
    pub connection: JsConnectionOptions,
}

impl TryFrom<JsConnectionOptions> for ConnectionOptions {
    type Error = Error;

    fn try_from(options: JsConnectionOptions) -> Result<Self> {
        Ok(Self {
            protocol: Config {
                protocol: protocol(&options.protocol)?,
                qmux: QmuxConfig {
                    // Casts saturate, and make zero of what is no number.
                    stream_window: options.stream_window as u64,
                    max_stream_window: options.max_stream_window as u64,
                    connection_window: options.connection_window as u64,
                    max_connection_window: options.max_connection_window as u64,
                    max_held: options.max_held as u64,
                    max_incoming_streams: options.max_incoming_streams as u64,
                    max_pending_streams: options.max_pending_streams as u64,
                    max_record_size: options.max_record_size.into(),
                    idle_timeout: Duration::from_millis(options.idle_timeout.into()),
                    ping_interval: Duration::from_millis(options.ping_interval.into()),
                    ping_timeout: Duration::from_millis(options.ping_timeout.into()),
                    max_resets: options.max_resets,
                    max_pings: options.max_pings,
                    max_empty_frames: options.max_empty_frames,
                    max_useless_frames: options.max_useless_frames,
                },
                peer_new: options.peer_new,
                handshake_timeout: Duration::from_millis(options.handshake_timeout.into()),
                resets_left: None,
                max_meta_size: options.max_meta_size as usize,
                max_meta_total: options.max_meta_total as usize,
                max_end_value_size: options.max_end_value_size as usize,
                max_json_depth: options.max_json_depth as usize,
                hold_limit: options.hold_limit as usize,
            },
            no_delay: options.no_delay,
            keep_alive: options.keep_alive,
            keep_alive_delay: Duration::from_millis(options.keep_alive_delay.into()),
            low_water: options.low_water as usize,
        })
    }
}

fn protocol(name: &str) -> Result<Protocol> {
    match name {
        "auto" => Ok(Protocol::Auto),
        "legacy" => Ok(Protocol::Legacy),
        "qmux" => Ok(Protocol::Qmux),
        _ => Err(Error::new(
            Status::InvalidArg,
            format!("not a protocol: {name}"),
        )),
    }
}

/// An address that JavaScript looked up: of version 4, or of version 6 with or without a scope.
fn address(text: &str, port: u16) -> Result<SocketAddr> {
    let invalid = || Error::new(Status::InvalidArg, format!("not an IP address: {text}"));
    let (bare, scope) = match text.split_once('%') {
        Some((bare, scope)) => (bare, Some(scope)),
        None => (text, None),
    };
    let ip: IpAddr = bare.parse().map_err(|_| invalid())?;
    Ok(match (ip, scope) {
        (IpAddr::V6(ip), Some(scope)) => {
            let scope = scope_id(scope).ok_or_else(invalid)?;
            SocketAddrV6::new(ip, port, 0, scope).into()
        }
        (ip, _) => SocketAddr::new(ip, port),
    })
}

/// The number of a scope, which names an interface or is a number itself.
fn scope_id(scope: &str) -> Option<u32> {
    scope.parse().ok().or_else(|| interface(scope))
}

fn with_text(text: String, port: u16) -> Result<(SocketAddr, String)> {
    Ok((address(&text, port)?, text))
}

impl TryFrom<JsConnectOptions> for ConnectOptions {
    type Error = Error;

    fn try_from(options: JsConnectOptions) -> Result<Self> {
        let targets = options.addresses.into_iter();
        let local = match (options.local_address, options.local_port) {
            (None, None | Some(0)) => None,
            (from, port) => Some(with_text(
                from.unwrap_or_else(|| "::".into()),
                port.unwrap_or(0),
            )?),
        };
        Ok(Self {
            addresses: targets
                .map(|target| with_text(target.address, target.port))
                .collect::<Result<_>>()?,
            path: options.path,
            local,
            attempt_timeout: Duration::from_millis(options.attempt_timeout.into()),
            connection: options.connection.try_into()?,
        })
    }
}

impl TryFrom<JsListenOptions> for ListenOptions {
    type Error = Error;

    fn try_from(options: JsListenOptions) -> Result<Self> {
        let port = options.port.unwrap_or(0);
        let address = options.address.map(|text| address(&text, port));
        Ok(Self {
            address: address.transpose()?,
            path: options.path,
            backlog: options.backlog,
            ipv6_only: options.ipv6_only,
            reuse_port: options.reuse_port,
            readable_all: options.readable_all,
            writable_all: options.writable_all,
            connection: options.connection.try_into()?,
        })
    }
}
