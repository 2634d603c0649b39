//! Peers that take too long: to say what they speak, to say anything, to answer a ping. Time is an argument.

use super::pair::{End, Pair, speaking};
use crate::proto::*;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn with(protocol: Protocol, idle: u32, handshake: u32) -> Config {
    let mut config = speaking(protocol);
    config.qmux.idle_timeout = idle * SECOND;
    config.handshake_timeout = handshake * SECOND;
    config
}

/// Feeds an end `inputs`, each a second after the last, and then lets time pass. Returns after how many seconds the end gives
/// up, and with which code.
fn gives_up(config: Config, side: Side, inputs: &[&[u8]]) -> Option<(u32, &'static str)> {
    let start = Instant::now();
    let mut end = End::at(start, side, 2, config);
    end.session.connected(start);
    for second in 0..100 {
        let now = start + second * SECOND;
        if let Err(error) = end.timeouts(now, 0) {
            return Some((second, error.code()));
        }
        if let Some(input) = inputs.get(second as usize).filter(|it| !it.is_empty())
            && let Err(error) = end.receive(input)
        {
            return Some((second, error.code()));
        }
        // What answers there are go out, which counts as life.
        end.send(now, usize::MAX);
    }
    None
}

fn offer() -> Vec<u8> {
    let mut client = End::new(Side::Connecting, 1, speaking(Protocol::Auto));
    client.send(Instant::now(), usize::MAX);
    client.wire
}

fn first_record() -> Vec<u8> {
    let mut client = End::new(Side::Connecting, 1, speaking(Protocol::Qmux));
    client.send(Instant::now(), usize::MAX);
    client.wire
}

#[test]
fn who_begins_to_say_what_it_speaks_has_to_end() {
    let late = |second| Some((second, "ERR_MUX_HANDSHAKE_TIMEOUT"));
    let (offer, first) = (offer(), first_record());
    let run = |protocol, side, inputs: &[&[u8]]| gives_up(with(protocol, 0, 10), side, inputs);
    let listens = |inputs: &[&[u8]]| run(Protocol::Auto, Side::Listening, inputs);
    assert_eq!(listens(&[b"", b"", b"\x36"]), late(12));
    assert_eq!(listens(&[&first[..9]]), late(10));
    assert_eq!(listens(&[&first[..30]]), late(10));
    assert_eq!(listens(&[&offer[..3]]), late(10));
    let dribbled: Vec<&[u8]> = offer.chunks(1).collect();
    assert_eq!(listens(&dribbled), late(10), "a byte a second");
    // One that has said all, and an old one that says nothing, or has begun a long meta, may take their time.
    assert_eq!(listens(&[]), None);
    assert_eq!(listens(&[&offer]), None);
    assert_eq!(listens(&[&offer[..3], &offer[3..]]), None);
    assert_eq!(listens(&[&first]), None);
    assert_eq!(listens(&[b"\0\x01\0\0\0\x02\"m"]), None);
    let connects = |inputs: &[&[u8]]| run(Protocol::Auto, Side::Connecting, inputs);
    assert_eq!(connects(&[]), None);
    assert_eq!(connects(&[&offer[..30]]), late(10));
    // Where QMux is spoken at once both have to.
    for side in [Side::Listening, Side::Connecting] {
        assert_eq!(run(Protocol::Qmux, side, &[]), late(10));
        assert_eq!(run(Protocol::Qmux, side, &[&first[..40]]), late(10));
        assert_eq!(run(Protocol::Qmux, side, &[&first]), None);
        assert_eq!(run(Protocol::Legacy, side, &[]), None);
        assert_eq!(run(Protocol::Legacy, side, &[b"\0\0"]), late(10));
    }
}

#[test]
fn the_idle_timeout_holds_on_every_wire_and_before_it_is_known_which_it_is() {
    let idle = |second| Some((second, "ERR_MUX_IDLE_TIMEOUT"));
    let (offer, first) = (offer(), first_record());
    for protocol in [Protocol::Auto, Protocol::Legacy] {
        let run = |inputs: &[&[u8]]| gives_up(with(protocol, 5, 0), Side::Listening, inputs);
        let open: &[u8] = b"\0\0\0\x0a\0\x02null";
        assert_eq!(run(&[]), idle(5));
        assert_eq!(run(&[b"\0", b"\0", b"\0"]), idle(5));
        assert_eq!(run(&[b"", b"", b"", open]), idle(8));
        let data: &[u8] = b"\0\0\0\x07\0\0x";
        assert_eq!(run(&[open, b"", b"", data, b"", b"", data]), idle(11));
        // A byte at a time of a frame of 64 KiB is no life, a good part of it is.
        let begin: &[u8] = b"\0\x01\0\x06\0\0x";
        assert_eq!(run(&[open, begin, b"x", b"x", b"x", b"x", b"x"]), idle(5));
        let part: &[u8] = &[7; 16 << 10];
        assert_eq!(
            run(&[open, begin, b"", b"", part, b"", b"", part]),
            idle(12)
        );
    }
    let run = |inputs: &[&[u8]]| gives_up(with(Protocol::Auto, 5, 0), Side::Listening, inputs);
    assert_eq!(run(&[&offer]), idle(5));
    assert_eq!(run(&[&first]), idle(5));
    assert_eq!(run(&[&first[..8], b"", &first[8..]]), idle(7));
}

#[test]
fn what_is_sent_is_life_on_the_legacy_wire_as_well() {
    let mut pair = Pair::new(with(Protocol::Legacy, 5, 0), with(Protocol::Legacy, 5, 0));
    pair.client.open(0, "1");
    pair.settle();
    for _ in 0..10 {
        pair.advance(4 * SECOND);
        pair.client.data(0, b"x");
        pair.settle();
    }
}

#[test]
fn time_that_passes_before_the_connect_is_nobodys_fault() {
    for protocol in [Protocol::Auto, Protocol::Qmux] {
        let start = Instant::now();
        let mut end = End::at(start, Side::Connecting, 1, with(protocol, 5, 3));
        let now = start + 100 * SECOND;
        end.session.connected(now);
        assert_eq!(end.timeouts(now + 2 * SECOND, 0), Ok(()));
    }
}

fn pinging(interval: u32, timeout: u32) -> Config {
    let mut config = speaking(Protocol::Qmux);
    config.qmux.ping_interval = interval * SECOND;
    config.qmux.ping_timeout = timeout * SECOND;
    config
}

/// Lets the client's time pass, a second a step, until it gives up; `step` is called before each.
fn lives(
    pair: &mut Pair,
    seconds: u32,
    mut step: impl FnMut(&mut Pair),
) -> Result<(), (u32, &'static str)> {
    for second in 0..seconds {
        pair.now += SECOND;
        pair.client.now = pair.now;
        pair.server.now = pair.now;
        let now = pair.now;
        let result = pair.client.timeouts(now, 0);
        result.map_err(|error| (second + 1, error.code()))?;
        step(pair);
    }
    Ok(())
}

#[test]
fn a_frozen_peer_is_noticed_and_one_that_lives_is_not() {
    let mut pair = Pair::new(pinging(30, 30), pinging(30, 30));
    pair.settle();
    let frozen = lives(&mut pair, 100, |pair| {
        pair.client.send(pair.now, usize::MAX);
    });
    assert_eq!(frozen, Err((60, "ERR_MUX_PING_TIMEOUT")));

    let mut pair = Pair::new(pinging(30, 30), pinging(0, 0));
    pair.settle();
    assert_eq!(lives(&mut pair, 300, |pair| pair.settle()), Ok(()));

    // A peer that stalls for less is not cut off.
    let mut pair = Pair::new(pinging(30, 30), pinging(0, 0));
    pair.settle();
    let mut second = 0;
    let stalled = lives(&mut pair, 300, |pair| {
        second += 1;
        pair.client.send(pair.now, usize::MAX);
        if second % 55 == 0 {
            pair.settle();
        }
    });
    assert_eq!(stalled, Ok(()));
}

#[test]
fn a_peer_that_cannot_read_keeps_the_connection_by_its_own_pings() {
    let mut pair = Pair::new(pinging(30, 30), pinging(30, 30));
    pair.settle();
    // The server reads nothing, as one does whose application has paused the connection, and so answers nothing.
    let paused = lives(&mut pair, 1000, |pair| {
        pair.client.send(pair.now, usize::MAX);
        if pair.server.timeouts(pair.now, 0).is_err() {
            pair.server.session.forgive_silence(pair.now);
        }
        pair.server.send(pair.now, usize::MAX);
        let bytes = std::mem::take(&mut pair.server.wire);
        assert_eq!(pair.client.receive(&bytes), Ok(()));
    });
    assert_eq!(paused, Ok(()));
    // What is kept of pings without an answer is bounded, and all are answered in the end.
    pair.settle();
    assert!(pair.client.session.is_flushed() && pair.server.session.is_flushed());
}

#[test]
fn a_peer_that_is_half_closed_need_not_answer() {
    let mut pair = Pair::new(pinging(30, 30), pinging(30, 30));
    pair.settle();
    assert_eq!(pair.client.session.receive_fin(), Ok(()));
    assert_eq!(lives(&mut pair, 300, |_| {}), Ok(()));
    let mut pair = Pair::new(pinging(30, 30), pinging(30, 30));
    pair.settle();
    pair.client.session.write_ended();
    assert_eq!(lives(&mut pair, 300, |_| {}), Ok(()));
}

#[test]
fn pings_that_are_repeated_do_not_keep_a_dead_peer_from_idling_out() {
    let mut client = pinging(5, 0);
    client.qmux.idle_timeout = 20 * SECOND;
    let mut pair = Pair::new(client, pinging(0, 0));
    pair.settle();
    let idle = lives(&mut pair, 100, |pair| {
        pair.client.send(pair.now, usize::MAX);
    });
    assert_eq!(idle, Err((25, "ERR_MUX_IDLE_TIMEOUT")));
}

#[test]
fn pings_that_gathered_while_one_end_read_nothing_are_no_flood() {
    let mut pair = Pair::new(pinging(1, 0), pinging(0, 0));
    pair.settle();
    let budget = QmuxConfig::default().max_pings;
    for _ in 0..3 * budget {
        pair.advance(Duration::from_secs(1));
        pair.client.send(pair.now, usize::MAX);
    }
    let bytes = std::mem::take(&mut pair.client.wire);
    assert!(bytes.len() > 10 * budget as usize);
    assert_eq!(pair.server.receive(&bytes), Ok(()));
}
