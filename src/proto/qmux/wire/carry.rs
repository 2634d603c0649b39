//! Streams that began on the legacy wire and go on here.
//!
//! The n-th stream that a side opened there is its n-th here. The stream's open frame was its first bytes, so offset 0
//! is the next byte. What an acceptor sends is wholly of this wire.
//!
//! May not read or write a legacy frame.

use super::super::super::config::{Config, Side};
use super::super::super::context::Context;
use super::super::super::error::ProtocolError;
use super::super::super::event::{Handle, Sink};
use super::super::parameters::Parameters;
use super::super::stream::{RecvHalf, RecvState, SendHalf, SendState, Stream};
use super::Qmux;
use std::time::Instant;

/// A stream of ours that was opened on the legacy wire.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    pub handle: Handle,
    /// The stream's place in the order in which we opened streams, counted from 0.
    pub ordinal: u64,
    /// The end was sent.
    pub is_ended: bool,
}

impl Qmux {
    /// The state behind our switch. `offered`: the peer's parameters as they were in its offer. `opened`: the number of
    /// streams that we opened before.
    pub fn carried(
        config: &Config,
        side: Side,
        seed: u64,
        now: Instant,
        (peer, offered): (Parameters, Vec<u8>),
        (streams, opened): (&[Carried], u64),
    ) -> Self {
        let mut qmux = Self::new(config, side, seed, now);
        let ended = streams.iter().filter(|stream| stream.is_ended).count() as u64;
        qmux.set_peer(peer);
        qmux.peer.expect_again(offered);
        qmux.counts.carry(opened, ended);
        let credit = qmux.peer.credit_on_ours();
        for carried in streams {
            let id = qmux.counts.our_id(carried.ordinal);
            let send = match carried.is_ended {
                true => SendState::Done,
                false => SendState::Open,
            };
            let send = SendHalf::new(send, credit, 0);
            let stream = Stream::new(
                id,
                send,
                RecvHalf::new(RecvState::Accept, qmux.credit.window_of_stream()),
            );
            if qmux.streams.insert_local(carried.handle, stream) {
                qmux.streams.bind(id, carried.handle);
            }
        }
        qmux
    }

    /// The peer opened a stream on the legacy wire, before its switch.
    pub fn carry_open(&mut self, meta: usize) -> Result<(Handle, u64), ProtocolError> {
        let id = self.counts.carry_theirs()?;
        let credit = self.peer.credit_on_theirs();
        let send = SendHalf::new(SendState::Open, credit, 0);
        let mut stream = Stream::new(
            id,
            send,
            RecvHalf::new(RecvState::Data, self.credit.window_of_stream()),
        );
        stream.introduce();
        self.recv.count_meta(&mut stream, meta);
        Ok((self.streams.insert_remote(stream), id))
    }

    /// The sum of the metas of the live streams.
    pub fn meta_total(&self) -> usize {
        self.recv.meta_total()
    }

    /// The peer ended a stream on the legacy wire, before its switch.
    pub fn carry_end<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        if let Some(stream) = self.streams.get(handle) {
            stream.recv.finish();
            stream.set_counted();
            self.counts.carry_end();
        }
        self.settle(handle, cx);
    }

    /// The peer's switch was read: both ends know by now how many streams ended before it.
    pub fn end_carrying(&mut self) {
        self.counts.end_carrying();
        self.tell_go_away();
    }
}
