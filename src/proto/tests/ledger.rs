//! What two applications did on the streams between them, kept to judge what each of them sees.
//!
//! Payloads are cut from one table of random bytes, at a place that depends on stream, direction and offset, so that a
//! byte at the wrong place is noticed and nothing has to be kept to compare with.

use std::collections::VecDeque;
use std::sync::OnceLock;

/// A prime, so that no size of buffer or window repeats in it.
const PERIOD: usize = 65_521;

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..PERIOD).map(|_| byte()).collect()
    })
}

/// The bytes `offset..offset + length` of a half, in pieces.
fn pieces(key: usize, offset: u64, mut length: usize) -> impl Iterator<Item = &'static [u8]> {
    let mut at = ((key as u64 * 7919 + offset) % PERIOD as u64) as usize;
    std::iter::from_fn(move || {
        let piece = length.min(PERIOD - at);
        let start = std::mem::replace(&mut at, 0);
        length -= piece;
        (piece > 0).then(|| &table()[start..start + piece])
    })
}

/// How a writer ended its half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    End(Option<String>),
    Reset(u64),
}

/// One direction of one stream.
#[derive(Debug, Default)]
pub struct Half {
    key: usize,
    /// Lengths written and not yet seen whole.
    writes: VecDeque<usize>,
    /// What was seen of the first of them.
    part: usize,
    pub written: u64,
    /// So much of that was written before the writer switched: it came without credit.
    pub early: u64,
    seen: u64,
    pub finish: Option<Finish>,
    /// The writer has no say any more: it ended, or was told to stop.
    pub is_over: bool,
    /// The reader saw the end or the reset.
    pub saw_finish: bool,
    /// The reader wants no more, with this code.
    pub stop: Option<u64>,
    /// What the reader's session gave out under credit and the reader has not consumed.
    pub in_window: u64,
    /// What the reader holds of what came by the legacy wire, which has no credit.
    pub held_without: u64,
}

impl Half {
    fn new(key: usize) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }

    /// The next `length` bytes, as written now.
    pub fn write(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        pieces(self.key, self.written, length).for_each(|piece| bytes.extend_from_slice(piece));
        self.written += length as u64;
        self.writes.push_back(length);
        bytes
    }

    /// Whether what is seen next was written before the writer switched.
    pub fn is_early(&self) -> bool {
        self.seen < self.early
    }

    /// The reader sees one piece of data; a write of at most `whole` bytes must come in one.
    pub fn see(&mut self, bytes: &[u8], whole: usize) {
        assert!(!self.saw_finish, "data behind the end");
        assert_eq!(self.stop, None, "data behind a stop");
        let Some(&length) = self.writes.front() else {
            panic!("nobody wrote these {} bytes: {self:?}", bytes.len());
        };
        let left = length - self.part;
        assert!(bytes.len() <= left, "two writes came as one");
        assert!(
            length == 0 || !bytes.is_empty(),
            "data of nothing comes of an empty write only"
        );
        if length <= whole {
            assert_eq!(bytes.len(), length, "a short write came in parts");
        }
        let mut at = 0;
        for piece in pieces(self.key, self.seen, bytes.len()) {
            assert!(
                bytes[at..at + piece.len()] == *piece,
                "wrong bytes at {} behind {}",
                at,
                self.seen
            );
            at += piece.len();
        }
        self.seen += bytes.len() as u64;
        self.part += bytes.len();
        if self.part == length {
            self.writes.pop_front();
            self.part = 0;
        }
    }

    /// Lets the reader see what, if commands are `late`, was under way when it wanted no more.
    pub fn crossing(&mut self, late: bool, see: impl FnOnce(&mut Self)) {
        let stop = self.stop.take_if(|_| late);
        see(self);
        self.stop = stop.or(self.stop);
    }

    /// The reader sees the end. `ends_for_resets`: a reset may look like that.
    pub fn see_end(&mut self, value: Option<String>, ends_for_resets: bool) {
        assert!(!self.saw_finish, "a second end");
        assert_eq!(self.stop, None, "an end behind a stop");
        assert!(self.writes.is_empty(), "data was lost before the end");
        match &self.finish {
            Some(Finish::Reset(_)) if ends_for_resets => assert_eq!(value, None),
            finish => assert_eq!(finish, &Some(Finish::End(value))),
        }
        self.saw_finish = true;
    }

    /// The reader sees a reset.
    pub fn see_reset(&mut self, code: u64) {
        assert!(!self.saw_finish, "a reset behind the end");
        if self.stop.is_none() {
            assert_eq!(self.finish, Some(Finish::Reset(code)));
        }
        self.saw_finish = true;
    }
}

/// What became of an open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Refused(u64),
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    /// Which end opened it.
    pub opener: usize,
    pub meta: String,
    /// What the opener writes, and what the acceptor writes.
    pub halves: [Half; 2],
    pub is_announced: bool,
    pub answer: Option<Answer>,
    pub saw_opened: bool,
    /// The opener saw that it is refused or was never served.
    pub saw_failed: bool,
    /// It was ended or given up before the opener knew that it is open.
    pub ended_early: bool,
    /// The opener said, and the acceptor saw, that nobody reads an answer.
    pub is_unread: bool,
    pub saw_unread: bool,
    /// Who has seen that it is closed.
    pub closed: [bool; 2],
}

/// All streams of a connection, by number; a stream's meta starts with it.
#[derive(Debug, Default)]
pub struct Ledger {
    pub streams: Vec<Stream>,
}

impl Ledger {
    /// A new stream of `opener` whose meta is at least `length` long. Returns its number.
    pub fn open(&mut self, opener: usize, length: usize) -> usize {
        let number = self.streams.len();
        let mut meta = format!("[{number}]");
        if meta.len() < length {
            let pad = "x".repeat(length - meta.len());
            meta = format!("[{number},\"{pad}\"]");
        }
        self.streams.push(Stream {
            opener,
            meta,
            halves: [Half::new(number * 2), Half::new(number * 2 + 1)],
            is_announced: false,
            answer: None,
            saw_opened: false,
            saw_failed: false,
            ended_early: false,
            is_unread: false,
            saw_unread: false,
            closed: [false; 2],
        });
        number
    }

    /// The stream that was announced with `meta`.
    pub fn announce(&mut self, meta: &str) -> usize {
        let digits = meta.trim_start_matches('[');
        let digits = &digits[..digits.find([',', ']']).expect("a meta of ours")];
        let number: usize = digits.parse().expect("a meta of ours");
        let stream = &mut self.streams[number];
        assert!(stream.meta == meta, "the meta has changed");
        assert!(!stream.is_announced, "stream {number} is announced twice");
        stream.is_announced = true;
        number
    }
}
