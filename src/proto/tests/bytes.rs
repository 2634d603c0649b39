//! Literal bytes in, and what becomes of them: both as an old client and as an old server would send them.

use super::pair::{End, Pair, Seen, joined};
use crate::proto::*;
use std::time::{Duration, Instant};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn server() -> End {
    End::new(Side::Listening, 2, Config::default())
}

/// Feeds the bytes to a fresh server whole, one by one, and cut in two at each place: the result must be the same.
fn outcome(bytes: &[u8]) -> (Vec<Seen>, Result<(), ProtocolError>) {
    let whole = {
        let mut end = server();
        let result = end.receive(bytes);
        (end.seen(), result)
    };
    let mut single = server();
    let result = bytes.iter().try_for_each(|byte| single.receive(&[*byte]));
    assert_eq!(
        joined(single.seen()),
        joined(whole.0.clone()),
        "one byte at a time"
    );
    assert_eq!(result, whole.1, "one byte at a time");
    for cut in 0..bytes.len().min(40) {
        let mut end = server();
        let result = end
            .receive(&bytes[..cut])
            .and_then(|()| end.receive(&bytes[cut..]));
        assert_eq!(joined(end.seen()), joined(whole.0.clone()), "cut at {cut}");
        assert_eq!(result, whole.1, "cut at {cut}");
    }
    whole
}

const OLD: Seen = Seen::Peer(PeerKind::Old);
const REMOTE: Handle = Handle(1);

#[test]
fn an_old_clients_stream_is_understood_under_any_segmentation() {
    let bytes = hex(
        "0000000d 00 02 7b2261223a317d  0000000800006869  00000006 00 00  0000000b0001 5b312c325d  0000000a 00 03 6e756c6c",
    );
    // The fourth frame is JSON data of five bytes.
    let (seen, result) = outcome(&bytes);
    assert_eq!(result, Ok(()));
    assert_eq!(
        seen,
        [
            OLD,
            Seen::Stream(REMOTE, 0, "{\"a\":1}".into()),
            Seen::Data(REMOTE, b"hi".to_vec()),
            Seen::Data(REMOTE, Vec::new()),
            Seen::Json(REMOTE, "[1,2]".into()),
            Seen::End(REMOTE, None),
            Seen::Closed(REMOTE),
        ]
    );
}

#[test]
fn an_end_value_is_passed_on_and_null_is_none() {
    let (seen, _) = outcome(&hex("00000008 07 02 7b7d 0000000907037b7d20"));
    assert_eq!(
        seen[2..],
        [Seen::End(REMOTE, Some("{} ".into())), Seen::Closed(REMOTE)]
    );
    let (seen, _) = outcome(&hex("00000008 07 02 7b7d 0000000c 07 03 206e756c6c0a"));
    assert_eq!(seen[2..], [Seen::End(REMOTE, None), Seen::Closed(REMOTE)]);
}

#[test]
fn frames_of_unknown_types_are_skipped_whole() {
    for kind in (5..=255).filter(|kind| ![0xf0, 0xf1].contains(kind)) {
        let mut bytes = hex("0000000a 09 00 00000000");
        bytes[5] = kind;
        bytes.extend(hex("00000008 07 02 7b7d"));
        let (seen, result) = outcome(&bytes);
        assert_eq!((seen.len(), result), (2, Ok(())), "type {kind}");
    }
}

#[test]
fn each_kind_of_bad_input_has_its_code() {
    let open = "00000008 07 02 7b7d ";
    let deep = format!("{:08x} 01 02 {}", 6 + 600, "5b".repeat(600));
    let cases = [
        ("00000000 00 00".to_owned(), "ERR_MUX_FRAME_LENGTH"),
        ("00000005 00 00".to_owned(), "ERR_MUX_FRAME_LENGTH"),
        (format!("{open}00000001 07 00"), "ERR_MUX_FRAME_LENGTH"),
        ("00000007 00 00 61".to_owned(), "ERR_MUX_UNKNOWN_STREAM"),
        ("00000007 00 01 31".to_owned(), "ERR_MUX_UNKNOWN_STREAM"),
        (
            "0000000a 00 03 6e756c6c".to_owned(),
            "ERR_MUX_UNKNOWN_STREAM",
        ),
        (
            "0000000a 00 04 6e756c6c".to_owned(),
            "ERR_MUX_UNKNOWN_STREAM",
        ),
        (
            format!("{open}0000000a 07 03 6e756c6c 00000007 07 00 61"),
            "ERR_MUX_UNKNOWN_STREAM",
        ),
        (
            format!("{open}0000000a 07 03 6e756c6c 0000000a 07 03 6e756c6c"),
            "ERR_MUX_UNKNOWN_STREAM",
        ),
        (
            format!("{open}0000000a 07 04 6e756c6c"),
            "ERR_MUX_UNKNOWN_STREAM",
        ),
        (format!("{open}{open}"), "ERR_MUX_STREAM_IN_USE"),
        ("00000006 00 02".to_owned(), "ERR_MUX_JSON_INVALID"),
        ("00000007 00 02 7b".to_owned(), "ERR_MUX_JSON_INVALID"),
        (format!("{open}00000007 07 01 7b"), "ERR_MUX_JSON_INVALID"),
        (format!("{open}00000006 07 03"), "ERR_MUX_JSON_INVALID"),
        (
            "ffffffff 00 02 61616161".to_owned(),
            "ERR_MUX_JSON_TOO_LARGE",
        ),
        (format!("{open}ffffffff 07 03"), "ERR_MUX_JSON_TOO_LARGE"),
        (format!("{open}ffffffff 07 01"), "ERR_MUX_JSON_TOO_LARGE"),
        (deep, "ERR_MUX_JSON_TOO_DEEP"),
        (format!("{open}0000000600f0"), "ERR_MUX_OFFER"),
        ("0000000600f0".to_owned(), "ERR_MUX_OFFER"),
        ("0000040700f0".to_owned(), "ERR_MUX_OFFER"),
        (format!("{open}0000000600f1"), "ERR_MUX_SWITCH"),
    ];
    for (bytes, code) in cases {
        let (_, result) = outcome(&hex(&bytes));
        assert_eq!(result.map_err(|error| error.code()), Err(code), "{bytes}");
    }
}

#[test]
fn a_connecting_end_that_has_offered_takes_no_qmux_start() {
    for start in ["20 ff5153300d0a0d0a", "c000000000000020 ff5153300d0a0d0a"] {
        let mut end = End::new(Side::Connecting, 1, Config::default());
        let result = end.receive(&hex(start));
        assert_eq!(result, Err(ProtocolError::QmuxStart));
    }
}

#[test]
fn a_start_that_could_be_qmux_and_is_not_loses_nothing() {
    // A frame of 150 MB of an unknown type, whose first bytes are those of a QMux start as long as possible.
    let (seen, result) = outcome(&hex("20 ff5153300d0a0d0b 00"));
    assert_eq!((seen, result), (vec![OLD], Ok(())));
}

#[test]
fn a_huge_data_frame_costs_what_has_arrived() {
    let (seen, result) = outcome(&hex("00000008 07 02 7b7d ffffffff 07 00 616263"));
    assert_eq!(result, Ok(()));
    assert_eq!(joined(seen)[2..], [Seen::Data(REMOTE, b"abc".to_vec())]);
}

#[test]
fn a_message_of_64_kib_is_put_together_and_a_longer_one_passed_on_as_it_comes() {
    let mut end = server();
    assert_eq!(
        end.receive(&hex("00000008 07 02 7b7d 00000009 07 00 61")),
        Ok(())
    );
    assert_eq!(end.receive(&hex("6263 00010007 07 00 6465")), Ok(()));
    let (whole, part) = (
        Seen::Data(REMOTE, b"abc".to_vec()),
        Seen::Data(REMOTE, b"de".to_vec()),
    );
    assert_eq!(end.session.partial(), None);
    assert_eq!(end.seen()[2..], [whole, part]);
    let mut end = server();
    assert_eq!(
        end.receive(&hex("00000008 07 02 7b7d 00010006 07 00 6162")),
        Ok(())
    );
    let partial = Partial {
        stream: REMOTE,
        missing: 65_534,
    };
    assert_eq!(end.session.partial(), Some(partial));
    assert_eq!(end.receive(&[3; 65_533]), Ok(()));
    assert_eq!(end.seen().len(), 2);
    assert_eq!(end.receive(&[3; 1]), Ok(()));
    assert_eq!(end.session.partial(), None);
    let whole = [&b"ab"[..], &[3; 65_534]].concat();
    assert_eq!(end.seen(), [Seen::Data(REMOTE, whole)]);
}

#[test]
fn the_meta_of_live_streams_is_bounded_in_sum() {
    let config = Config {
        max_meta_total: 7,
        ..Config::default()
    };
    let mut end = End::new(Side::Listening, 2, config);
    let next = hex("0000000b 03 02 5b312c325d");
    // 4 bytes, ended but not forgotten, and 3 that live.
    assert_eq!(
        end.receive(&hex(
            "0000000a 03 02 22616222 0000000a 03 03 6e756c6c 00000009 04 02 313233"
        )),
        Ok(())
    );
    let mut other = End::new(
        Side::Listening,
        2,
        Config {
            max_meta_total: 7,
            ..Config::default()
        },
    );
    assert_eq!(
        other.receive(&hex("0000000a 03 02 22616222 0000000a 03 03 6e756c6c")),
        Ok(())
    );
    other.session.forget(REMOTE);
    assert_eq!(
        other.receive(&next),
        Ok(()),
        "what is forgotten no longer counts"
    );
    let result = end.receive(&hex("00000007 05 02 31"));
    assert_eq!(
        result.map_err(|error| error.code()),
        Err("ERR_MUX_JSON_TOO_LARGE")
    );
}

#[test]
fn a_fin_inside_a_frame_is_an_error_and_between_frames_is_not() {
    let bytes = hex("00000008 07 02 7b7d 00000009 07 00 616263");
    for cut in 0..=bytes.len() {
        let mut end = server();
        assert_eq!(end.receive(&bytes[..cut]), Ok(()));
        let clean = [0, 8, bytes.len()].contains(&cut);
        let expected = if clean {
            Ok(())
        } else {
            Err(ProtocolError::FrameTruncated)
        };
        assert_eq!(end.session.receive_fin(), expected, "cut at {cut}");
    }
}

#[test]
fn discarded_streams_give_nothing_but_their_close() {
    let mut end = server();
    assert_eq!(
        end.receive(&hex("00000008 07 02 7b7d 00000009 07 00 61")),
        Ok(())
    );
    end.session.discard(REMOTE, &mut end.log);
    assert_eq!(
        end.receive(&hex(
            "6263 00000007 07 00 64 00000007 07 01 31 00000007 07 03 31"
        )),
        Ok(())
    );
    assert_eq!(end.seen()[2..], [Seen::Closed(REMOTE)]);
}

#[test]
fn ids_go_from_255_downward_and_wait_when_none_is_free() {
    let mut end = server();
    let now = Instant::now();
    // An old client has opened streams 255 and 0.
    assert_eq!(
        end.receive(&hex("00000008 ff 02 7b7d 00000008 00 02 7b7d")),
        Ok(())
    );
    for slot in 0..255 {
        end.open(slot, "1");
    }
    end.send(now, usize::MAX);
    let ids: Vec<u8> = end.wire.chunks(7).map(|frame| frame[4]).collect();
    assert_eq!(ids, (1..=254).rev().collect::<Vec<_>>(), "the 255th waits");
    end.wire.clear();
    end.seen();
    // The peer ends its stream 0: its id is free.
    assert_eq!(end.receive(&hex("0000000a 00 03 6e756c6c")), Ok(()));
    assert_eq!(end.session.timeout(now + Duration::from_secs(1), 0), Ok(()));
    end.send(now, usize::MAX);
    assert_eq!(end.wire, hex("00000007 00 02 31"));
}

#[test]
fn an_id_is_free_again_when_ended_and_acknowledged() {
    let mut end = server();
    let now = Instant::now();
    assert_eq!(end.receive(&hex("00000006 00 99")), Ok(()));
    end.open(0, "1");
    end.end(0, None);
    end.open(1, "2");
    end.send(now, usize::MAX);
    assert_eq!(
        end.wire,
        hex("00000007ff0231 0000000aff036e756c6c 00000007fe0232")
    );
    assert_eq!(end.receive(&hex("0000000aff046e756c6c")), Ok(()));
    let (first, second) = (Handle::local(0), Handle::local(1));
    assert_eq!(
        end.seen(),
        [OLD, Seen::Opened(first, 255), Seen::Closed(first)]
    );
    assert_eq!(end.receive(&hex("0000000afe046e756c6c")), Ok(()));
    end.data(1, b"x");
    end.end(1, Some("7"));
    assert_eq!(
        end.seen(),
        [Seen::Opened(second, 254), Seen::Closed(second)]
    );
    end.open(0, "3");
    end.wire.clear();
    end.send(now, usize::MAX);
    assert_eq!(
        end.wire,
        hex("00000007fe0078 00000007fe0337 00000007ff0233")
    );
}

#[test]
fn accepting_writes_an_ack_even_behind_the_end() {
    let mut end = server();
    assert_eq!(
        end.receive(&hex("00000008 07 02 7b7d 0000000a 07 03 6e756c6c")),
        Ok(())
    );
    end.session.accept(REMOTE, &mut super::pair::Log::default());
    end.session.forget(REMOTE);
    end.send(Instant::now(), usize::MAX);
    assert_eq!(end.wire, hex("0000000a 07 04 6e756c6c"));
}

#[test]
fn the_offer_is_the_first_frame_or_is_never_sent() {
    let offer = |nonce: &str| {
        hex(&format!(
            "00000014 00 f0 54534d58 00 {} 00",
            nonce.repeat(8)
        ))
    };
    let now = Instant::now();
    // A connecting end offers at once, with our version and its parameters.
    let own = |nonce| {
        let mut client = End::new(Side::Connecting, nonce, Config::default());
        client.send(now, usize::MAX);
        client.wire
    };
    assert_eq!(own(1)[4..20], hex("00 f0 54534d58 01 01 0101010101010101"));
    // A listening one answers an offer, be it without any version that both know, and an old peer's first frame with
    // silence.
    let mut end = server();
    assert_eq!(end.receive(&offer("01")), Ok(()));
    end.send(now, usize::MAX);
    assert_eq!(
        (end.wire.clone(), end.seen()),
        (own(2), vec![Seen::Peer(PeerKind::New)])
    );
    assert_eq!(
        end.receive(&offer("01")).map_err(|error| error.code()),
        Err("ERR_MUX_OFFER")
    );
    let mut end = server();
    assert_eq!(end.receive(&hex("00000006 00 99")), Ok(()));
    end.open(0, "1");
    end.send(now, usize::MAX);
    assert_eq!(end.wire, hex("00000007 ff 02 31"));
    // If its application opens a stream before the peer has spoken, it offers first; once.
    let mut end = server();
    end.open(0, "1");
    assert_eq!(end.receive(&offer("01")), Ok(()));
    end.send(now, usize::MAX);
    assert_eq!(end.wire, [own(2), hex("00000007 ff 02 31")].concat());
    // With `protocol: 'legacy'` there is none, and a peer's is a frame of an unknown type.
    let mut end = End::new(
        Side::Connecting,
        1,
        Config {
            protocol: Protocol::Legacy,
            ..Config::default()
        },
    );
    end.send(now, usize::MAX);
    assert!(end.wire.is_empty());
    assert_eq!(
        end.receive(&[offer("02"), offer("02"), hex("00000006 00 f1")].concat()),
        Ok(())
    );
    assert_eq!(end.seen(), []);
    // Our own offer, reflected.
    let mut end = server();
    assert_eq!(
        end.receive(&offer("02")).map_err(|error| error.code()),
        Err("ERR_MUX_OFFER")
    );
}

#[test]
fn towards_an_old_peer_sends_are_whole_frames_with_a_rest_behind_each_burst() {
    let old = Config {
        protocol: Protocol::Legacy,
        ..Config::default()
    };
    let mut pair = Pair::new(old.clone(), old);
    pair.client.open(0, "1");
    pair.settle();
    pair.server
        .session
        .accept(REMOTE, &mut super::pair::Log::default());
    pair.settle();
    pair.advance(Duration::from_millis(1));
    for _ in 0..2000 {
        pair.client.data(0, &[7; 64]);
    }
    pair.client.data(0, &[8; 40_000]);
    let mut bursts = Vec::new();
    while pair.client.session.queued() > 0 {
        bursts.push(pair.client.send(pair.now, 1000));
        pair.advance(Duration::from_millis(1));
    }
    // The first long send fills a burst; from then on 117 frames of 70 bytes are a send, and four sends a burst.
    let full = vec![8190; 4];
    assert_eq!(
        bursts,
        [
            vec![30_730],
            full.clone(),
            full.clone(),
            full,
            vec![8190, 2800],
            vec![40_006]
        ]
    );
}

#[test]
fn towards_a_new_peer_nothing_waits() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.client.open(0, "1");
    pair.settle();
    assert_eq!(
        (pair.client.session.peer(), pair.server.session.peer()),
        (PeerKind::New, PeerKind::New)
    );
    for _ in 0..2000 {
        pair.client.data(0, &[7; 64]);
    }
    let now = pair.now;
    pair.client.send(now, usize::MAX);
    assert_eq!(pair.client.session.queued(), 0);
    assert_eq!(pair.client.session.deadline(), None);
}

#[test]
fn nothing_is_sent_behind_the_end() {
    let mut end = server();
    end.session.finish();
    let offer = hex("00000014 00 f0 54534d58 00 0101010101010101 00");
    assert_eq!(
        end.receive(&[offer, hex("00000008 07 02 7b7d")].concat()),
        Ok(())
    );
    end.session.accept(REMOTE, &mut super::pair::Log::default());
    end.open(0, "1");
    assert_eq!(end.session.queued(), 0);
    assert_eq!(end.seen().len(), 2, "what comes is still passed on");
}

#[test]
fn a_mark_comes_when_all_before_it_is_sent() {
    let mut end = server();
    let log = &mut super::pair::Log::default();
    end.session.mark(None, 1, log);
    assert_eq!(log.seen, [Seen::Mark(1)]);
    end.open(0, "1");
    end.session.mark(None, 2, &mut end.log);
    assert_eq!(end.seen(), []);
    end.send(Instant::now(), 3);
    assert_eq!(end.seen(), [Seen::Mark(2)]);
}

#[test]
fn what_is_held_stops_the_reading() {
    let mut end = End::new(
        Side::Listening,
        2,
        Config {
            hold_limit: 100,
            ..Config::default()
        },
    );
    end.session.hold(Handle(1), 100);
    assert!(end.session.wants_read(false));
    end.session.hold(Handle(1), 1);
    assert!(!end.session.wants_read(false));
    end.session.release(Handle(1), 51, &mut end.log);
    assert!(end.session.wants_read(false));
}

#[test]
fn commands_for_streams_that_have_closed_are_dropped() {
    let mut end = server();
    end.data(3, b"x");
    end.end(3, None);
    end.session
        .accept(Handle(7), &mut super::pair::Log::default());
    end.session.forget(Handle(7));
    end.session.discard(Handle(7), &mut end.log);
    assert_eq!((end.session.queued(), end.seen()), (0, vec![]));
}
