//! Options as they come from JavaScript, where they were validated.

use crate::driver::{ConnectOptions, ConnectionOptions, ListenOptions};
use crate::proto::Config;
use napi::{Error, Result, Status};
use napi_derive::napi;
use std::net::IpAddr;
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

/// An address that JavaScript looked up.
fn ip(text: &str) -> Result<IpAddr> {
    // A scope names an interface; the standard library parses it only as part of a socket address.
    let bare = text.split('%').next().unwrap_or(text);
    bare.parse()
        .map_err(|_| Error::new(Status::InvalidArg, format!("not an IP address: {text}")))
}

impl TryFrom<JsConnectOptions> for ConnectOptions {
    type Error = Error;

    fn try_from(options: JsConnectOptions) -> Result<Self> {
        let addresses = options
            .addresses
            .iter()
            .map(|target| Ok((ip(&target.address)?, target.port)));
        Ok(Self {
            addresses: addresses.collect::<Result<_>>()?,
            path: options.path,
            local_address: options.local_address.as_deref().map(ip).transpose()?,
            local_port: options.local_port.unwrap_or(0),
            attempt_timeout: Duration::from_millis(options.attempt_timeout.into()),
            connection: options.connection.into(),
        })
    }
}

impl TryFrom<JsListenOptions> for ListenOptions {
    type Error = Error;

    fn try_from(options: JsListenOptions) -> Result<Self> {
        let ip = options.address.as_deref().map(ip).transpose()?;
        Ok(Self {
            address: ip.map(|ip| (ip, options.port.unwrap_or(0))),
            path: options.path,
            backlog: options.backlog,
            ipv6_only: options.ipv6_only,
            readable_all: options.readable_all,
            writable_all: options.writable_all,
            connection: options.connection.into(),
        })
    }
}
