//! How two ends find out what they speak: any bytes, and what a true peer says with bytes changed, put in or left out.

use super::input::Input;
use super::pair::End;
use super::peer;
use super::proto::*;
use std::time::Instant;

/// Edits of what the true peer says: place (2), what is done, and with which byte.
const EDIT: usize = 4;

/// flags: 0 the end under test accepted; 1 it opens a stream before anything comes; 2 the rest is edits of what a true
/// peer says; 3 and 4 its protocol; 5 the true peer opens streams in its first flight.
pub fn negotiation(data: &[u8]) {
    let Some(input) = Input::new(data) else {
        return;
    };
    let now = Instant::now();
    let (ours, theirs) = match input.flag(0) {
        true => (Side::Listening, Side::Connecting),
        false => (Side::Connecting, Side::Listening),
    };
    let protocol = match (input.flag(3), input.flag(4)) {
        (true, false) => Protocol::Qmux,
        (true, true) => Protocol::Legacy,
        _ => Protocol::Auto,
    };
    let end = || {
        let mut end = End::at(now, ours, 1, peer::config(protocol));
        if input.flag(1) {
            end.open(0, "{}");
            end.data(0, b"early");
            end.send(now, usize::MAX);
        }
        end
    };
    let bytes = match input.flag(2) {
        true => edited(true_peer(end(), theirs, input.flag(5)), input.rest),
        false => input.rest.to_vec(),
    };
    let reads = input.reads(&bytes);
    // What became of a stream of ours may depend on what had been sent of it when something came.
    if !input.flag(1) {
        peer::cuts_make_no_difference(end, &reads);
    }
    peer::react_to(end(), &reads);
}

/// What a peer of ours says to `end`, until both have said all.
fn true_peer(mut end: End, side: Side, opens: bool) -> Vec<u8> {
    let now = end.now;
    let mut peer = End::at(now, side, 2, Config::default());
    if opens {
        peer.open(0, "[2]");
        peer.data(0, b"first flight");
        peer.open(1, "[3]");
        peer.end(1, None);
    }
    let mut said = Vec::new();
    let mut heard = 0;
    for _ in 0..4 {
        end.send(now, usize::MAX);
        let new = end.wire[heard..].to_vec();
        heard = end.wire.len();
        if peer.receive(&new).is_err() {
            break;
        }
        peer.answer();
        peer.send(now, usize::MAX);
        let new = std::mem::take(&mut peer.wire);
        let result = end.receive(&new);
        said.extend(new);
        if result.is_err() {
            break;
        }
        end.answer();
    }
    said
}

fn edited(mut bytes: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(EDIT) {
        let &[high, low, what, byte] = edit else {
            continue;
        };
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        match what % 4 {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at.max(1)),
            _ => {
                if let Some(old) = bytes.get_mut(at) {
                    *old ^= byte;
                }
            }
        }
    }
    bytes
}
