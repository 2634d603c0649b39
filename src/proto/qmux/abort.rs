//! What ends a half before its time, resets and stops, and what comes for a half that is over.
//!
//! May not encode a frame.

use super::super::context::Context;
use super::super::error::{ProtocolError, Violation};
use super::super::event::{Event, Handle, Payload, Sink};
use super::receive::{flow, state};
use super::stream::RecvState;
use super::wire::Qmux;

fn changed() -> ProtocolError {
    ProtocolError::Qmux(Violation::FinalSize, "changed the final size of a stream")
}

/// A frame that speaks of what we send: not on a stream of one direction, since we opened none of those, and the peer's
/// have no half of ours.
pub(super) fn sends(id: u64) -> Result<(), ProtocolError> {
    match id & 2 {
        0 => Ok(()),
        _ => Err(state("named a stream on which we do not send")),
    }
}

/// What is wrong with bytes that come for a half that is over. `ended`: its final size, if that is remembered; `offset`:
/// none, where the stream stands.
pub(super) fn behind_end(
    ended: Option<u64>,
    offset: Option<u64>,
    length: u64,
    fin: bool,
) -> ProtocolError {
    let changes = match (ended, offset) {
        // Where the stream stands is its end.
        (_, None) => length > 0,
        (Some(ended), Some(offset)) => {
            let end = offset.saturating_add(length);
            end > ended || (fin && end != ended)
        }
        (None, Some(_)) => false,
    };
    match changes {
        true => changed(),
        false => state("sent on a stream that has ended"),
    }
}

impl Qmux {
    /// The stream that a reset or a stop is for; `None`: it is over. Of one that the application has not answered yet that
    /// is work for nothing. Others end what was begun, and there are no more of them than of those.
    fn aborted<S: Sink>(
        &mut self,
        id: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<Option<Handle>, ProtocolError> {
        let handle = self.stream_of(id, cx)?;
        match handle.map(|handle| (handle, self.streams.get(handle))) {
            None => self.budgets.useless.spend(cx.now)?,
            Some((handle, Some(stream))) if !handle.is_local() && !stream.is_answered => {
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
        let Some(handle) = self.aborted(id, cx)? else {
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
            return Err(flow("reset a stream behind what it had credit for"));
        }
        let before = recv.finish();
        let was_seen = stream.send.has_sent_meta();
        let is_known = stream.is_known || (before == RecvState::Accept && was_seen);
        self.take_text(handle);
        let code_text = code.to_string();
        let payload = Payload::Owned(code_text.as_bytes());
        match before {
            RecvState::Data | RecvState::EndValue if is_known => {
                cx.emit(Event::Reset(handle), payload);
            }
            // It accepted the stream and said so, which the reset has overtaken; unless it never saw it whole.
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
            // Nobody here knows of it who could end our half.
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
        sends(id)?;
        let Some(handle) = self.aborted(id, cx)? else {
            return Ok(());
        };
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        if stream.send.is_done() {
            return self.budgets.useless.spend(cx.now);
        }
        match stream.is_known {
            true => self.tell_stopped(handle, code, cx),
            // It overtook the acceptance, which is still under way.
            false => stream.stopped = Some(code),
        }
        self.give_up(handle, code, cx);
        self.settle(handle, cx);
        Ok(())
    }

    /// The application learns that the peer wants no more of a stream.
    pub(super) fn tell_stopped<S: Sink>(&self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        let code = code.to_string();
        cx.emit(Event::Stopped(handle), Payload::Owned(code.as_bytes()));
    }
}
