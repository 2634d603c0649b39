//! Options as they come from JavaScript, where they were validated.
//!
//! May not have defaults.

use crate::driver::{ConnectOptions, ConnectionOptions, ListenOptions, interface};
use crate::proto::Config;
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
    pub offer: bool,
    pub peer_new: bool,
    pub low_water: u32,
    pub max_meta_size: u32,
    pub max_meta_total: u32,
    pub max_end_value_size: u32,
    pub max_json_depth: u32,
    pub hold_limit: u32,
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
    pub readable_all: bool,
    pub writable_all: bool,
    pub connection: JsConnectionOptions,
}

impl From<JsConnectionOptions> for ConnectionOptions {
    fn from(options: JsConnectionOptions) -> Self {
        Self {
            protocol: Config {
                offer: options.offer,
                peer_new: options.peer_new,
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
        }
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
            connection: options.connection.into(),
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
            readable_all: options.readable_all,
            writable_all: options.writable_all,
            connection: options.connection.into(),
        })
    }
}
