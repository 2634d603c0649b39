//! Commands as they cross the boundary, many in one buffer.
//!
//! Each is a header of three little-endian words (`op << 24 | connection`, stream, payload length or argument) and,
//! for the ops that have one, a payload padded to a multiple of four. `lib/engine.js` writes them, and a connection
//! that cannot execute them yet keeps them in the same form.
//!
//! May not execute anything.

use crate::proto::Handle;

/// Length of a header.
const HEADER: usize = 12;

/// Stands for the whole connection where a stream's handle is expected.
const WHOLE: u32 = u32::MAX;

/// One command to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Opens a stream, with its meta as JSON text.
    Open(Handle, &'a [u8]),
    /// Sends one message.
    Data(Handle, &'a [u8]),
    /// Ends a stream, with a value as JSON text or without.
    End(Handle, Option<&'a [u8]>),
    /// Acknowledges a stream of the peer's.
    Accept(Handle),
    /// So many delivered bytes of a stream are not consumed yet.
    Hold(Handle, u32),
    /// So many held bytes of a stream are consumed.
    Release(Handle, u32),
    /// The application has seen the end of a stream of the peer's.
    Forget(Handle),
    /// Asks to be told when all before it, of a stream or of all, is with the kernel.
    Mark(Option<Handle>, u32),
    /// Half-closes the connection behind all before it.
    Finish,
    /// Stops reading the socket.
    Pause,
    /// Reads the socket again.
    Resume,
    /// Drops what still comes of a stream.
    Discard(Handle),
    /// Gives up what a stream still has to send, with a code.
    Reset(Handle, u64),
    /// Wants no more of a stream, with a code.
    Stop(Handle, u64),
    /// All that was delivered before the credit event, of a stream or of all, has been seen.
    Credit(Option<Handle>),
    /// Asks the peer for a sign of life.
    Ping(u32),
    /// Ends the connection with a code and a reason.
    Close(u64, &'a str),
    /// Refuses a stream of the peer's, with a code.
    Refuse(Handle, u64),
    /// Says how urgent a stream is, and whether its bytes are of use as they come.
    Priority(Handle, u8, bool),
    /// Serves no new streams of the peer's.
    GoAway,
    /// Is done with a stream and reads no answer.
    Unread(Handle),
}

impl Command<'_> {
    /// Whether it answers an open of the peer's.
    pub fn is_acknowledgement(&self) -> bool {
        matches!(self, Self::Accept(_) | Self::Refuse(..))
    }

    /// Whether it must keep its place among what is sent. The others concern reading, or go ahead of what is queued, and
    /// must not wait for a peer that does not read: both would wait for ever.
    pub fn is_ordered(&self) -> bool {
        !matches!(
            self,
            Self::Hold(..)
                | Self::Release(..)
                | Self::Pause
                | Self::Resume
                | Self::Discard(_)
                | Self::Stop(..)
                | Self::Credit(_)
                | Self::Ping(_)
                | Self::GoAway
        )
    }
}

/// A command as found in a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The connection it is for.
    pub target: u32,
    /// What it says.
    pub command: Command<'a>,
    /// Its length in the buffer.
    pub length: usize,
}

/// Writes a command to send data.
pub fn put_data(into: &mut Vec<u8>, target: u32, stream: Handle, payload: &[u8]) {
    // A payload comes from one call of the application's, which is bounded far below this.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    for word in [2 << 24 | target, stream.0, length] {
        into.extend(word.to_le_bytes());
    }
    into.extend_from_slice(payload);
    into.resize(into.len().next_multiple_of(4), 0);
}

/// The length of the commands at the front of `buffer` that are for `target`, without a look at what they say.
pub fn run(buffer: &[u8], target: u32) -> usize {
    let mut end = 0;
    while let Some(found) = first(&buffer[end..]).filter(|found| found.target == target) {
        end += found.length;
    }
    end
}

/// The first command in `buffer`. `None` at its end, and for bytes that are no command: those can only come from a
/// mismatch of the addon and its JavaScript.
pub fn first(buffer: &[u8]) -> Option<Found<'_>> {
    let (head, rest) = buffer.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (target, stream, argument) = (word(0), Handle(word(4)), word(8));
    let op = target >> 24;
    let with_payload = op == 2 || matches!(op, 1 | 4 | 14 | 15 | 18 | 19);
    let payload = if with_payload {
        rest.get(..argument as usize)?
    } else {
        &[]
    };
    let command = match op {
        2 => Command::Data(stream, payload),
        _ => not_data(op, stream, argument, payload)?,
    };
    let length = (HEADER + payload.len().next_multiple_of(4)).min(buffer.len());
    Some(Found {
        target: target & 0x00ff_ffff,
        command,
        length,
    })
}

/// What a command says that does not send data. By itself, since nearly all do, and are found the faster.
#[inline(never)]
fn not_data(op: u32, stream: Handle, argument: u32, payload: &[u8]) -> Option<Command<'_>> {
    let stream_or_all = Some(stream).filter(|stream| stream.0 != WHOLE);
    Some(match op {
        1 => Command::Open(stream, payload),
        3 => Command::End(stream, None),
        4 => Command::End(stream, Some(payload)),
        5 => Command::Accept(stream),
        6 => Command::Hold(stream, argument),
        7 => Command::Release(stream, argument),
        8 => Command::Forget(stream),
        9 => Command::Mark(stream_or_all, argument),
        10 => Command::Finish,
        11 => Command::Pause,
        12 => Command::Resume,
        13 => Command::Discard(stream),
        14 => Command::Reset(stream, code(payload)?.0),
        15 => Command::Stop(stream, code(payload)?.0),
        16 => Command::Credit(stream_or_all),
        17 => Command::Ping(argument),
        18 => {
            let (code, reason) = code(payload)?;
            Command::Close(code, valid_text(reason))
        }
        19 => Command::Refuse(stream, code(payload)?.0),
        20 => Command::Priority(stream, (argument & 7) as u8, argument & 8 != 0),
        21 => Command::GoAway,
        22 => Command::Unread(stream),
        _ => return None,
    })
}

/// The code at the front of a payload, and what stands behind it.
fn code(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (code, rest) = payload.split_first_chunk()?;
    Some((u64::from_le_bytes(*code), rest))
}

/// The text in `bytes`, up to the first that are none.
fn valid_text(bytes: &[u8]) -> &str {
    let first = bytes.utf8_chunks().next();
    first.map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(into: &mut Vec<u8>, op: u32, stream: u32, argument: u32, payload: &[u8]) {
        for word in [op << 24 | 7, stream, argument] {
            into.extend(word.to_le_bytes());
        }
        into.extend_from_slice(payload);
        into.resize(into.len().next_multiple_of(4), 0);
    }

    #[test]
    fn finds_what_concerns_one_half_of_a_stream_or_the_whole_connection() {
        const ALL: u32 = u32::MAX;
        let wide = (1_u64 << 61) + 5;
        let mut closing = wide.to_le_bytes().to_vec();
        closing.extend("böse".as_bytes());
        let commands: [(u32, u32, u32, &[u8], Command<'_>); 17] = [
            (6, 3, 9, b"", Command::Hold(Handle(3), 9)),
            (7, 3, 9, b"", Command::Release(Handle(3), 9)),
            (9, 4, 1, b"", Command::Mark(Some(Handle(4)), 1)),
            (9, ALL, 1, b"", Command::Mark(None, 1)),
            (
                14,
                4,
                8,
                &wide.to_le_bytes(),
                Command::Reset(Handle(4), wide),
            ),
            (
                15,
                5,
                8,
                &[1, 0, 0, 0, 0, 0, 0, 0],
                Command::Stop(Handle(5), 1),
            ),
            (16, 5, 0, b"", Command::Credit(Some(Handle(5)))),
            (16, ALL, 0, b"", Command::Credit(None)),
            (17, 0, 77, b"", Command::Ping(77)),
            (18, 0, 13, &closing, Command::Close(wide, "böse")),
            (18, 0, 8, &[0; 8], Command::Close(0, "")),
            (
                18,
                0,
                10,
                b"\x02\0\0\0\0\0\0\0a\xff",
                Command::Close(2, "a"),
            ),
            (
                19,
                5,
                8,
                &[2, 1, 0, 0, 0, 0, 0, 0],
                Command::Refuse(Handle(5), 258),
            ),
            (20, 5, 3 | 8, b"", Command::Priority(Handle(5), 3, true)),
            (20, 5, 7, b"", Command::Priority(Handle(5), 7, false)),
            (21, 0, 0, b"", Command::GoAway),
            (22, 6, 0, b"", Command::Unread(Handle(6))),
        ];
        let mut buffer = Vec::new();
        for (op, stream, argument, payload, _) in commands {
            put(&mut buffer, op, stream, argument, payload);
        }
        let mut rest = &buffer[..];
        for (.., expected) in commands {
            let found = first(rest).expect("a command");
            assert_eq!(found.command, expected);
            rest = &rest[found.length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_command_without_its_code_is_none() {
        for op in [14, 15, 18, 19] {
            for length in [0, 7] {
                let mut buffer = Vec::new();
                put(&mut buffer, op, 0, length, &[0; 7][..length as usize]);
                assert!(first(&buffer).is_none(), "{op} with {length} bytes");
            }
        }
    }

    #[test]
    fn what_reading_needs_overtakes_what_waits_to_be_sent() {
        let handle = Handle(3);
        for command in [
            Command::Hold(handle, 1),
            Command::Release(handle, 1),
            Command::Pause,
            Command::Resume,
            Command::Discard(handle),
            Command::Stop(handle, 1),
            Command::Credit(None),
            Command::Ping(1),
            Command::GoAway,
        ] {
            assert!(!command.is_ordered(), "{command:?}");
        }
        for command in [
            Command::Accept(handle),
            Command::Refuse(handle, 1),
            Command::Reset(handle, 1),
            Command::Mark(None, 1),
            Command::Forget(handle),
            // Of a stream whose opening may wait, too.
            Command::Priority(handle, 1, true),
            Command::Unread(handle),
            Command::Finish,
            Command::Close(0, ""),
        ] {
            assert!(command.is_ordered(), "{command:?}");
        }
    }

    #[test]
    fn finds_commands_one_behind_the_other() {
        let mut buffer = Vec::new();
        put_data(&mut buffer, 7, Handle(4), b"hello");
        for word in [9 << 24 | 7, 0, 42] {
            buffer.extend(u32::to_le_bytes(word));
        }
        let found = first(&buffer).expect("a command");
        assert_eq!(
            (found.target, found.command),
            (7, Command::Data(Handle(4), b"hello"))
        );
        let found = first(&buffer[found.length..]).expect("a command");
        assert_eq!(
            (found.target, found.command),
            (7, Command::Mark(Some(Handle(0)), 42))
        );
        assert_eq!((run(&buffer, 7), run(&buffer, 8)), (buffer.len(), 0));
        assert_eq!(found.length, 12);
        assert!(first(&buffer[..16]).is_none(), "a payload cut short");
        assert!(first(&[0xff; 12]).is_none(), "an unknown op");
    }
}
