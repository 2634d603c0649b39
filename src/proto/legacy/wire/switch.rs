//! The way from this wire to the next: the peer's offer, our switch, and the streams that go on there.
//!
//! After our switch, streams that the peer still opens here live in the other wire's table.
//!
//! May not know a record.

use super::super::super::error::ProtocolError;
use super::super::super::event::{Event, Handle, Payload, PeerKind, Sink, Wires};
use super::super::super::negotiate;
use super::super::super::qmux::{Carried, Parameters, Qmux};
use super::super::streams::{Remote, Table};
use super::{Context, Legacy};

impl Legacy {
    pub(super) fn recv_open<S: Sink>(
        &mut self,
        id: u8,
        meta: usize,
        payload: Payload<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let stream = Remote {
            id,
            meta,
            is_ended: false,
            is_discarded: false,
        };
        let (slot, id_there) = match cx.qmux() {
            Some((qmux, _)) => {
                let (handle, id_there) = qmux.carry_open(meta)?;
                let slot = handle.slot() as u32;
                self.remote.put_at(slot, stream);
                (slot, id_there as u32)
            }
            None => {
                self.meta_total += meta;
                (self.remote.insert(stream), id.into())
            }
        };
        self.remote.bind(id, slot);
        cx.shared.emit(
            Event::Stream {
                stream: Handle::remote(slot),
                id: id_there,
            },
            payload,
        );
        Ok(())
    }

    /// The peer is new. If it speaks the other wire as well, we switch to that before anything else is read.
    pub(super) fn recv_offer<S: Sink>(
        &mut self,
        payload: &[u8],
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let agreed = cx.negotiation.recv_offer(payload)?;
        cx.pace.lift();
        cx.shared.emit(Event::Peer(PeerKind::New), Payload::Empty);
        cx.write_offer();
        let Some(agreed) = agreed else { return Ok(()) };
        let peer = Parameters::decode(&agreed.parameters)?;
        if !peer.is_ours {
            return Err(ProtocolError::Offer("its parameters lack our mapping"));
        }
        cx.write(negotiate::SWITCH, 0, &agreed.switch);
        let carried = self.carried();
        let wires = Wires {
            sending: true,
            hears_unread: peer.hears_unread,
            ..Wires::default()
        };
        let qmux = Qmux::carried(
            cx.shared.config,
            cx.side,
            cx.seed,
            cx.shared.now,
            (peer, agreed.parameters),
            (&carried, self.opened),
        );
        *cx.qmux = Some(Box::new(qmux));
        cx.shared.emit(Event::Wires(wires), Payload::Empty);
        let waiting = std::mem::take(&mut self.waiting);
        self.local = Table::default();
        if let Some((qmux, cx)) = cx.qmux() {
            qmux.write_parameters(cx);
            for (slot, meta) in waiting {
                qmux.open(Handle::local(slot), &meta, cx);
            }
        }
        Ok(())
    }

    /// Our streams in the form in which the other wire goes on with them.
    fn carried(&mut self) -> Vec<Carried> {
        let streams = self.local.iter().filter_map(|(slot, stream)| {
            stream.id?;
            Some(Carried {
                handle: Handle::local(slot),
                ordinal: stream.ordinal,
                is_ended: stream.is_ended,
            })
        });
        streams.collect()
    }
}
