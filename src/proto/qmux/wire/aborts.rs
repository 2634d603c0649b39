//! The ends of a half before its time: resets and stops. The peer's going away is here too, which ends streams that it
//! does not serve.
//!
//! May not encode a frame.

use super::super::super::context::Context;
use super::super::super::error::{ProtocolError, Violation};
use super::super::super::event::{Event, Handle, Payload, Sink};
use super::super::stream::RecvState;
use super::Qmux;
use super::deliver::emit_stopped;

/// Checks the id of a frame that concerns what we send. A stream of one direction has no such frame: we opened none of
/// those, and the peer's have no half of ours.
pub(super) fn check_sends(id: u64) -> Result<(), ProtocolError> {
    match id & 2 {
        0 => Ok(()),
        _ => Err(Violation::StreamState.error("named a stream on which we do not send")),
    }
}

fn changed() -> ProtocolError {
    Violation::FinalSize.error("changed the final size of a stream")
}

impl Qmux {
    /// The stream that a reset or a stop is for; `None`: it is over. If the application has not answered the stream
    /// yet, the abort was work for nothing, which is limited. Other aborts end a stream that was begun, and there are
    /// no more of them than of those.
    fn stream_to_abort<S: Sink>(
        &mut self,
        id: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<Option<Handle>, ProtocolError> {
        let handle = self.stream_of(id, cx)?;
        match handle.map(|handle| (handle, self.streams.get(handle))) {
            None => self.budgets.useless.spend(cx.now)?,
            Some((handle, Some(stream))) if !handle.is_local() && !stream.is_answered() => {
                self.budgets.resets.spend(cx.now)?;
            }
            Some(_) => {}
        }
        Ok(handle)
    }

    pub(super) fn recv_reset<S: Sink>(
        &mut self,
        id: u64,
        code: u64,
        final_size: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(handle) = self.stream_to_abort(id, cx)? else {
            return match self.streams.final_size(id) {
                Some(ended) if ended != final_size => Err(changed()),
                _ => Ok(()),
            };
        };
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let recv = &mut stream.recv;
        if recv.is_done() {
            return match recv.credit.received() == final_size {
                true => self.budgets.useless.spend(cx.now),
                false => Err(changed()),
            };
        }
        let missing = final_size
            .checked_sub(recv.credit.received())
            .ok_or_else(changed)?;
        if recv.credit.receive(missing).is_none() || self.credit.receive(missing).is_none() {
            return Err(
                Violation::FlowControl.error("reset a stream behind what it had credit for")
            );
        }
        let before = recv.finish();
        let was_seen = stream.send.has_sent_meta();
        let is_known = stream.is_known() || (before == RecvState::Accept && was_seen);
        self.recv.drop_text(stream);
        let code_text = code.to_string();
        let payload = Payload::Owned(code_text.as_bytes());
        match before {
            RecvState::Data | RecvState::EndValue if is_known => {
                cx.emit(Event::Reset(handle), payload);
            }
            // The peer accepted the stream and said so, but the reset has overtaken that; unless the peer never saw all
            // of the meta.
            RecvState::Accept if was_seen => {
                self.tell_opened(handle, cx);
                cx.emit(Event::Reset(handle), payload);
            }
            RecvState::Accept | RecvState::Refusal => {
                cx.emit(Event::Refused(handle), payload);
            }
            _ => {}
        }
        if !is_known {
            // Nobody here knows of the stream and could end our half.
            self.give_up(handle, code, cx);
        }
        self.credit.ask_for_all(cx);
        self.settle(handle, cx);
        Ok(())
    }

    pub(super) fn recv_stop<S: Sink>(
        &mut self,
        id: u64,
        code: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        check_sends(id)?;
        let Some(handle) = self.stream_to_abort(id, cx)? else {
            return Ok(());
        };
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        if stream.send.is_done() {
            return self.budgets.useless.spend(cx.now);
        }
        match stream.is_known() {
            true => emit_stopped(handle, code, cx),
            // The stop overtook the acceptance, which is still under way.
            false => stream.set_stopped(code),
        }
        self.give_up(handle, code, cx);
        self.settle(handle, cx);
        Ok(())
    }

    /// The peer goes away: it serves this many of our streams, and no more.
    pub(super) fn recv_go_away<S: Sink>(
        &mut self,
        streams: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let is_news = self.counts.recv_go_away(streams)?;
        self.budgets.resets.spend(cx.now)?;
        if !is_news {
            return Ok(());
        }
        cx.emit(Event::GoAway(None), Payload::Empty);
        // Streams that wait for a place get the next numbers.
        let left = self.counts.left_to_serve();
        let mut unserved = self.send.cut_opens(left);
        for handle in self.streams.local_handles() {
            let stream = self.streams.get(handle);
            let Some(stream) = stream.filter(|stream| stream.send.has_begun()) else {
                continue;
            };
            if self.counts.is_served(stream.id()) {
                continue;
            }
            if stream.is_known() {
                return Err(
                    Violation::Protocol.error("went away from a stream that it has accepted")
                );
            }
            unserved.push(handle);
        }
        for handle in unserved {
            self.fail_unserved(handle, cx);
        }
        Ok(())
    }
}
