//! Streams that a new peer opens before it has switched, above what may live, wait until there is a place for them.

use super::pair::{Pair, Seen};
use crate::proto::*;

fn config(max_incoming_streams: u64) -> Config {
    Config {
        qmux: QmuxConfig {
            max_incoming_streams,
            ..QmuxConfig::default()
        },
        ..Config::default()
    }
}

/// What the server is told by now, and the streams in it.
fn told(pair: &mut Pair) -> (Vec<Seen>, Vec<(Handle, String)>) {
    let seen = pair.server.seen();
    let streams = seen.iter().filter_map(|event| match event {
        Seen::Stream(stream, _, meta) => Some((*stream, meta.clone())),
        _ => None,
    });
    let streams = streams.collect();
    (seen, streams)
}

/// Both halves of a stream of the client's end.
fn end(pair: &mut Pair, (stream, meta): &(Handle, String)) {
    pair.server.accept(*stream);
    pair.server.finish(*stream, None);
    pair.client.end(meta.parse().expect("a slot"), None);
    pair.settle();
    pair.server.session.forget(*stream);
}

#[test]
fn those_that_wait_are_told_in_order_as_places_become_free() {
    let mut pair = Pair::new(config(256), config(2));
    for slot in 0..300 {
        pair.client.open(slot, &slot.to_string());
    }
    pair.settle();
    assert!(pair.server.session.wires().receiving);
    let mut live = told(&mut pair).1;
    let mut order: Vec<String> = live.iter().map(|(_, meta)| meta.clone()).collect();
    while let Some(first) = live.first().cloned() {
        assert!(live.len() <= 2);
        live.remove(0);
        end(&mut pair, &first);
        let (_, fresh) = told(&mut pair);
        order.extend(fresh.iter().map(|(_, meta)| meta.clone()));
        live.extend(fresh);
    }
    let expected: Vec<String> = (0..300).map(|slot| slot.to_string()).collect();
    assert_eq!(order, expected);
    let opened = pair.client.seen();
    let opened = opened.iter().filter(|it| matches!(it, Seen::Opened(..)));
    assert_eq!(opened.count(), 300);
}

#[test]
fn what_comes_of_those_that_wait_is_not_lost() {
    let mut pair = Pair::new(config(256), config(1));
    for slot in 0..5 {
        pair.client.open(slot, &slot.to_string());
    }
    // On the legacy wire, and the second of them behind the switch as well.
    pair.client.data(1, b"early");
    pair.client.data(2, b"early");
    pair.client.end(2, Some("[2]"));
    pair.settle();
    pair.client.data(1, &[7; 40_000]);
    pair.client.end(1, None);
    let reset = Handle::local(3);
    pair.client.session.reset(reset, 5, &mut pair.client.log);
    pair.settle();
    let (seen, streams) = told(&mut pair);
    assert_eq!(streams.len(), 1, "{seen:?}");
    end(&mut pair, &streams[0]);
    let mut all = Vec::new();
    for _ in 0..3 {
        let (seen, streams) = told(&mut pair);
        assert_eq!(streams.len(), 1, "{seen:?}");
        let first = Seen::End(Handle::remote(0), None);
        let is_of_those = |it: &Seen| *it != first && !matches!(it, Seen::Closed(_));
        all.extend(seen.into_iter().filter(is_of_those));
        end(&mut pair, &streams[0]);
    }
    let stream = |ordinal| Handle::remote(ordinal);
    assert_eq!(
        all,
        [
            Seen::Stream(stream(1), 4, "1".into()),
            Seen::Data(stream(1), b"early".to_vec()),
            Seen::Data(stream(1), vec![7; 40_000]),
            Seen::End(stream(1), None),
            Seen::Stream(stream(2), 8, "2".into()),
            Seen::Data(stream(2), b"early".to_vec()),
            Seen::End(stream(2), Some("[2]".into())),
            Seen::Stream(stream(3), 12, "3".into()),
            Seen::Reset(stream(3), 5),
        ]
    );
    let (_, last) = told(&mut pair);
    assert_eq!(last, [(stream(4), "4".into())]);
}

#[test]
fn those_that_wait_are_served_behind_a_go_away_and_forgotten_at_the_end() {
    let mut pair = Pair::new(config(256), config(1));
    for slot in 0..3 {
        pair.client.open(slot, &slot.to_string());
    }
    pair.settle();
    pair.server.session.go_away();
    pair.settle();
    let first = told(&mut pair).1;
    end(&mut pair, &first[0]);
    let second = told(&mut pair).1;
    assert_eq!(second[0].1, "1");
    assert_eq!(pair.server.session.receive_fin(), Ok(()));
    assert_eq!(told(&mut pair), (vec![], vec![]));
}

#[test]
fn too_much_of_those_that_wait_is_a_flood() {
    let mut server = config(0);
    server.qmux.max_held = 0;
    let mut pair = Pair::new(config(256), server);
    pair.client.open(0, "0");
    for _ in 0..300 {
        pair.client.data(0, &[1; 64 << 10]);
    }
    let mut result = Ok(());
    for _ in 0..10_000 {
        pair.client.send(pair.now, usize::MAX);
        let bytes = std::mem::take(&mut pair.client.wire);
        result = pair.server.receive(&bytes);
        if bytes.is_empty() || result.is_err() {
            break;
        }
        pair.advance(std::time::Duration::from_millis(20));
    }
    let code = result.map_err(|error| error.code());
    assert_eq!(code, Err("ERR_MUX_FLOOD"));
}

#[test]
fn an_old_peer_is_not_made_to_wait() {
    let old = Config {
        protocol: Protocol::Legacy,
        ..Config::default()
    };
    let mut pair = Pair::new(old, config(2));
    for slot in 0..10 {
        pair.client.open(slot, &slot.to_string());
    }
    pair.settle();
    assert_eq!(told(&mut pair).1.len(), 10);
}
