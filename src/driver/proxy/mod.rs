//! Load balancers that say for whom they connect, by the PROXY protocol (versions 1 and 2).
//!
//! A header is required from peers that are trusted to send one, and never looked for from others: whoever may send a
//! header may have any address.
//!
//! May not read anything but the header: what follows belongs to the connection.

pub mod header;

use super::io::{Io, is_transient};
use super::socket::{Ends, Registered, Socket};
use header::{Malformed, Next};
use serde::Deserialize;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::{Instant, sleep_until};

/// The peers that send a header.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trusted {
    /// Their networks.
    pub networks: Vec<Network>,
    /// Whether the peers of a Unix domain socket, which have no address, are among them.
    pub unix: bool,
}

/// A network of addresses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The number of bits of an IPv6 address in front of an IPv4 address that it embeds.
const EMBEDDED: u8 = 96;

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let prefix = match self.address {
            IpAddr::V4(_) => self.prefix.saturating_add(EMBEDDED),
            IpAddr::V6(_) => self.prefix,
        };
        let differs = bits(self.address) ^ bits(address);
        differs.leading_zeros() >= prefix.min(128).into()
    }
}

/// An address of either version as one of version 6.
fn bits(address: IpAddr) -> u128 {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.to_bits()
}

impl Trusted {
    /// Whether the peer of a socket sends a header.
    pub fn includes(&self, (local, peer): Ends) -> bool {
        match peer {
            Some(peer) => self.networks.iter().any(|it| it.contains(peer.ip())),
            None => self.unix && local.is_none(),
        }
    }
}

/// What came of a header.
#[derive(Debug)]
pub enum Outcome {
    /// The connection is that of a client, between these ends.
    Client(Ends),
    /// The load balancer speaks for itself, or does not know for whom it speaks.
    Itself,
    /// Nothing came but the end: a load balancer looked whether somebody listens.
    Nobody,
    /// There is no header, or a malformed one, or it did not come in time.
    Failed(&'static str),
}

/// Reads the header, and nothing behind it. With a `limit` of zero it may take any time.
pub async fn read(socket: &Arc<Socket>, limit: Duration) -> Outcome {
    let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
    let mut io = Registered::new(socket.clone());
    let mut bytes = Vec::new();
    let mut is_late = false;
    loop {
        let wanted = match header::next(&bytes) {
            Ok(Next::Read(wanted)) => wanted,
            Ok(Next::Done(Some(ends))) => return Outcome::Client(ends),
            Ok(Next::Done(None)) => return Outcome::Itself,
            Err(Malformed(why)) => return Outcome::Failed(why),
        };
        let had = bytes.len();
        bytes.resize(had + wanted, 0);
        let read = io.recv(&mut bytes[had..]);
        bytes.truncate(had + read.as_ref().map_or(0, |&read| read));
        match read {
            Ok(0) if had == 0 => return Outcome::Nobody,
            Ok(0) => return Outcome::Failed("ended within its PROXY header"),
            Ok(_) => continue,
            Err(error) if is_transient(&error) => {}
            Err(_) if had == 0 => return Outcome::Nobody,
            Err(_) => return Outcome::Failed("was reset within its PROXY header"),
        }
        // The process may have been stopped meanwhile: what has come by now is read before the time counts.
        if is_late {
            return Outcome::Failed("did not send a whole PROXY header in time");
        }
        tokio::select! {
            biased;
            result = io.ready(Some(Interest::READABLE)) => {
                if result.is_err() && had == 0 {
                    return Outcome::Nobody;
                }
            }
            () = late(deadline) => {
                is_late = true;
                io.ask_anew();
            }
        }
    }
}

async fn late(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
