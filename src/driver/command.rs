//! Commands as they cross the boundary, many in one buffer.
//!
//! Each command is a header of three little-endian words (its kind and its connection, stream, payload length or
//! argument) and, for the commands that have one, a payload padded to a multiple of four. `lib/engine.js` writes
//! commands, and a connection that cannot execute them yet keeps them in this form.
//!
//! May not execute anything.

use super::boundary::{self, COMMAND_HEADER, Command, op};
use crate::proto::Handle;

/// A command as found in a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The connection that the command is for.
    pub target: u32,
    /// The command itself.
    pub command: Command<'a>,
    /// The length of the command in the buffer.
    pub length: usize,
}

/// Writes a command to send data.
pub fn put_data(into: &mut Vec<u8>, target: u32, stream: Handle, payload: &[u8]) {
    // A payload comes from one call of the application's, which is bounded far below this.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    for word in [boundary::first_word(op::DATA, target), stream.0, length] {
        into.extend(word.to_le_bytes());
    }
    into.extend_from_slice(payload);
    into.resize(into.len().next_multiple_of(4), 0);
}

/// The length of the commands at the front of `buffer` that are for `target`.
pub fn run(buffer: &[u8], target: u32) -> usize {
    let mut end = 0;
    while let Some(found) = first(&buffer[end..]).filter(|found| found.target == target) {
        end += found.length;
    }
    end
}

/// The first command in `buffer`. `None` at the end of the buffer, and for bytes that are no command, which can only
/// come from a mismatch of the addon and its JavaScript.
pub fn first(buffer: &[u8]) -> Option<Found<'_>> {
    let (head, rest) = buffer.split_first_chunk::<COMMAND_HEADER>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (target, stream, argument) = (word(0), Handle(word(4)), word(8));
    let (number, target) = boundary::split_word(target);
    let payload = if number == op::DATA || boundary::has_payload(number) {
        rest.get(..argument as usize)?
    } else {
        &[]
    };
    let command = match number {
        op::DATA => Command::Data(stream, payload),
        _ => boundary::not_data(number, stream, argument, payload)?,
    };
    let length = (COMMAND_HEADER + payload.len().next_multiple_of(4)).min(buffer.len());
    Some(Found {
        target,
        command,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::boundary::WHOLE;

    fn put(into: &mut Vec<u8>, number: u32, stream: u32, argument: u32, payload: &[u8]) {
        for word in [boundary::first_word(number, 7), stream, argument] {
            into.extend(word.to_le_bytes());
        }
        into.extend_from_slice(payload);
        into.resize(into.len().next_multiple_of(4), 0);
    }

    #[test]
    fn finds_what_concerns_one_half_of_a_stream_or_the_whole_connection() {
        let wide = (1_u64 << 61) + 5;
        let mut closing = wide.to_le_bytes().to_vec();
        closing.extend("böse".as_bytes());
        let one = [1, 0, 0, 0, 0, 0, 0, 0];
        let high = [2, 1, 0, 0, 0, 0, 0, 0];
        let no_text = b"\x02\0\0\0\0\0\0\0a\xff";
        let h = Handle;
        let commands: [(u32, u32, u32, &[u8], Command<'_>); 17] = [
            (op::HOLD, 3, 9, b"", Command::Hold(h(3), 9)),
            (op::RELEASE, 3, 9, b"", Command::Release(h(3), 9)),
            (op::MARK, 4, 1, b"", Command::Mark(Some(h(4)), 1)),
            (op::MARK, WHOLE, 1, b"", Command::Mark(None, 1)),
            (op::END, 4, 0, b"", Command::End(h(4))),
            (op::END_VALUE, 4, 2, b"12", Command::EndValue(h(4), b"12")),
            (
                op::RESET,
                4,
                8,
                &wide.to_le_bytes(),
                Command::Reset(h(4), wide),
            ),
            (op::STOP, 5, 8, &one, Command::Stop(h(5), 1)),
            (op::CREDIT, 5, 0, b"", Command::Credit(Some(h(5)))),
            (op::CREDIT, WHOLE, 0, b"", Command::Credit(None)),
            (op::PING, 0, 77, b"", Command::Ping(77)),
            (op::CLOSE, 0, 13, &closing, Command::Close(wide, "böse")),
            (op::CLOSE, 0, 8, &[0; 8], Command::Close(0, "")),
            (op::CLOSE, 0, 10, no_text, Command::Close(2, "a")),
            (op::REFUSE, 5, 8, &high, Command::Refuse(h(5), 258)),
            (op::PRIORITY, 5, 3 | 8, b"", Command::Priority(h(5), 11)),
            (op::UNREAD, 6, 0, b"", Command::Unread(h(6))),
        ];
        let mut buffer = Vec::new();
        for (number, stream, argument, payload, _) in commands {
            put(&mut buffer, number, stream, argument, payload);
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
        for number in [op::RESET, op::STOP, op::CLOSE, op::REFUSE] {
            for length in [0, 7] {
                let mut buffer = Vec::new();
                put(&mut buffer, number, 0, length, &[0; 7][..length as usize]);
                assert!(first(&buffer).is_none(), "{number} with {length} bytes");
            }
        }
    }

    #[test]
    fn what_reading_needs_overtakes_what_waits_to_be_sent() {
        let handle = Handle(3);
        for command in [
            Command::Hold(handle, 1),
            Command::Release(handle, 1),
            Command::ConnPause,
            Command::ConnResume,
            Command::Discard(handle),
            Command::Stop(handle, 1),
            Command::Credit(None),
            Command::Ping(1),
            Command::Goaway,
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
            Command::Priority(handle, 1),
            Command::Unread(handle),
            Command::ConnEnd,
            Command::Close(0, ""),
        ] {
            assert!(command.is_ordered(), "{command:?}");
        }
    }

    #[test]
    fn finds_commands_one_behind_the_other() {
        let mut buffer = Vec::new();
        put_data(&mut buffer, 7, Handle(4), b"hello");
        put(&mut buffer, op::MARK, 0, 42, b"");
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
