//! The headers of the peer's frames.
//!
//! May not encode a frame.

use super::super::super::context::Context;
use super::super::super::error::{ProtocolError, Violation};
use super::super::super::event::{Event, Handle, Payload, Sink};
use super::super::frame::Frame;
use super::super::recv::behind_end;
use super::super::stream::{RecvHalf, RecvState, SendHalf, SendState, Stream};
use super::Qmux;
use super::aborts::check_sends;

impl Qmux {
    /// A header came, which ends at `at`.
    pub(super) fn recv_frame<S: Sink>(
        &mut self,
        frame: Frame,
        input: &[u8],
        at: &mut usize,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        if self.recv.recv_first(frame)? {
            return Ok(());
        }
        let was_padding = self.recv.enter(frame);
        match frame {
            Frame::Parameters { .. } => {
                Err(Violation::Protocol.error("declared its parameters twice"))
            }
            Frame::Padding => {
                self.recv.skip_padding(input, at);
                // A run of padding counts once, however it is cut.
                self.budgets.judge(was_padding, cx.now)
            }
            Frame::Stream {
                id,
                offset,
                length,
                fin,
            } => self.recv_stream(id, offset, length, fin, cx),
            Frame::EndValue { id } => self.recv_end_value_frame(id, cx),
            Frame::Reset {
                id,
                code,
                final_size,
            } => self.recv_reset(id, code, final_size, cx),
            Frame::Stop { id, code } => self.recv_stop(id, code, cx),
            Frame::MaxData(limit) => {
                let is_more = self.send.raise(limit);
                self.budgets.judge(is_more, cx.now)
            }
            Frame::MaxStreamData { id, limit } => self.recv_max_stream_data(id, limit, cx),
            Frame::MaxStreams { uni: true, .. } => self.budgets.useless.spend(cx.now),
            Frame::MaxStreams { limit, uni: false } => match self.counts.raise(limit) {
                true => {
                    self.open_waiting(cx);
                    Ok(())
                }
                false => self.budgets.useless.spend(cx.now),
            },
            Frame::DataBlocked(limit) => {
                let is_news = self.credit.hear_blocked(limit);
                self.budgets.judge(is_news, cx.now)
            }
            Frame::StreamDataBlocked { id, limit } => {
                let is_news = self.stream_of(id, cx)?.is_some_and(|handle| {
                    let stream = self.streams.get(handle);
                    stream.is_some_and(|stream| stream.recv.credit.hear_blocked(limit))
                });
                self.budgets.judge(is_news, cx.now)
            }
            Frame::StreamsBlocked { limit, uni } => {
                let is_news = !uni && self.counts.hear_blocked(limit);
                self.budgets.judge(is_news, cx.now)
            }
            Frame::Close {
                application,
                code,
                reason,
            } => self.recv.start_reason(application, code, reason),
            Frame::PingRequest(number) => {
                // Requests that nobody could answer meanwhile, since one end did not read, come all at once and have one
                // answer together.
                if !self.ping.owes_answer() {
                    self.budgets.pings.spend(cx.now)?;
                }
                self.ping.recv_request(number)
            }
            Frame::PingResponse(number) => {
                for (id, rtt) in self.ping.recv_response(number, cx.now)? {
                    cx.emit(Event::Pong { id, rtt }, Payload::Empty);
                }
                Ok(())
            }
            Frame::GoAway { streams } => self.recv_go_away(streams, cx),
            Frame::Unread { id } => self.recv_unread(id, cx),
        }
    }

    /// The stream that a frame names. The frame begins the stream if it is one of the peer's that may begin. `None`:
    /// the stream is over.
    pub(super) fn stream_of<S: Sink>(
        &mut self,
        id: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<Option<Handle>, ProtocolError> {
        if let Some(handle) = self.streams.find(id) {
            return Ok(Some(handle));
        }
        let Some(ordinal) = self.counts.beginning(id)? else {
            return Ok(None);
        };
        let mut handle = None;
        // Streams before this one begin with it. They are few, because the limit allows no more.
        while self.counts.is_beginning(ordinal) {
            handle = Some(self.begin(cx));
        }
        Ok(handle)
    }

    /// The peer's next stream begins.
    fn begin<S: Sink>(&mut self, cx: &mut Context<'_, S>) -> Handle {
        let is_ours = self.peer.is_ours();
        let id = self.counts.begin_theirs();
        let first = match is_ours {
            true => RecvState::Meta,
            false => RecvState::Data,
        };
        let send = SendHalf::new(SendState::Open, self.peer.credit_on_theirs(), 0);
        let recv = RecvHalf::new(first, self.credit.window_of_stream());
        let mut stream = Stream::new(id, send, recv);
        let is_served = self.counts.serves(id);
        // A stream that is not served gets no answer, and what comes of it is dropped.
        if !is_served {
            stream.recv.discard();
            stream.send.finish();
        }
        let is_known = is_served && !is_ours;
        if is_known {
            stream.introduce();
        }
        let handle = self.streams.insert_remote(stream);
        if is_known {
            let id = id as u32;
            cx.emit(Event::Stream { stream: handle, id }, Payload::Empty);
        }
        handle
    }

    fn recv_stream<S: Sink>(
        &mut self,
        id: u64,
        offset: Option<u64>,
        length: Option<u64>,
        fin: bool,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let length = self.recv.start_body(length)?;
        let Some(handle) = self.stream_of(id, cx)? else {
            let ended = self.streams.final_size(id);
            return Err(behind_end(ended, offset, length, fin));
        };
        let Some(stream) = self.streams.get(handle) else {
            return Err(behind_end(None, offset, 0, fin));
        };
        let body = (offset, length, fin);
        self.recv
            .start_stream(handle, stream, body, &mut self.credit)?;
        match length == 0 && !fin {
            true => self.budgets.empties.spend(cx.now),
            false => Ok(()),
        }
    }

    fn recv_end_value_frame<S: Sink>(
        &mut self,
        id: u64,
        cx: &Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let wrong = || {
            Violation::StreamState.error("announced an end value on a stream that cannot have one")
        };
        let Some(handle) = self.streams.find(id) else {
            return Err(wrong());
        };
        let stream = self.streams.get(handle).ok_or_else(wrong)?;
        if stream.recv.start_end_value() {
            return Ok(());
        }
        match stream.recv.state() {
            RecvState::Discard => self.budgets.useless.spend(cx.now),
            _ => Err(wrong()),
        }
    }

    /// The opener of a stream reads no answer.
    fn recv_unread<S: Sink>(
        &mut self,
        id: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(handle) = self.stream_of(id, cx)? else {
            // The frame crossed the end of the stream.
            return self.budgets.useless.spend(cx.now);
        };
        if handle.is_local() {
            return Err(Violation::StreamState.error("spoke as the opener of a stream of ours"));
        }
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let is_news = stream.is_known() && !stream.send.is_done() && stream.set_unread();
        if is_news {
            cx.emit(Event::Unread(handle), Payload::Empty);
        }
        self.budgets.judge(is_news, cx.now)
    }

    fn recv_max_stream_data<S: Sink>(
        &mut self,
        id: u64,
        limit: u64,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        check_sends(id)?;
        let Some(handle) = self.stream_of(id, cx)? else {
            // The frame crossed the end of the stream.
            return self.budgets.useless.spend(cx.now);
        };
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let is_more = stream.send.raise(limit);
        if is_more {
            self.schedule(handle);
        }
        self.budgets.judge(is_more, cx.now)
    }
}
