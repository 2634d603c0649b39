//! Quotas: what the peers at one address have used up of a budget that each connection has for itself. A peer that
//! connects again begins where its last connection ended, and only time adds to that.
//!
//! A new connection has a small part of the budget in any case: there may be many peers behind one address, and a peer
//! that has done nothing wrong must be able to give up a stream.
//!
//! May not know what the budget is for.

use super::lock::Lock;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

/// The number of addresses that are remembered, each until it owes nothing, which takes a second: 200 KiB. If there are
/// more, any one of them is forgotten: a peer with so many addresses is not bound by what one of them may do.
const ADDRESSES: usize = 4096;

/// The least part of the budget for a new connection.
const LEAST: u32 = 64;

/// The quotas of one server.
#[derive(Debug)]
pub struct Quotas {
    size: u32,
    owed: HashMap<IpAddr, Debt>,
}

#[derive(Clone, Copy, Debug)]
struct Debt {
    tokens: u32,
    since: Instant,
}

/// The part of one connection.
#[derive(Debug)]
pub struct Quota {
    all: Arc<Lock<Quotas>>,
    address: IpAddr,
    granted: u32,
}

impl Quotas {
    /// `size` is the budget of one connection: a number at once, and as many a second.
    pub fn new(size: u32) -> Self {
        Self {
            size,
            owed: HashMap::new(),
        }
    }

    fn granted(&self, address: IpAddr, now: Instant) -> u32 {
        let left = self.size.saturating_sub(self.owed(address, now));
        left.max((self.size / LEAST).max(1)).min(self.size)
    }

    fn owed(&self, address: IpAddr, now: Instant) -> u32 {
        let Some(debt) = self.owed.get(&address) else {
            return 0;
        };
        let passed = now.saturating_duration_since(debt.since).as_millis();
        let paid = passed.saturating_mul(self.size.into()) / 1000;
        debt.tokens
            .saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX))
    }

    fn charge(&mut self, address: IpAddr, used: u32, now: Instant) {
        let tokens = self.owed(address, now).saturating_add(used).min(self.size);
        if tokens == 0 {
            self.owed.remove(&address);
            return;
        }
        if self.owed.len() >= ADDRESSES && !self.owed.contains_key(&address) {
            let paid: Vec<_> = self.owed.keys().copied().collect();
            for address in paid {
                if self.owed(address, now) == 0 {
                    self.owed.remove(&address);
                }
            }
            let any = self.owed.keys().next().copied();
            if let Some(any) = any.filter(|_| self.owed.len() >= ADDRESSES) {
                self.owed.remove(&any);
            }
        }
        let since = now;
        self.owed.insert(address, Debt { tokens, since });
    }
}

impl Quota {
    /// The quota of a connection from `address`, and how much the connection has.
    pub fn new(all: &Arc<Lock<Quotas>>, address: IpAddr, now: Instant) -> (Self, u32) {
        let address = network(address);
        let quotas = all.lock();
        let granted = quotas.granted(address, now);
        drop(quotas);
        let all = all.clone();
        let quota = Self {
            all,
            address,
            granted,
        };
        (quota, granted)
    }

    /// The connection has ended, with `left` of its quota unused.
    pub fn end(self, left: u32, now: Instant) {
        let used = self.granted.saturating_sub(left);
        if used > 0 {
            self.all.lock().charge(self.address, used, now);
        }
    }
}

/// The address that stands for one peer: an IPv4 address, or the network of an IPv6 address, which has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::lock::Rank;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn address(last: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + last).into()
    }

    #[test]
    fn who_connects_again_begins_where_it_ended_and_time_alone_gives_more() {
        let all = Arc::new(Lock::new(Rank::Tables, Quotas::new(1000)));
        let now = Instant::now();
        let (first, granted) = Quota::new(&all, address(1), now);
        assert_eq!(granted, 1000);
        first.end(100, now);
        let (second, granted) = Quota::new(&all, address(1), now);
        assert_eq!(granted, 100);
        assert_eq!(
            Quota::new(&all, address(2), now).1,
            1000,
            "another has all of it"
        );
        second.end(0, now);
        // A little is left to everybody.
        assert_eq!(Quota::new(&all, address(1), now).1, 15);
        let later = now + Duration::from_millis(500);
        assert_eq!(Quota::new(&all, address(1), later).1, 500);
        let later = now + Duration::from_secs(1);
        assert_eq!(Quota::new(&all, address(1), later).1, 1000);
    }

    #[test]
    fn what_several_use_at_the_same_time_adds_up_to_a_second_and_no_more() {
        let all = Arc::new(Lock::new(Rank::Tables, Quotas::new(1000)));
        let now = Instant::now();
        let many: Vec<_> = (0..10)
            .map(|_| Quota::new(&all, address(1), now).0)
            .collect();
        for quota in many {
            quota.end(500, now);
        }
        assert_eq!(Quota::new(&all, address(1), now).1, 15);
        let later = now + Duration::from_secs(1);
        assert_eq!(Quota::new(&all, address(1), later).1, 1000);
    }

    #[test]
    fn addresses_of_one_network_are_one_and_no_more_are_kept_than_have_room() {
        let of = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(
            network(of("2001:db8:1:2:3::4")),
            network(of("2001:db8:1:2::9"))
        );
        assert_ne!(network(of("2001:db8:1:2::")), network(of("2001:db8:1:3::")));
        assert_eq!(network(of("::ffff:10.0.0.1")), of("10.0.0.1"));
        let all = Arc::new(Lock::new(Rank::Tables, Quotas::new(1000)));
        let now = Instant::now();
        for last in 0..2 * ADDRESSES as u32 {
            Quota::new(&all, address(last), now).0.end(0, now);
        }
        let quotas = all.lock();
        assert_eq!(quotas.owed.len(), ADDRESSES);
    }
}
