//! What every end under test is put through: any bytes, in any cut, with an application that reacts or not.

use super::pair::{End, Seen, joined};
use super::proto::*;
use std::time::{Duration, Instant};

/// Everything an end may queue in answer to a read, beyond what is in proportion to it.
const MAX_ANSWER: u64 = 1 << 20;

/// Small limits, so that few bytes reach them.
pub fn config(protocol: Protocol) -> Config {
    Config {
        protocol,
        max_meta_size: 2000,
        max_meta_total: 5000,
        max_end_value_size: 2000,
        max_json_depth: 8,
        qmux: QmuxConfig {
            stream_window: 1000,
            max_stream_window: 4000,
            connection_window: 3000,
            max_connection_window: 12_000,
            max_held: 5000,
            max_incoming_streams: 6,
            max_pending_streams: 4,
            max_record_size: 16_382,
            idle_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(12),
            max_resets: 10,
            max_pings: 10,
            max_empty_frames: 100,
            max_useless_frames: 20,
        },
        ..Config::default()
    }
}

/// What an end tells an application that does nothing, and how it goes out.
fn outcome(mut end: End, reads: &[&[u8]]) -> (Vec<Seen>, Result<(), ProtocolError>) {
    let result = reads.iter().try_for_each(|read| end.receive(read));
    let result = result.and_then(|()| end.session.receive_fin());
    (joined(end.seen_unanswered()), result)
}

/// The same bytes must be understood the same, however they are cut. Which of two faults is found first may depend on that,
/// how much is too much, and what the peer was allowed between two reads.
pub fn cuts_make_no_difference(end: impl Fn() -> End, reads: &[&[u8]]) {
    let whole = reads.concat();
    let (whole, cut) = (outcome(end(), &[&whole]), outcome(end(), reads));
    let depends_on_cuts = |result: &Result<_, _>| {
        use Violation::{FlowControl, StreamLimit};
        matches!(
            result,
            Err(ProtocolError::Flood(_) | ProtocolError::Qmux(FlowControl | StreamLimit, _))
        )
    };
    match (&whole.1, &cut.1) {
        (Err(_), Err(_)) => {}
        _ if depends_on_cuts(&whole.1) || depends_on_cuts(&cut.1) => {}
        _ => assert_eq!(whole, cut),
    }
}

/// An application that reacts to everything, until the peer is found at fault.
pub fn react_to(mut end: End, reads: &[&[u8]]) {
    let start = end.now;
    let mut odd = false;
    let mut held: Vec<(Handle, u32)> = Vec::new();
    for read in reads {
        let before = end.session.queued();
        if end.receive(read).is_err() {
            end.session.close(10, false, "at fault");
            end.send(start, usize::MAX);
            return;
        }
        let answer = end.session.queued().saturating_sub(before);
        assert!(answer <= MAX_ANSWER + 64 * read.len() as u64);
        react(&mut end, &mut odd, &mut held);
        end.send(end.now, 777);
        end.wire.clear();
        if advance(&mut end, Duration::from_millis(20)).is_err() {
            return;
        }
    }
    let _ = end.session.receive_fin();
    for (stream, bytes) in held {
        end.session.release(stream, bytes, &mut end.log);
    }
    for _ in 0..8 {
        react(&mut end, &mut odd, &mut Vec::new());
        end.send(end.now, usize::MAX);
        if advance(&mut end, Duration::from_secs(7)).is_err() {
            return;
        }
    }
}

fn advance(end: &mut End, time: Duration) -> Result<(), ProtocolError> {
    let now: Instant = end.now + time;
    end.timeouts(now, 0)
}

fn react(end: &mut End, odd: &mut bool, held: &mut Vec<(Handle, u32)>) {
    for event in end.seen_unanswered() {
        *odd = !*odd;
        match event {
            Seen::Stream(stream, ..) if *odd => end.accept(stream),
            Seen::Stream(stream, id, _) if id % 3 == 0 => {
                end.session.refuse(stream, 7, &mut end.log);
            }
            Seen::Stream(stream, ..) => {
                end.accept(stream);
                end.write(stream, &[7; 300]);
                end.finish(stream, Some("{}"));
            }
            Seen::Data(stream, bytes) if *odd => {
                let bytes = bytes.len() as u32;
                end.session.hold(stream, bytes);
                held.push((stream, bytes));
                end.write(stream, b"answer");
            }
            Seen::Opened(stream, id) if id % 2 == 0 => {
                end.write(stream, &[8; 3000]);
            }
            Seen::Opened(stream, _) => end.session.stop(stream, 3, &mut end.log),
            Seen::End(stream, _) => end.finish(stream, None),
            Seen::Reset(stream, code) => end.session.reset(stream, code, &mut end.log),
            Seen::Closed(stream) if !stream.is_local() => end.session.forget(stream),
            Seen::Blocked(stream) if *odd => end.session.reset(stream, 5, &mut end.log),
            Seen::Credit(stream) => end.session.credit(stream, &mut end.log),
            _ => {}
        }
    }
}
