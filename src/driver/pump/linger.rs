//! What becomes of the socket of a connection that is over: the rest is sent, and what comes is discarded until the peer has
//! finished, too (link/farewell.rs says why).
//!
//! May not touch a connection or its environment: both may be gone.

use super::send::send_some;
use crate::driver::clock;
use crate::driver::io::{Io, is_transient};
use crate::driver::link::farewell::Linger;
use crate::driver::link::life::{Halves, Reading, Writing};
use crate::driver::socket::Registered;
use crate::proto::Transmit;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::Interest;

/// How long a peer has to answer our end with its own: a few round trips of the longest path, or one retransmission.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Most bytes discarded meanwhile. What was under way when the peer learnt of the end is less: both kernels' buffers
/// hold 6 MiB and 4 MiB at most by default (tcp_rmem, tcp_wmem). One that goes on sending is cut off.
const MAX_DISCARDED: usize = 16 << 20;

/// Bytes discarded at once: they go into a buffer on the stack.
const DISCARDED: usize = 16 << 10;

/// Bytes discarded in a row before other connections have their turn.
const DISCARDED_IN_A_ROW: usize = 256 << 10;

/// How a socket is waited for.
pub trait Ready: Io {
    /// Waits until the socket is ready. An error that was waited for is returned.
    async fn ready(&mut self, interest: Interest) -> io::Result<()>;
}

impl Ready for Registered {
    async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        Registered::ready(self, Some(interest)).await
    }
}

/// Does what is left to be done with a socket. However it goes, the socket closes then.
pub async fn run(mut io: impl Ready, mut linger: Linger) {
    if matches!(linger, Linger::Undecided(..)) {
        let decided = tokio::time::timeout(PATIENCE, decide(&mut io, &mut linger)).await;
        // The peer never said what it speaks, or speaks nothing that has a close.
        if !matches!(decided, Ok(Ok(()))) {
            return;
        }
    }
    if let Linger::Decided(rest, halves) = linger {
        let _ = tokio::time::timeout(PATIENCE, finish(&mut io, Finishing::new(rest, halves))).await;
    }
}

/// Reads until it is known what the peer speaks; an error, if that is nothing that has a close.
async fn decide(io: &mut impl Ready, linger: &mut Linger) -> io::Result<()> {
    while !hear(io, linger)? {
        tokio::task::yield_now().await;
        io.ready(Interest::READABLE).await?;
    }
    Ok(())
}

/// Reads once. Returns whether it is known now what the peer speaks; an error, as above.
pub fn hear(io: &impl Io, linger: &mut Linger) -> io::Result<bool> {
    let at = linger.room_ahead();
    let mut buffer = vec![0; at + DISCARDED];
    match io.recv(&mut buffer[at..]) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => linger
            .received(&mut buffer, at..at + read, clock::now())
            .map_err(|()| io::ErrorKind::InvalidData.into()),
        Err(error) if is_transient(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Finishes sending, and discards what comes until the peer has finished, too.
async fn finish(io: &mut impl Ready, mut finishing: Finishing) -> io::Result<()> {
    while let Some(interest) = finishing.turn(io)? {
        // Also when there is more at once the others have their turn.
        tokio::task::yield_now().await;
        io.ready(interest).await?;
    }
    Ok(())
}

/// The work left on the socket of a connection that is over: bytes to send, and the number that may be discarded.
pub struct Finishing {
    rest: VecDeque<Transmit>,
    halves: Halves,
    left: usize,
}

impl Finishing {
    pub fn new(rest: VecDeque<Transmit>, halves: Halves) -> Self {
        Self {
            rest,
            halves,
            left: MAX_DISCARDED,
        }
    }

    /// Sends and discards what it can at once. Returns what to wait for, or `None` when all is done.
    pub fn turn(&mut self, io: &impl Io) -> io::Result<Option<Interest>> {
        let halves = &mut self.halves;
        if halves.write != Writing::Ended {
            match send(io, &mut self.rest) {
                Ok(()) => {
                    halves.write = Writing::Ended;
                    io.shutdown_write()?;
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if halves.read != Reading::Ended {
            match discard(io) {
                Ok(0) => halves.read = Reading::Ended,
                Ok(read) => self.left = self.left.saturating_sub(read),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match (halves.read, halves.write) {
            _ if self.left == 0 => None,
            (Reading::Ended, Writing::Ended) => None,
            (Reading::Open, Writing::Ended) => Some(Interest::READABLE),
            (Reading::Ended, _) => Some(Interest::WRITABLE),
            (Reading::Open, _) => Some(Interest::READABLE | Interest::WRITABLE),
        })
    }
}

/// Sends all of it, or as much as the kernel takes.
fn send(io: &impl Io, rest: &mut VecDeque<Transmit>) -> io::Result<()> {
    while let Some(first) = rest.front_mut() {
        let sent = send_some(io, first)?;
        first.advance(sent);
        if first.is_empty() {
            rest.pop_front();
        }
    }
    Ok(())
}

/// Reads what is there, to drop it. Returns how much it was: nothing at the peer's end.
fn discard(io: &impl Io) -> io::Result<usize> {
    let mut buffer = [0; DISCARDED];
    let mut sum = 0;
    while sum < DISCARDED_IN_A_ROW {
        match io.recv(&mut buffer) {
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
    use super::*;
    use crate::driver::socket::Socket;
    use crate::driver::testing::pair;
    use crate::proto::outbox::Outbox;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::sync::Arc;
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

    const OPEN: Halves = Halves {
        read: Reading::Open,
        write: Writing::Open,
    };

    const WRITTEN: Halves = Halves {
        write: Writing::Ended,
        ..OPEN
    };

    const READ: Halves = Halves {
        read: Reading::Ended,
        ..OPEN
    };

    async fn run(socket: &Arc<Socket>, rest: VecDeque<Transmit>, halves: Halves) -> bool {
        let mut io = Registered::new(socket.clone());
        let finishing = finish(&mut io, Finishing::new(rest, halves));
        tokio::time::timeout(PATIENCE, finishing).await.is_ok()
    }

    #[tokio::test]
    async fn a_peer_that_never_closes_is_left_after_a_while() {
        let (socket, peer) = pair();
        let started = Instant::now();
        assert!(!run(&socket, VecDeque::new(), WRITTEN).await);
        assert!((PATIENCE..2 * PATIENCE).contains(&started.elapsed()));
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
        assert!(run(&socket, VecDeque::new(), WRITTEN).await);
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
        run(&socket, VecDeque::new(), WRITTEN).await;
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
        assert!(run(&socket, transmits(&lengths), OPEN).await);
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
        assert!(run(&socket, transmits(&[5]), READ).await);
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
        assert!(run(&socket, VecDeque::new(), WRITTEN).await);
    }
}
