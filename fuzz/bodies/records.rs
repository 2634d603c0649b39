//! QMux: any bytes, any frames, and any frames behind a true start.

use super::input::{Input, parts, record};
use super::pair::End;
use super::peer;
use super::proto::*;
use std::time::Instant;

/// flags: 0 the end under test accepted; 1 a true start goes before; 2 the rest is frames, for records to be made of;
/// 3 the application opens streams first.
pub fn records(data: &[u8]) {
    let Some(input) = Input::new(data) else {
        return;
    };
    let now = Instant::now();
    let (ours, theirs) = match input.flag(0) {
        true => (Side::Listening, Side::Connecting),
        false => (Side::Connecting, Side::Listening),
    };
    let end = || {
        let mut end = End::at(now, ours, 1, peer::config(Protocol::Qmux));
        if input.flag(3) {
            end.open(0, "{}");
            end.open(1, "[1]");
            end.data(0, &[9; 2000]);
            end.send(now, usize::MAX);
        }
        end
    };
    let mut bytes = Vec::new();
    if input.flag(1) {
        let mut peer = End::at(
            now,
            theirs,
            2,
            Config {
                protocol: Protocol::Qmux,
                ..Config::default()
            },
        );
        peer.send(now, usize::MAX);
        bytes.append(&mut peer.wire);
    }
    match input.flag(2) {
        true => parts(input.rest).for_each(|frames| bytes.extend(record(frames))),
        false => bytes.extend_from_slice(input.rest),
    }
    let reads = input.reads(&bytes);
    // What became of a stream of ours may depend on what had been sent of it when something came.
    if !input.flag(3) {
        peer::cuts_make_no_difference(end, &reads);
    }
    peer::react_to(end(), &reads);
}
