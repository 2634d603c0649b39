//! TLS on one connection: received records become plain, and what is to be sent becomes records.
//!
//! ```text
//!   Before ──begin──▶ Handshaking ──▶ Open ──close──▶ Open, and our end is told
//!     └─▶ Asking ─choose─▶┘└─────────────┴── an error ──▶ Over
//!
//!   a read:    room for a message's part │ gap │ a record's part, kept │ received
//!   becomes:   room for a message's part │ plain, from all whole records │ …
//! ```
//!
//! rustls decrypts each record in place and hands its plain bytes over in memory of its own. They are copied to the end of
//! what is plain already, so that a read gives one range of bytes, wherever the records began and ended. The gap in front
//! of the first record is as long as the longest record, so that the place for plain bytes is never in one that is still
//! encrypted.
//!
//! May not know what the plain bytes mean, nor ask for the time.

use super::channel::{Opened, TlsError};
use super::farewell::NO_TLS;
use crate::driver::tls::config::Start;
use crate::driver::tls::{codes, notes};
use crate::proto::Transmit;
use crate::proto::negotiate::{self, Start as Spoken};
use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncryptError};
use std::collections::VecDeque;
use std::ops::Range;

pub mod asking;
mod step;
mod told;

use asking::Asking;
use step::{Progress, Write, progress};

/// The longest plain text of a record.
const RECORD: usize = 16 << 10;

/// The room in front of received records, in which the plain text of the first one has its place.
pub const GAP: usize = RECORD;

/// The most bytes that a record is longer than its plain text: the header, a nonce, a tag, and the kind of a record of
/// TLS 1.3.
const OVERHEAD: usize = 5 + 8 + 16 + 1;

/// The most bytes in which both ends are told of new keys. rustls may write so much in front of any record, and does not
/// say so before.
const NEW_KEYS: usize = 4 * OVERHEAD;

/// The most bytes that may be kept, of messages of the handshake that are not whole: rustls takes one of 64 KiB, in
/// records.
const MAX_KEPT: usize = 96 << 10;

/// The number of buffers kept for reuse.
const SPARE: usize = 4;

/// A buffer shorter than this is not worth keeping.
const WORTH_KEEPING: usize = 16 << 10;

/// The alert of an end that does not understand the other at all: "protocol_version", fatal, in the clear.
const REFUSAL: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];

/// The alert of an end that cannot read what the other one sent: "decode_error", fatal, in the clear.
const MALFORMED: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// The state of a connection.
enum State {
    Before(Start),
    Asking(Box<Asking>),
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
    Over,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before(_) => "Before",
            Self::Asking(_) => "Asking",
            Self::Client(_) => "Client",
            Self::Server(_) => "Server",
            Self::Over => "Over",
        })
    }
}

/// A record in flight.
#[derive(Clone, Copy, Debug)]
struct Sealed {
    length: usize,
    /// The bytes of the session's in it.
    plain: usize,
}

/// TLS on one connection.
#[derive(Debug)]
pub struct Tls {
    state: State,
    /// Whether anything has come.
    has_heard: bool,
    /// Received bytes that make no whole record, or no whole message of the handshake.
    kept: Vec<u8>,
    /// Records of TLS's own, to be sent before any other.
    own: Vec<u8>,
    /// The records in flight, in order.
    sealed: VecDeque<Sealed>,
    /// Bytes of the first one that the kernel has taken.
    taken: usize,
    spare: Vec<Vec<u8>>,
    /// The peer is told that our direction has ended.
    has_closed: bool,
    has_peer_closed: bool,
    /// What is wrong with the peer's certificate.
    verification: Option<&'static str>,
    /// The name of the server that the client wants.
    servername: Option<String>,
    /// Lines for the key log that nobody has taken yet.
    lines: Vec<String>,
}

impl Tls {
    /// A connection that begins when it has a socket.
    pub fn new(start: Start) -> Self {
        Self {
            state: State::Before(start),
            has_heard: false,
            kept: Vec::new(),
            own: Vec::new(),
            sealed: VecDeque::new(),
            taken: 0,
            spare: Vec::new(),
            has_closed: false,
            has_peer_closed: false,
            verification: None,
            servername: None,
            lines: Vec::new(),
        }
    }

    /// Begins the handshake.
    pub fn begin(&mut self) -> Result<(), TlsError> {
        let State::Before(start) = std::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        self.state = match start {
            Start::Client(config, name) => UnbufferedClientConnection::new(config, name)
                .map(Box::new)
                .map(State::Client),
            Start::Server(config) => UnbufferedServerConnection::new(config)
                .map(Box::new)
                .map(State::Server),
            Start::Asking(config) => Ok(State::Asking(Box::new(Asking::new(config)))),
        }
        .map_err(|error| codes::of(&error, None))?;
        self.drive_own();
        Ok(())
    }

    fn common(&self) -> Option<&CommonState> {
        match &self.state {
            State::Client(client) => Some(client),
            State::Server(server) => Some(server),
            State::Before(_) | State::Asking(_) | State::Over => None,
        }
    }

    /// Whether the handshake is done, and nothing has failed.
    pub fn is_open(&self) -> bool {
        self.common().is_some_and(|common| !common.is_handshaking())
    }

    /// Whether the peer has ended its direction.
    pub fn has_peer_closed(&self) -> bool {
        self.has_peer_closed
    }

    /// Whether nothing of a record is kept.
    pub fn is_between_records(&self) -> bool {
        self.kept.is_empty()
    }

    // ---- receiving ----

    /// The room that a read needs in front of it.
    pub fn room_ahead(&self) -> usize {
        GAP + self.kept.len()
    }

    /// The bytes to read for so many plain ones, if the peer fills its records.
    pub fn length_of(&self, plain: usize) -> usize {
        let records = plain.div_ceil(RECORD) + 1;
        let all = plain.saturating_add(records.saturating_mul(OVERHEAD));
        all.saturating_sub(self.kept.len()).max(OVERHEAD)
    }

    /// Takes received bytes, in front of which is the room that was asked for.
    pub fn open(&mut self, bytes: &mut [u8], received: Range<usize>) -> Opened {
        let start = received.start - self.room_ahead();
        let mut from = received.start - self.kept.len();
        bytes[from..received.start].copy_from_slice(&self.kept);
        self.kept.clear();
        let mut plain = start..start;
        let end = received.end;
        if let Err(error) = self.recognise(&bytes[from..end]) {
            self.own.extend(REFUSAL);
            self.state = State::Over;
            let error = Some(error);
            return Opened { plain, error };
        }
        if let State::Asking(asking) = &mut self.state {
            let new = bytes.get(received.clone()).unwrap_or_default();
            let is_settled = asking.hear(new);
            self.kept.extend_from_slice(&bytes[from..end]);
            let result = match is_settled {
                true => self.go_on(),
                false if self.kept.len() > MAX_KEPT => Err(codes::too_long()),
                false => Ok(()),
            };
            let error = result.err();
            return Opened { plain, error };
        }
        let error = loop {
            let (ahead, records) = bytes[..end].split_at_mut(from);
            let (discard, progress) = self.step(records, &mut ahead[plain.end..]);
            from += discard;
            match progress {
                Progress::Read(length) => plain.end += length,
                Progress::Wrote => {}
                Progress::PeerClosed => {
                    self.has_peer_closed = true;
                    // Nothing behind it is of the connection.
                    from = end;
                }
                Progress::Waits => break None,
                Progress::Failed(error) => {
                    // The alert that says why. Nothing else may be asked of rustls any more.
                    while self.common().is_some_and(CommonState::wants_write) {
                        self.step(&mut [], &mut []);
                    }
                    // For some errors there is none.
                    let is_clear =
                        |common: &CommonState| common.negotiated_cipher_suite().is_none();
                    if self.own.is_empty() && self.common().is_some_and(is_clear) {
                        self.own.extend(MALFORMED);
                    }
                    self.state = State::Over;
                    break Some(codes::of(&error, self.verification));
                }
            }
        };
        if error.is_none() && !self.has_peer_closed {
            self.kept.extend_from_slice(&bytes[from..end]);
        }
        let is_too_long = self.kept.len() > MAX_KEPT;
        let error = error.or_else(|| is_too_long.then(codes::too_long));
        Opened { plain, error }
    }

    /// Whether the first bytes are of TLS.
    fn recognise(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        let Some(&first) = bytes.first().filter(|_| !self.has_heard) else {
            return Ok(());
        };
        self.has_heard = true;
        if first == NO_TLS[0] {
            let seen = bytes.len().min(3);
            if bytes[..seen] == NO_TLS[..seen] {
                // Less than that may be any alert.
                self.has_heard = seen == 3;
                return match self.has_heard {
                    true => Err(codes::not_tls(None)),
                    false => Ok(()),
                };
            }
        }
        // A handshake, or an alert.
        if first == 22 || first == 21 {
            return Ok(());
        }
        let name = match negotiate::recognise(bytes) {
            Spoken::Other(name) => Some(name),
            Spoken::Qmux => Some("QMux in the clear"),
            Spoken::Legacy | Spoken::Undecided => None,
        };
        Err(codes::not_tls(name))
    }

    /// Lets rustls take one step with `records`. Plain bytes go into `plain`. Returns how many bytes of the records are
    /// done with.
    fn step(&mut self, records: &mut [u8], plain: &mut [u8]) -> (usize, Progress) {
        let own = &mut self.own;
        let done = match &mut self.state {
            State::Client(client) => progress(client.process_tls_records(records), plain, own),
            State::Server(server) => progress(server.process_tls_records(records), plain, own),
            State::Before(_) | State::Asking(_) | State::Over => (records.len(), Progress::Waits),
        };
        let notes = notes::take();
        self.verification = notes.verification.or(self.verification);
        if notes.servername.is_some() {
            self.servername = notes.servername;
        }
        self.lines.extend(notes.lines);
        done
    }

    /// Encodes what TLS itself has to send. rustls must be given all that it was given and is not done with, even if nothing
    /// has come.
    fn drive_own(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        while let (_, Progress::Wrote) = self.step(&mut kept, &mut []) {}
        self.kept = kept;
    }

    // ---- sending ----

    /// Whether TLS itself has something to send.
    pub fn wants_write(&self) -> bool {
        !self.own.is_empty()
    }

    /// What TLS itself has to send.
    pub fn take_own(&mut self) -> Option<Transmit> {
        let mut chunks = VecDeque::new();
        self.put_own(&mut chunks);
        (!chunks.is_empty()).then(|| Transmit::of(chunks))
    }

    fn put_own(&mut self, chunks: &mut VecDeque<Vec<u8>>) {
        if !self.own.is_empty() {
            let own = std::mem::take(&mut self.own);
            let length = own.len();
            self.sealed.push_back(Sealed { length, plain: 0 });
            chunks.push_back(own);
        }
    }

    /// Makes records of pieces of plain bytes, each of which begins a record.
    pub fn seal<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Transmit, TlsError> {
        self.drive_own();
        let mut chunks = VecDeque::new();
        self.put_own(&mut chunks);
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let records = piece.len().div_ceil(RECORD);
            let length = piece.len() + records * OVERHEAD + NEW_KEYS;
            let is_long = length >= WORTH_KEEPING;
            let spare = is_long.then(|| self.spare.pop()).flatten();
            let mut chunk = spare.unwrap_or_default();
            // A spare buffer is as long as it was filled: only what is new is filled with zeros.
            chunk.resize(chunk.len().max(length), 0);
            let mut filled = 0;
            for plain in piece.chunks(RECORD) {
                let length = self.encrypt(plain, &mut chunk[filled..])?;
                filled += length;
                let plain = plain.len();
                self.sealed.push_back(Sealed { length, plain });
            }
            chunk.truncate(filled);
            chunks.push_back(chunk);
        }
        Ok(Transmit::of(chunks))
    }

    /// Encrypts one record. Returns its length, and that of a change of keys in front of it.
    fn encrypt(&mut self, plain: &[u8], into: &mut [u8]) -> Result<usize, TlsError> {
        match self.write(|writer| writer.encrypt(plain, into)) {
            Some(Ok(length)) => Ok(length),
            Some(Err(EncryptError::EncryptExhausted)) => {
                let message = "the keys of the connection are used up";
                Err(codes::error("ERR_SSL_INTERNAL_ERROR", message))
            }
            Some(Err(EncryptError::InsufficientSize(_))) | None => {
                let message = "a record cannot be written at this time";
                Err(codes::error("ERR_SSL_INTERNAL_ERROR", message))
            }
        }
    }

    /// Calls `work` with what writes on an open connection.
    fn write<R>(&mut self, work: impl FnOnce(&mut dyn Write) -> R) -> Option<R> {
        match &mut self.state {
            State::Client(client) => match client.process_tls_records(&mut self.kept).state {
                Ok(ConnectionState::WriteTraffic(mut writer)) => Some(work(&mut writer)),
                _ => None,
            },
            State::Server(server) => match server.process_tls_records(&mut self.kept).state {
                Ok(ConnectionState::WriteTraffic(mut writer)) => Some(work(&mut writer)),
                _ => None,
            },
            State::Before(_) | State::Asking(_) | State::Over => None,
        }
    }

    /// Tells the peer that our direction ends, once.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.has_closed, true) || !self.is_open() {
            return;
        }
        self.drive_own();
        let mut alert = [0; OVERHEAD + NEW_KEYS];
        if let Some(Ok(length)) = self.write(|writer| writer.close(&mut alert)) {
            self.own.extend_from_slice(&alert[..length]);
        }
    }

    /// Whether the peer was told that our direction ends.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// The kernel took so many bytes of what is in flight. Returns how many bytes of the session's are with the kernel as a
    /// whole record now.
    pub fn sent(&mut self, bytes: usize) -> usize {
        self.taken += bytes;
        let mut plain = 0;
        while let Some(first) = self.sealed.front()
            && first.length <= self.taken
        {
            self.taken -= first.length;
            plain += first.plain;
            self.sealed.pop_front();
        }
        plain
    }

    /// Takes the memory of a finished transmit back.
    pub fn recycle(&mut self, transmit: Transmit) {
        let worth = transmit
            .into_memory()
            .filter(|memory| memory.capacity() >= WORTH_KEEPING);
        let missing = SPARE - self.spare.len();
        self.spare.extend(worth.take(missing));
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
        self.kept.shrink_to_fit();
        self.sealed.shrink_to_fit();
    }

    /// Takes the lines for the key log.
    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests;
