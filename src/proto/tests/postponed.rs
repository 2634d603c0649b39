//! What an application wants before it is known what the peer speaks is done when it is.

use super::pair::{Pair, Seen, WAYS_TO_QMUX, speaking};
use crate::proto::*;

#[test]
fn a_go_away_before_the_peers_first_bytes_is_not_lost() {
    for [client, server] in WAYS_TO_QMUX {
        let mut pair = Pair::new(speaking(client), speaking(server));
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

/// Lets two ends talk until one of them is told of a close, by the code.
fn closed(pair: &mut Pair) -> Option<ProtocolError> {
    for _ in 0..20 {
        for side in 0..2 {
            let (from, to) = match side {
                0 => (&mut pair.client, &mut pair.server),
                _ => (&mut pair.server, &mut pair.client),
            };
            from.send(pair.now, usize::MAX);
            let bytes = std::mem::take(&mut from.wire);
            if let Err(error) = to.receive(&bytes) {
                return Some(error);
            }
        }
    }
    None
}

#[test]
fn a_close_before_it_is_known_what_the_peer_speaks_is_said_when_it_is() {
    for (client, server, closer) in [
        (Protocol::Auto, Protocol::Auto, 0),
        (Protocol::Auto, Protocol::Auto, 1),
        (Protocol::Qmux, Protocol::Auto, 1),
    ] {
        let mut pair = Pair::new(speaking(client), speaking(server));
        pair.client.open(0, "1");
        let end = match closer {
            0 => &mut pair.client,
            _ => &mut pair.server,
        };
        end.session.close(5, true, "enough");
        assert!(end.session.owes_close());
        let expected = ProtocolError::ClosedByPeer {
            code: 5,
            application: true,
            reason: "enough".into(),
        };
        assert_eq!(closed(&mut pair), Some(expected));
    }
    // An old peer cannot be told.
    let mut pair = Pair::new(speaking(Protocol::Legacy), speaking(Protocol::Auto));
    pair.client.open(0, "1");
    pair.server.session.close(5, true, "enough");
    assert_eq!(closed(&mut pair), None);
    assert!(!pair.server.session.owes_close());
}
