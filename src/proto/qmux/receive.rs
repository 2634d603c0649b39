//! What the peer's frames mean.
//!
//! May not encode a frame.

use super::super::context::Context;
use super::super::error::{ProtocolError, Violation};
use super::super::event::{Event, Handle, Payload, Sink};
use super::abort::{behind_end, sends};
use super::bodies::{MAX_PARAMETERS, MAX_WHOLE, Target};
use super::decoder::Step;
use super::frame::Frame;
use super::stream::{RecvHalf, RecvState, SendHalf, SendState, Stream};
use super::window::RecvWindow;
use super::wire::Qmux;

fn violation(what: &'static str) -> ProtocolError {
    ProtocolError::Qmux(Violation::Protocol, what)
}

pub(super) fn state(what: &'static str) -> ProtocolError {
    ProtocolError::Qmux(Violation::StreamState, what)
}

pub(super) fn flow(what: &'static str) -> ProtocolError {
    ProtocolError::Qmux(Violation::FlowControl, what)
}

impl Qmux {
    /// Decodes `input` from `at` on.
    pub fn receive<S: Sink>(
        &mut self,
        input: &[u8],
        mut at: usize,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        if self.credit.is_flooded() {
            return Err(ProtocolError::Flood(
                "bytes that nobody reads, in tiny messages",
            ));
        }
        if at < input.len() {
            self.ping.arrived(cx.now);
        }
        let before = self.decoder.records;
        let max_record = cx.config.qmux.max_record_size;
        loop {
            self.receive_messages(input, &mut at, cx);
            let ours = self.peer.is_ours();
            match self.decoder.next(input, &mut at, max_record, ours)? {
                Some(Step::Header(frame)) => self.recv_frame(frame, input, &mut at, cx)?,
                Some(Step::Body(range, is_last)) => self.recv_body(input, range, is_last, cx)?,
                None => break,
            }
        }
        if self.decoder.records != before {
            self.ping.heard(cx.now);
        }
        self.flush(cx);
        Ok(())
    }

    /// Takes the messages that stand whole at the front: what a busy connection receives, and the same as the way
    /// through `recv_frame` and `recv_body` for them.
    fn receive_messages<S: Sink>(&mut self, input: &[u8], at: &mut usize, cx: &mut Context<'_, S>) {
        if !self.peer.is_ours() || !self.has_begun {
            return;
        }
        let mut next = self.decoder.whole(input, *at);
        while let Some((id, mut payload)) = next {
            let Some(handle) = self.streams.find(id) else {
                return;
            };
            let Some(stream) = self.streams.get(handle) else {
                return;
            };
            let recv = &mut stream.recv;
            if recv.state() != RecvState::Data {
                return;
            }
            // Those of one stream in a row are counted in one.
            let allowed = recv.credit.available().min(self.credit.available());
            let mut taken = 0;
            next = loop {
                let length = payload.len() as u64;
                // Anything out of the ordinary takes the long way.
                if length == 0 || length > MAX_WHOLE || length > allowed - taken {
                    break None;
                }
                taken += length;
                self.decoder.take_whole(payload.end - *at);
                *at = payload.end;
                cx.emit(Event::Data(handle), Payload::Input(payload));
                match self.decoder.whole(input, *at) {
                    Some((same, following)) if same == id => payload = following,
                    other => break other,
                }
            };
            // It was allowed.
            let _ = recv.credit.receive(taken);
            let _ = self.credit.receive(taken);
            if recv.credit.may_ask() {
                self.credit.ask(handle, stream, cx);
            }
            self.credit.ask_for_all(cx);
        }
    }

    fn recv_frame<S: Sink>(
        &mut self,
        frame: Frame,
        input: &[u8],
        at: &mut usize,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        if !self.has_begun {
            let Frame::Parameters { length } = frame else {
                return Err(violation("does not start with its parameters"));
            };
            self.has_begun = true;
            if length > MAX_PARAMETERS {
                return Err(ProtocolError::Qmux(
                    Violation::TransportParameter,
                    "declared parameters of over 4096 bytes",
                ));
            }
            self.decoder.start_body(Some(length))?;
            self.bodies.start(Target::Parameters);
            return Ok(());
        }
        let was_padding = std::mem::replace(&mut self.was_padding, frame == Frame::Padding);
        match frame {
            Frame::Parameters { .. } => Err(violation("declared its parameters twice")),
            Frame::Padding => {
                self.decoder.skip_padding(input, at);
                // A run of it counts once, however it is cut.
                let is_first = !was_padding;
                self.budgets.judge(!is_first, cx.now)
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
            } => {
                self.decoder.start_body(Some(reason))?;
                self.bodies.start(Target::Reason { application, code });
                Ok(())
            }
            Frame::PingRequest(number) => {
                self.budgets.pings.spend(cx.now)?;
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

    /// The stream that a frame speaks of; it begins with it, if it is one of the peer's that may. `None`: it is over.
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
        // Those before it begin with it. They are few: the limit allows no more.
        while self.counts.is_beginning(ordinal) {
            handle = Some(self.begin(cx));
        }
        Ok(handle)
    }

    /// The peer's next stream begins.
    fn begin<S: Sink>(&mut self, cx: &mut Context<'_, S>) -> Handle {
        let qmux = &cx.config.qmux;
        let is_ours = self.peer.is_ours();
        let id = self.counts.begin_theirs();
        let first = match is_ours {
            true => RecvState::Meta,
            false => RecvState::Data,
        };
        let window = RecvWindow::new(qmux.stream_window, qmux.max_stream_window);
        let credit = self.peer.credit_on_theirs();
        let send = SendHalf::new(SendState::Open, credit, 0);
        let mut stream = Stream::new(id, send, RecvHalf::new(first, window));
        stream.is_known = !is_ours;
        // A stream that is not served gets no answer, and what comes of it is dropped.
        if !self.counts.serves(id) {
            stream.recv.discard();
            stream.send.finish();
            stream.is_known = false;
        }
        let is_known = stream.is_known;
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
        let length = self.decoder.start_body(length)?;
        let over = |ended| behind_end(ended, offset, length, fin);
        let handle = self.stream_of(id, cx)?;
        let handle = handle.ok_or_else(|| over(self.streams.final_size(id)))?;
        let missing = || state("sent on a stream that has ended");
        let stream = self.streams.get(handle).ok_or_else(missing)?;
        let recv = &mut stream.recv;
        if recv.is_done() {
            return Err(over(Some(recv.credit.received())));
        }
        if offset.is_some_and(|offset| offset != recv.credit.received()) {
            return Err(violation(
                "left a gap in a stream, or sent a part of it twice",
            ));
        }
        if recv.credit.receive(length).is_none() {
            return Err(flow("sent more on a stream than it had credit for"));
        }
        if self.credit.receive(length).is_none() {
            return Err(flow("sent more than it had credit for"));
        }
        if length == 0 && !fin {
            self.budgets.empties.spend(cx.now)?;
        }
        let is_whole = recv.state() == RecvState::Data && length <= MAX_WHOLE;
        self.bodies.start(Target::Stream {
            handle,
            fin,
            length,
            is_whole,
        });
        Ok(())
    }

    fn recv_end_value_frame<S: Sink>(
        &mut self,
        id: u64,
        cx: &Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let wrong = || state("announced an end value on a stream that cannot have one");
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
            // It crossed the end of the stream.
            return self.budgets.useless.spend(cx.now);
        };
        if handle.is_local() {
            return Err(state("spoke as the opener of a stream of ours"));
        }
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let is_news = stream.is_known
            && !stream.send.is_done()
            && !std::mem::replace(&mut stream.is_unread, true);
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
        sends(id)?;
        let Some(handle) = self.stream_of(id, cx)? else {
            // It crossed the end of the stream.
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

    fn recv_go_away<S: Sink>(
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
        // Those that wait for a place get the next numbers.
        let left = self.counts.left_to_serve();
        let mut unserved = self.send.cut_opens(left);
        for handle in self.streams.local_handles() {
            let stream = self.streams.get(handle);
            let is_above =
                |stream: &&mut Stream| stream.send.has_begun() && !self.counts.is_served(stream.id);
            if let Some(stream) = stream.filter(is_above) {
                if stream.is_known {
                    return Err(violation("went away from a stream that it has accepted"));
                }
                unserved.push(handle);
            }
        }
        for handle in unserved {
            self.fail_unserved(handle, cx);
        }
        Ok(())
    }
}
