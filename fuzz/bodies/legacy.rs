//! The legacy wire: any bytes, and any frames.

use super::input::{Input, legacy_frame, parts};
use super::pair::End;
use super::peer;
use super::proto::*;
use std::time::Instant;

/// flags: 0 the end under test accepted; 1 it makes no offers; 2 the rest is frames without their lengths; 3 the
/// application opens streams first.
pub fn legacy(data: &[u8]) {
    let Some(input) = Input::new(data) else {
        return;
    };
    let now = Instant::now();
    let side = match input.flag(0) {
        true => Side::Listening,
        false => Side::Connecting,
    };
    let protocol = match input.flag(1) {
        true => Protocol::Legacy,
        false => Protocol::Auto,
    };
    let end = || {
        let mut end = End::at(now, side, 1, peer::config(protocol));
        if input.flag(3) {
            end.open(0, "{}");
            end.open(1, "[1]");
            end.data(0, &[9; 2000]);
            end.send(now, usize::MAX);
        }
        end
    };
    let mut bytes = Vec::new();
    match input.flag(2) {
        true => parts(input.rest).for_each(|part| {
            if let Some((&[id, kind], payload)) = part.split_first_chunk() {
                // Few ids and few types, so that frames meet streams.
                let id = if id < 128 { id % 4 } else { 255 - id % 4 };
                let kind = if kind < 250 { kind % 6 } else { kind };
                bytes.extend(legacy_frame(id, kind, payload));
            }
        }),
        false => bytes.extend_from_slice(input.rest),
    }
    let reads = input.reads(&bytes);
    peer::cuts_make_no_difference(end, &reads);
    peer::react_to(end(), &reads);
}
