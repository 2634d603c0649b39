//! Frames that RFC 9000 forbids, as literal bytes: each ends the connection with the code that it asks for.

use super::pair::End;
use crate::proto::*;

/// A peer's first record with credit for all, of no particular end.
const FIRST: &[u8] =
    b"\x1a\xff\x51\x53\x30\x0d\x0a\x0d\x0a\x11\x04\x04\x80\x10\x00\x00\x05\x02\x44\x00\x06\x02\x44\x00\x08\x01\x0a";

/// What a listening end says to records of one frame each, behind the peer's first.
fn outcome(frames: &[&[u8]]) -> Result<(), &'static str> {
    let mut end = End::new(Side::Listening, 2, Config::default());
    assert_eq!(end.receive(FIRST), Ok(()));
    let mut result = Ok(());
    for frame in frames {
        let record = [&[frame.len() as u8], *frame].concat();
        result = result.and_then(|()| end.receive(&record));
    }
    result.map_err(|error| error.code())
}

/// The same where our half has ended by then as well, so that the stream is only remembered.
fn outcome_when_over(ends: &[u8], frame: &[u8]) -> Result<(), &'static str> {
    let mut end = End::new(Side::Listening, 2, Config::default());
    assert_eq!(end.receive(FIRST), Ok(()));
    let record = |frame: &[u8]| [&[frame.len() as u8], frame].concat();
    assert_eq!(end.receive(&record(ends)), Ok(()));
    let stream = Handle::remote(0);
    end.accept(stream);
    end.finish(stream, None);
    end.session.forget(stream);
    let result = end.receive(&record(frame));
    result.map_err(|error| error.code())
}

#[test]
fn a_stream_of_one_direction_is_none_of_ours_or_one_too_many() {
    let state = Err("ERR_MUX_STREAM_STATE");
    let count = Err("ERR_MUX_STREAM_COUNT");
    // Ours, 3, never was. On the peer's, 2, we do not send.
    for (frame, expected) in [
        (&[0x0a, 3, 1, b'x'][..], state),
        (&[0x04, 3, 0, 0], state),
        (&[0x15, 3, 0], state),
        (&[0x05, 3, 0], state),
        (&[0x11, 3, 5], state),
        (&[0x05, 2, 0], state),
        (&[0x11, 2, 5], state),
        (&[0x0a, 2, 1, b'x'], count),
        (&[0x04, 2, 0, 0], count),
        (&[0x15, 2, 0], count),
    ] {
        assert_eq!(outcome(&[frame]), expected, "{frame:x?}");
    }
}

#[test]
fn a_final_size_does_not_change() {
    let changed = Err("ERR_MUX_FINAL_SIZE");
    let state = Err("ERR_MUX_STREAM_STATE");
    let fin: &[u8] = &[0x0b, 0, 3, b'a', b'b', b'c'];
    let reset: &[u8] = &[0x04, 0, 7, 3];
    for ends in [fin, reset] {
        for (frame, expected) in [
            (&[0x0e, 0, 3, 1, b'x'][..], changed),
            (&[0x0f, 0, 4, 0], changed),
            (&[0x0f, 0, 0, 1, b'a'], changed),
            (&[0x04, 0, 0, 7], changed),
            (&[0x04, 0, 0, 2], changed),
            // Within it, or at it, there is still nothing to send.
            (&[0x0f, 0, 3, 0], state),
            (&[0x0a, 0, 3, b'a', b'b', b'c'], state),
            // It crossed nothing here, and yet says nothing new.
            (&[0x04, 0, 0, 3], Ok(())),
        ] {
            assert_eq!(outcome(&[ends, frame]), expected, "{ends:x?} {frame:x?}");
            let over = outcome_when_over(ends, frame);
            assert_eq!(over, expected, "{ends:x?} {frame:x?}, over");
        }
    }
    assert_eq!(
        outcome(&[&[0x0a, 0, 3, 1, 2, 3], &[0x04, 0, 0, 2]]),
        changed
    );
}

#[test]
fn a_type_in_more_bytes_than_it_needs_is_a_violation() {
    let result = outcome(&[&[0x40, 0x10, 0x20]]);
    assert_eq!(result, Err("ERR_MUX_PROTOCOL_VIOLATION"));
}
