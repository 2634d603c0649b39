//! The credit of the peer: how much it may send on the connection, and which streams' credit is to go back.
//!
//! ```text
//!   bytes come ──▶ ask ──Event::Credit──▶ the application sees them ──▶ answer ──▶ consumed ──half a window──▶ next_frame
//!                                         and holds some ──▶ hold ──▶ release ──────▲
//! ```
//!
//! Bounded: a stream is at most once among those whose credit is due.
//!
//! May not decide what is received, nor send a frame.

use super::super::config::QmuxConfig;
use super::super::context::Context;
use super::super::event::{Event, Handle, Payload, Sink};
use super::frame;
use super::ping::Ping;
use super::recv_credit::RecvCredit;
use super::stream::Stream;
use super::streams::Streams;
use super::window::RecvWindow;
use std::collections::VecDeque;
use std::time::Instant;

/// The most that may be held in addition, because it was under way on the legacy wire, which has no credit.
const CARRIED: u64 = 16 << 20;

/// The credit of all the peer's streams together, and the queue of credit that goes back.
#[derive(Debug)]
pub struct Credit {
    connection: RecvCredit,
    /// The connection's window as the peer was first told. The peer never splits a message that fits into half of it,
    /// and waits for credit for the whole message.
    least_window: u64,
    /// The largest window that the connection ever had: so much may be held of what the peer was allowed.
    largest_window: u64,
    /// The window of a new stream of the peer's, at first and at most.
    stream_window: u64,
    max_stream_window: u64,
    /// The bytes that may be held before they count against the connection's credit.
    max_held: u64,
    /// Far more than `max_held` is held.
    is_flooded: bool,
    /// The streams whose credit goes back, and whether the connection's does.
    due: VecDeque<Handle>,
    connection_is_due: bool,
}

impl Credit {
    pub fn new(config: &QmuxConfig) -> Self {
        let window = RecvWindow::new(config.connection_window, config.max_connection_window);
        Self {
            connection: RecvCredit::new(window),
            least_window: config.connection_window,
            largest_window: config.connection_window,
            stream_window: config.stream_window,
            max_stream_window: config.max_stream_window,
            max_held: config.max_held,
            is_flooded: false,
            due: VecDeque::new(),
            connection_is_due: false,
        }
    }

    /// The window of a new stream.
    pub fn window_of_stream(&self) -> RecvWindow {
        RecvWindow::new(self.stream_window, self.max_stream_window)
    }

    /// Whether the application holds so much that the peer must have sent it in tiny messages.
    pub fn is_flooded(&self) -> bool {
        self.is_flooded
    }

    /// The number of bytes that the peer may still send, on all streams.
    #[inline]
    pub fn available(&self) -> u64 {
        self.connection.available()
    }

    /// Counts `amount` bytes that the peer sent. `None`: the peer had no credit for them.
    #[inline]
    pub fn receive(&mut self, amount: u64) -> Option<()> {
        self.connection.receive(amount)
    }

    /// The peer says that it waits at this limit. Returns whether that is news.
    pub fn hear_blocked(&mut self, limit: u64) -> bool {
        self.connection.hear_blocked(limit)
    }

    /// Asks the application to answer when it has seen what it was given of a stream, if credit would then go back.
    pub fn ask<S: Sink>(&self, handle: Handle, stream: &mut Stream, cx: &mut Context<'_, S>) {
        if stream.is_known() && stream.recv.ask() {
            cx.emit(Event::Credit(Some(handle)), Payload::Empty);
        }
    }

    /// Asks the application to answer when it has seen everything, if the connection's credit would then go back.
    #[inline]
    pub fn ask_for_all<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        if self.connection.ask() {
            cx.emit(Event::Credit(None), Payload::Empty);
        }
    }

    /// The application has seen everything before the question. Returns whether it was asked.
    pub fn answer_for_all(&mut self) -> bool {
        let was_asked = self.connection.answer();
        if was_asked {
            self.consume_connection();
        }
        was_asked
    }

    /// The application has seen what came of a stream before the question. Returns whether it was asked.
    pub fn answer(&mut self, handle: Handle, stream: &mut Stream) -> bool {
        let was_asked = stream.recv.credit.answer();
        if was_asked {
            self.consume(handle, stream);
        }
        was_asked
    }

    /// Consumes bytes at the front of a stream that the application never sees.
    pub fn skip(&mut self, handle: Handle, stream: &mut Stream, bytes: usize) {
        stream.recv.credit.skip(bytes as u64);
        self.consume(handle, stream);
    }

    /// The application holds `bytes` of what was delivered. The stream may be over.
    pub fn hold(&mut self, stream: Option<&mut Stream>, bytes: u32) {
        self.connection.hold(bytes.into());
        // Held messages count for more than their bytes, so that tiny and empty ones count too. Twice what can be held
        // of longer ones is too much.
        let window = self.largest_window.max(self.connection.window());
        let most = self.max_held.saturating_add(window);
        let most = most.saturating_mul(2).saturating_add(CARRIED);
        self.is_flooded |= self.connection.held() > most;
        if let Some(stream) = stream {
            stream.recv.credit.hold(bytes.into());
        }
    }

    /// The application has consumed `bytes` of what it held. The stream may be over.
    pub fn release(&mut self, handle: Handle, stream: Option<&mut Stream>, bytes: u32) {
        self.connection.release(bytes.into());
        self.consume_connection();
        if let Some(stream) = stream {
            stream.recv.credit.release(bytes.into());
            self.consume(handle, stream);
        }
    }

    /// Queues the stream's credit to go back, if it is worth a frame.
    fn consume(&mut self, handle: Handle, stream: &mut Stream) {
        if stream.recv.consume() {
            self.due.push_back(handle);
        }
    }

    /// Queues the connection's credit to go back, if it is worth a frame: of all that was seen, except for what is held
    /// beyond `max_held`.
    fn consume_connection(&mut self) {
        self.connection.consume(self.max_held);
        self.connection_is_due |= self.connection.is_due();
    }

    /// Sets how far ahead of what is consumed the peer may send on all streams, but not lower than at first.
    pub fn resize(&mut self, window: u64) {
        self.largest_window = self.largest_window.max(self.connection.window());
        self.connection.resize(window.max(self.least_window));
        self.consume_connection();
    }

    /// Whether the peer is to be told of credit.
    pub fn is_due(&self) -> bool {
        self.connection_is_due || !self.due.is_empty()
    }

    /// The next frame that tells the peer of credit. The windows grow by the round trip time, so a ping is asked for,
    /// but not while slow readers hold much as it is.
    pub fn next_frame(
        &mut self,
        streams: &mut Streams,
        ping: &mut Ping,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let has_room = self.connection.held() <= self.max_held / 2;
        let rtt = ping.rtt().filter(|_| has_room);
        if std::mem::take(&mut self.connection_is_due) {
            ping.sample(now);
            let limit = self.connection.tell(now, rtt);
            return Some(frame::numbers(frame::MAX_DATA, [limit]));
        }
        while let Some(handle) = self.due.pop_front() {
            if let Some(stream) = streams.get(handle)
                && let Some(limit) = stream.recv.take_due(now, rtt)
            {
                ping.sample(now);
                return Some(frame::numbers(frame::MAX_STREAM_DATA, [stream.id(), limit]));
            }
        }
        None
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.due.shrink_to_fit();
    }
}
