//! How a connection ends: what the peer is told, what the application is, and what becomes of the socket.
//!
//! ```text
//!   send what is left ──▶ tell the application ──▶ close
//!   while sending QMux:
//!   send what is left, CONNECTION_CLOSE ──▶ tell the application ──▶ FIN ──▶ discard until the peer's FIN ──▶ close
//! ```
//!
//! A socket that closes with bytes unread, or before they arrive, resets the connection, and what the peer has not read
//! by then is lost to it: also the frame that says why.
//!
//! May not touch the connection, its events or its environment once the application has been told: its number may
//! be another's by then.

use super::backlog::Backlog;
use super::boundary::kind;
use super::connection::{Connection, SLICES, Stop};
use super::errno::errno;
use super::events::Collector;
use super::inner::Failure;
use super::quiet::is_transient;
use super::thread::with_collector;
use super::transport::Transport;
use crate::proto::{Event, Payload, ProtocolError, Session, Sink, Transmit};
use crate::sys::readiness::Readiness;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::Interest;

/// How long a peer has to answer our end with its own: a few round trips of the longest path, or one retransmission.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes discarded meanwhile. What was under way when the peer learnt of the end is less: both kernels' buffers
/// hold 6 MiB and 4 MiB at most by default (tcp_rmem, tcp_wmem). One that goes on sending is cut off.
const MAX_DISCARDED: usize = 16 << 20;

/// Bytes discarded at once: they go into a buffer on the stack.
const DISCARDED: usize = 16 << 10;

/// Bytes discarded in a row before other connections have their turn.
const DISCARDED_IN_A_ROW: usize = 256 << 10;

/// Longest message to the peer, in bytes: it is for a person to read.
const MAX_REASON: usize = 200;

/// Ends a connection. `ended` says whether reading and writing have.
pub async fn end(
    connection: Arc<Connection>,
    socket: Arc<Transport>,
    readiness: Option<Readiness<Transport>>,
    (read_ended, mut write_ended): (bool, bool),
    failure: Option<Failure>,
) {
    let last_words = || {
        with_collector(&connection, |collector| {
            let told = say_farewell(&connection, write_ended, failure, collector);
            // What was asked to be told when the last bytes are sent.
            connection.events.push(&connection.flow, collector, None);
            told
        })
    };
    // Whatever happens, the application is told.
    let (failure, farewell) =
        catch_unwind(AssertUnwindSafe(last_words)).unwrap_or((Some(Failure::Defect), None));
    if matches!(failure, Some(Failure::Stopped(Stop::Reset))) {
        // A socket that cannot be reset any more is closed all the same.
        let _ = socket.reset_on_close();
    }
    connection.end();
    // Told before the socket closes: whoever sees that at the other end finds that we know it too.
    close(&connection, failure);
    drop(connection);
    let (readiness, rest) = match farewell {
        None => return,
        Some(Farewell::Rest(rest)) => (readiness, rest),
        Some(Farewell::WhenKnown(mut session, rest)) => {
            let waiting = wait_for_peer(&socket, readiness, &mut session);
            match tokio::time::timeout(LINGER, waiting).await {
                Ok(Ok(readiness)) => (Some(readiness), rest_of(&mut session, rest, &mut Nobody)),
                // The peer never said what it speaks, or speaks nothing that has a close.
                _ => return,
            }
        }
    };
    if rest.is_empty() && !write_ended {
        write_ended = true;
        // It fails if the peer has closed already, which reading finds.
        let _ = socket.shutdown_write();
    }
    // However it goes, the socket closes then.
    let ended = (read_ended, write_ended);
    let _ = tokio::time::timeout(LINGER, linger(&socket, readiness, rest, ended)).await;
}

/// What a connection still has to send when its application is gone.
enum Farewell {
    Rest(VecDeque<Transmit>),
    /// Bytes, and behind them a code, once it is known whether the peer can be told one.
    WhenKnown(Box<Session>, VecDeque<Transmit>),
}

/// A sink for events of which nobody is told any more.
struct Nobody;

impl Sink for Nobody {
    fn emit(&mut self, _: Event, _: Payload<'_>) {}
}

/// Everything that a session has to send, behind `rest`.
fn rest_of<S: Sink>(
    session: &mut Session,
    mut rest: VecDeque<Transmit>,
    sink: &mut S,
) -> VecDeque<Transmit> {
    rest.extend(std::iter::from_fn(|| session.take_rest(sink)));
    rest
}

/// Reads until it is known what the peer speaks; an error, if that is not QMux.
async fn wait_for_peer(
    socket: &Arc<Transport>,
    readiness: Option<Readiness<Transport>>,
    session: &mut Session,
) -> io::Result<Readiness<Transport>> {
    let readiness = readiness.map_or_else(|| Readiness::new(socket), Ok)?;
    let mut buffer = vec![0; DISCARDED];
    loop {
        match readiness.try_io(Interest::READABLE, || socket.recv(&mut buffer)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                let taken = session.receive(&buffer[..read], Instant::now(), &mut Nobody);
                taken.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                match (session.owes_close(), session.wires().sending) {
                    (true, _) => {}
                    (false, true) => return Ok(readiness),
                    (false, false) => return Err(io::ErrorKind::Unsupported.into()),
                }
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        tokio::task::yield_now().await;
        readiness.ready(Interest::READABLE).await?;
    }
}

/// Sends what there is to say at the end, as far as the kernel takes it at once. Gives what it did not take, if the
/// socket is to stay for a while, and the failure that counts.
fn say_farewell(
    connection: &Connection,
    write_ended: bool,
    failure: Option<Failure>,
    collector: &mut Collector,
) -> (Option<Failure>, Option<Farewell>) {
    let mut inner = connection.lock();
    inner.joining.give_up(collector);
    // An error found behind a close is nobody's concern.
    let failure = match inner.failure.take() {
        Some(Failure::Closed) => Some(Failure::Closed),
        Some(Failure::Defect) => Some(Failure::Defect),
        _ => failure,
    };
    let close = match &failure {
        Some(_) if write_ended => None,
        Some(Failure::Stopped(Stop::Close)) => {
            // What was written goes out as far as the kernel has room, as if each write had gone there at once.
            connection.send_rest(&mut inner, collector);
            Some((0, true, String::new()))
        }
        // It has closed itself, or is most likely gone.
        Some(Failure::Protocol(error))
            if error.is_timeout() || matches!(error, ProtocolError::ClosedByPeer { .. }) =>
        {
            return (failure, None);
        }
        Some(Failure::Protocol(error)) => Some((error.wire_code(), false, error.to_string())),
        Some(Failure::Closed) => None,
        Some(Failure::Stopped(_) | Failure::System(..) | Failure::Defect) | None => {
            return (failure, None);
        }
    };
    // From here on commands are dropped.
    inner.ended = true;
    inner.backlog = Backlog::default();
    let is_qmux = inner.session.wires().sending;
    if is_qmux && let Some((code, application, reason)) = close {
        inner
            .session
            .close(code, application, cut(&reason, MAX_REASON));
    }
    if is_qmux || matches!(failure, Some(Failure::Closed)) {
        connection.send_rest(&mut inner, collector);
    }
    let mut rest = VecDeque::new();
    if !write_ended && inner.failure.is_none() && inner.session.owes_close() {
        let session = Box::new(inner.session.leave());
        rest.push_back(std::mem::take(&mut inner.in_flight));
        rest.retain(|transmit| !transmit.is_empty());
        return (failure, Some(Farewell::WhenKnown(session, rest)));
    }
    if !is_qmux || inner.failure.is_some() {
        return (failure, None);
    } else if !write_ended && !inner.in_flight.is_empty() {
        rest.push_back(std::mem::take(&mut inner.in_flight));
        rest = rest_of(&mut inner.session, rest, collector);
    }
    (failure, Some(Farewell::Rest(rest)))
}

/// A text's beginning, of at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Queues the last events of a connection.
pub fn close(connection: &Arc<Connection>, failure: Option<Failure>) {
    with_collector(connection, |collector| {
        let error = match failure {
            Some(Failure::Protocol(ProtocolError::ClosedByPeer {
                code: 0, reason, ..
            })) => {
                let told = json!({ "closeCode": 0, "closeReason": reason });
                collector.text(kind::CONN_END, 0, &told.to_string(), 0);
                None
            }
            Some(Failure::Protocol(error)) => Some(describe(&error)),
            Some(Failure::System(error, syscall)) => {
                Some(json!({ "origin": "system", "errno": errno(&error), "syscall": syscall }))
            }
            Some(Failure::Defect) => Some(json!({ "origin": "internal" })),
            Some(Failure::Stopped(_) | Failure::Closed) | None => None,
        };
        if let Some(error) = &error {
            collector.text(kind::CONN_ERROR, 0, &error.to_string(), 0);
        }
        close_event(connection, collector, error.is_some());
        connection.events.push(&connection.flow, collector, None);
    });
}

/// What the application is told of an error of the peer's.
fn describe(error: &ProtocolError) -> Value {
    let mut text = json!({ "origin": "peer", "code": error.code(), "message": error.to_string() });
    if let ProtocolError::ClosedByPeer {
        code,
        application,
        reason,
    } = error
    {
        text["closeCode"] = json!(code);
        text["closeReason"] = json!(reason);
        text["application"] = json!(application);
    }
    text
}

/// Adds the last event of a connection.
pub fn close_event(connection: &Connection, collector: &mut Collector, had_error: bool) {
    let totals = json!({
        "bytesRead": connection.bytes_read.load(Ordering::Relaxed),
        "bytesWritten": connection.bytes_written.load(Ordering::Relaxed),
    });
    collector.text(kind::CONN_CLOSE, 0, &totals.to_string(), had_error.into());
}

/// Finishes sending, and discards what comes until the peer has finished, too.
async fn linger(
    socket: &Arc<Transport>,
    readiness: Option<Readiness<Transport>>,
    mut rest: VecDeque<Transmit>,
    (mut read_ended, mut write_ended): (bool, bool),
) -> io::Result<()> {
    if read_ended && write_ended {
        return Ok(());
    }
    let readiness = readiness.map_or_else(|| Readiness::new(socket), Ok)?;
    let mut left = MAX_DISCARDED;
    loop {
        if !write_ended {
            match readiness.try_io(Interest::WRITABLE, || send(socket, &mut rest)) {
                Ok(()) => {
                    write_ended = true;
                    socket.shutdown_write()?;
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if !read_ended {
            match readiness.try_io(Interest::READABLE, || discard(socket)) {
                Ok(0) => read_ended = true,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let interest = match (read_ended, write_ended) {
            _ if left == 0 => return Ok(()),
            (true, true) => return Ok(()),
            (false, true) => Interest::READABLE,
            (true, false) => Interest::WRITABLE,
            (false, false) => Interest::READABLE | Interest::WRITABLE,
        };
        // Also when there is more at once the others have their turn.
        tokio::task::yield_now().await;
        readiness.ready(interest).await?;
    }
}

/// Sends all of it, or as much as the kernel takes.
fn send(socket: &Transport, rest: &mut VecDeque<Transmit>) -> io::Result<()> {
    while let Some(first) = rest.front_mut() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = first.fill(&mut slices);
        let sent = socket.send(&slices[..filled])?;
        first.advance(sent);
        if first.is_empty() {
            rest.pop_front();
        }
    }
    Ok(())
}

/// Reads what is there, to drop it. Gives how much it was: nothing at the peer's end.
fn discard(socket: &Transport) -> io::Result<usize> {
    let mut buffer = [0; DISCARDED];
    let mut sum = 0;
    while sum < DISCARDED_IN_A_ROW {
        match socket.recv(&mut buffer) {
            Ok(0) => break,
            Ok(read) => sum += read,
            Err(error) if sum == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::super::testing::pair;
    use super::*;
    use crate::proto::outbox::Outbox;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::time::Instant;

    fn transmits(lengths: &[usize]) -> VecDeque<Transmit> {
        let mut outbox = Outbox::default();
        let mut all = VecDeque::new();
        for &length in lengths {
            outbox.push_frame(b"", &vec![length as u8; length], None);
            all.extend(std::iter::from_fn(|| outbox.take(false)));
        }
        all
    }

    async fn run(socket: &Arc<Transport>, rest: VecDeque<Transmit>, ended: (bool, bool)) -> bool {
        let lingering = linger(socket, None, rest, ended);
        tokio::time::timeout(LINGER, lingering).await.is_ok()
    }

    #[tokio::test]
    async fn a_peer_that_never_closes_is_left_after_a_while() {
        let (socket, peer) = pair();
        let started = Instant::now();
        assert!(!run(&socket, VecDeque::new(), (false, true)).await);
        assert!((LINGER..2 * LINGER).contains(&started.elapsed()));
        drop(peer);
    }

    #[tokio::test]
    async fn what_the_peer_still_sends_is_discarded_until_it_closes() {
        let (socket, mut peer) = pair();
        socket.shutdown_write().expect("open");
        let writer = std::thread::spawn(move || {
            for _ in 0..200 {
                peer.write_all(&[1; 10_000]).expect("is read");
            }
            peer.shutdown(Shutdown::Write).expect("open");
            // An orderly end, and no reset.
            assert_eq!(peer.read(&mut [0]).expect("no error"), 0);
        });
        assert!(run(&socket, VecDeque::new(), (false, true)).await);
        drop(socket);
        writer.join().expect("the writer ends");
    }

    #[tokio::test]
    async fn a_peer_that_goes_on_sending_is_cut_off() {
        let (socket, mut peer) = pair();
        let writer = std::thread::spawn(move || {
            let mut written = 0;
            while let Ok(some) = peer.write(&[1; 100_000]) {
                written += some;
            }
            written
        });
        // In less time than a peer has that is silent, unless the machine is slow.
        run(&socket, VecDeque::new(), (false, true)).await;
        drop(socket);
        let written = writer.join().expect("the writer ends");
        assert!(written < 2 * MAX_DISCARDED, "{written}");
    }

    #[tokio::test]
    async fn the_rest_is_sent_behind_which_both_finish() {
        let (socket, mut peer) = pair();
        let lengths = [3 << 20, 100, 4 << 20, 7];
        let reader = std::thread::spawn(move || {
            // Room there is only when it reads.
            std::thread::sleep(Duration::from_millis(50));
            let mut got = Vec::new();
            peer.read_to_end(&mut got).expect("an orderly end");
            got
        });
        assert!(run(&socket, transmits(&lengths), (false, false)).await);
        let got = reader.join().expect("the reader ends");
        let expected: Vec<u8> = lengths
            .iter()
            .flat_map(|&length| vec![length as u8; length])
            .collect();
        assert!(got == expected, "{} of {}", got.len(), expected.len());
    }

    #[tokio::test]
    async fn a_peer_that_has_finished_is_only_sent_the_rest() {
        let (socket, mut peer) = pair();
        assert!(run(&socket, transmits(&[5]), (true, false)).await);
        let mut got = Vec::new();
        peer.read_to_end(&mut got).expect("an orderly end");
        assert_eq!(got, [5; 5]);
    }

    #[tokio::test]
    async fn a_reset_ends_it_at_once() {
        let (socket, peer) = pair();
        let peer = socket2::Socket::from(peer);
        peer.set_linger(Some(Duration::ZERO)).expect("open");
        drop(peer);
        assert!(run(&socket, VecDeque::new(), (false, true)).await);
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(cut("short", 200), "short");
        assert_eq!(cut("aäb", 2), "a");
        assert_eq!(cut("aäb", 3), "aä");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn what_the_peer_said_at_its_end_is_told() {
        let error = ProtocolError::ClosedByPeer {
            code: 1 << 40,
            application: true,
            reason: "enough".into(),
        };
        assert_eq!(
            describe(&error),
            json!({
                "origin": "peer",
                "code": "ERR_MUX_CLOSED_BY_PEER",
                "message": error.to_string(),
                "closeCode": 1_u64 << 40,
                "closeReason": "enough",
                "application": true,
            })
        );
        let error = describe(&ProtocolError::IdleTimeout);
        assert_eq!(error["code"], "ERR_MUX_IDLE_TIMEOUT");
        assert_eq!(error.get("closeCode"), None);
    }
}
