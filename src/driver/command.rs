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
    /// So many delivered bytes are not consumed yet.
    Hold(u32),
    /// So many held bytes are consumed.
    Release(u32),
    /// The application has seen the end of a stream of the peer's.
    Forget(Handle),
    /// Asks to be told when all before it is with the kernel.
    Mark(u32),
    /// Half-closes the connection behind all before it.
    Finish,
    /// Stops reading the socket.
    Pause,
    /// Reads the socket again.
    Resume,
    /// Drops what still comes of a stream of the peer's.
    Discard(Handle),
}

impl Command<'_> {
    /// Whether it must keep its place among what is sent. The others concern reading, and must not wait for a peer
    /// that does not read: both would wait for ever.
    pub fn is_ordered(&self) -> bool {
        !matches!(
            self,
            Self::Hold(_) | Self::Release(_) | Self::Pause | Self::Resume | Self::Discard(_)
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
    let with_payload = matches!(op, 1 | 2 | 4);
    let payload = if with_payload {
        rest.get(..argument as usize)?
    } else {
        &[]
    };
    let command = match op {
        1 => Command::Open(stream, payload),
        2 => Command::Data(stream, payload),
        3 => Command::End(stream, None),
        4 => Command::End(stream, Some(payload)),
        5 => Command::Accept(stream),
        6 => Command::Hold(argument),
        7 => Command::Release(argument),
        8 => Command::Forget(stream),
        9 => Command::Mark(argument),
        10 => Command::Finish,
        11 => Command::Pause,
        12 => Command::Resume,
        13 => Command::Discard(stream),
        _ => return None,
    };
    let length = (HEADER + payload.len().next_multiple_of(4)).min(buffer.len());
    Some(Found {
        target: target & 0x00ff_ffff,
        command,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((found.target, found.command), (7, Command::Mark(42)));
        assert_eq!((run(&buffer, 7), run(&buffer, 8)), (buffer.len(), 0));
        assert_eq!(found.length, 12);
        assert!(first(&buffer[..16]).is_none(), "a payload cut short");
        assert!(first(&[0xff; 12]).is_none(), "an unknown op");
    }
}
