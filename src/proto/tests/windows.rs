//! The connection's window, which the application may resize.

use super::pair::{Pair, Seen, WAYS_TO_QMUX, speaking};
use crate::proto::*;

/// Lets both ends talk while the server's application answers nothing. Returns the bytes that came to it.
fn talk(pair: &mut Pair) -> usize {
    for _ in 0..10 {
        pair.client.send(pair.now, usize::MAX);
        let bytes = std::mem::take(&mut pair.client.wire);
        assert_eq!(pair.server.receive(&bytes), Ok(()));
        pair.server.send(pair.now, usize::MAX);
        let bytes = std::mem::take(&mut pair.server.wire);
        assert_eq!(pair.client.receive(&bytes), Ok(()));
    }
    let seen = pair.server.log.seen.iter();
    seen.map(|event| match event {
        Seen::Data(_, bytes) => bytes.len(),
        _ => 0,
    })
    .sum()
}

#[test]
fn a_window_that_is_resized_lets_more_come_from_whoever_waits_and_withdraws_nothing() {
    for ends in WAYS_TO_QMUX {
        let config = |protocol| {
            let mut config = speaking(protocol);
            config.qmux.connection_window = 1000;
            config.qmux.max_connection_window = 4000;
            config.qmux.max_held = 0;
            config
        };
        for first in [None, Some(2000)] {
            let mut pair = Pair::new(config(ends[0]), config(ends[1]));
            let mut window = 1000;
            if let Some(first) = first {
                window = first;
                let end = &mut pair.server;
                end.session.resize_window(first, &mut end.log);
            }
            talk(&mut pair);
            pair.client.open(0, "1");
            pair.client.data(0, &[1; 9000]);
            // All of it, but for the headers of messages.
            let fills =
                |came: usize, window: u32| came <= window as usize && came + 8 > window as usize;
            let came = talk(&mut pair);
            assert!(fills(came, window), "{came} of {window}: {ends:?}");
            // As much again, and what is less takes nothing back.
            for size in [10, 2 * window] {
                let end = &mut pair.server;
                end.session.resize_window(size, &mut end.log);
            }
            let came = talk(&mut pair);
            assert!(fills(came, 2 * window), "{came} of {}", 2 * window);
            // One below that of the start counts as that one, in halves of which the peer sends its messages.
            let end = &mut pair.server;
            end.session.resize_window(0, &mut end.log);
            pair.client.data(0, &[1; 499]);
            for _ in 0..20 {
                pair.server.answer();
                talk(&mut pair);
            }
            assert_eq!(talk(&mut pair), 9499);
        }
    }
}

#[test]
fn what_was_allowed_before_a_window_became_smaller_may_be_held() {
    let config = || {
        let mut config = speaking(Protocol::Qmux);
        config.qmux.stream_window = 256 << 20;
        config.qmux.max_stream_window = 256 << 20;
        config.qmux.max_held = 0;
        config
    };
    let mut pair = Pair::new(config(), config());
    let end = &mut pair.server;
    end.session.resize_window(256 << 20, &mut end.log);
    pair.settle();
    pair.client.open(0, "1");
    let chunk = vec![1; 1 << 20];
    for _ in 0..64 {
        pair.client.data(0, &chunk);
        talk(&mut pair);
    }
    let end = &mut pair.server;
    end.session.hold(Handle::remote(0), 64 << 20);
    end.session.resize_window(1, &mut end.log);
    end.session.hold(Handle::remote(0), 1);
    pair.client.data(0, b"more");
    talk(&mut pair);
}
