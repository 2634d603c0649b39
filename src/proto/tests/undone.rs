//! What an application wants before it is known what the peer speaks is done when it is.

use super::pair::{Pair, Seen};
use crate::proto::*;

#[test]
fn a_go_away_before_the_peers_first_bytes_is_not_lost() {
    // The ways to QMux: by its first bytes, by an offer, and without a word before.
    for (client, server) in [
        (Protocol::Qmux, Protocol::Auto),
        (Protocol::Auto, Protocol::Auto),
        (Protocol::Qmux, Protocol::Qmux),
    ] {
        let config = |protocol| Config {
            protocol,
            ..Config::default()
        };
        let mut pair = Pair::new(config(client), config(server));
        pair.server.session.go_away();
        pair.settle();
        pair.client.open(0, "1");
        pair.settle();
        let gone = pair.client.seen();
        let stream = Handle::local(0);
        assert!(gone.contains(&Seen::GoAway(Some(stream))), "{gone:?}");
        let seen = pair.server.seen();
        assert!(!seen.iter().any(|event| matches!(event, Seen::Stream(..))));
    }
}
