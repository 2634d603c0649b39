//! The headers of frames, in and out. The decoder handles what a frame carries behind its header (bytes of a stream, a
//! reason, parameters).
//!
//! May not know a stream, nor whether a frame is allowed where it stands.

use super::super::error::{ProtocolError, Violation};
use super::super::varint;

/// Types of frames, as numbers.
pub const PADDING: u64 = 0x00;
pub const RESET_STREAM: u64 = 0x04;
pub const STOP_SENDING: u64 = 0x05;
pub const STREAM: u64 = 0x08;
pub const MAX_DATA: u64 = 0x10;
pub const MAX_STREAM_DATA: u64 = 0x11;
pub const MAX_STREAMS_BIDI: u64 = 0x12;
pub const MAX_STREAMS_UNI: u64 = 0x13;
pub const DATA_BLOCKED: u64 = 0x14;
pub const STREAM_DATA_BLOCKED: u64 = 0x15;
pub const STREAMS_BLOCKED_BIDI: u64 = 0x16;
pub const STREAMS_BLOCKED_UNI: u64 = 0x17;
pub const CLOSE: u64 = 0x1c;
pub const CLOSE_APPLICATION: u64 = 0x1d;
pub const DATAGRAM: u64 = 0x30;
pub const DATAGRAM_LENGTH: u64 = 0x31;
/// Ours: STREAM without an offset.
pub const COMPACT: u64 = 0x38;
/// Ours: the rest of the stream is its end value.
pub const END_VALUE: u64 = 0x3c;
/// Ours: the number of streams that are served.
pub const GO_AWAY: u64 = 0x3d;
/// Ours: the opener is done with a stream, and nobody there reads what the acceptor might still send.
pub const UNREAD: u64 = 0x3e;
pub const PARAMETERS: u64 = 0x3f51_5330_0d0a_0d0a;
pub const PING_REQUEST: u64 = 0x348c_6752_9ef8_c7bd;
pub const PING_RESPONSE: u64 = 0x348c_6752_9ef8_c7be;

/// Bits of STREAM, and of our type without an offset except for the bit of the offset.
pub const OFFSET_BIT: u8 = 4;
pub const LENGTH_BIT: u8 = 2;
pub const FIN_BIT: u8 = 1;

/// The type of a message of ours that has a length and does not end its stream.
pub const MESSAGE: u8 = COMPACT as u8 | LENGTH_BIT;

/// The most bytes of a header: a type and three numbers.
pub const MAX_HEADER: usize = 4 * varint::MAX_SIZE;

/// The highest count of streams there can be.
pub const MAX_STREAMS: u64 = 1 << 60;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Padding,
    Parameters {
        length: u64,
    },
    Reset {
        id: u64,
        code: u64,
        final_size: u64,
    },
    Stop {
        id: u64,
        code: u64,
    },
    Stream {
        id: u64,
        /// `None`: the bytes follow those before.
        offset: Option<u64>,
        /// `None`: the bytes reach to the end of the record.
        length: Option<u64>,
        fin: bool,
    },
    EndValue {
        id: u64,
    },
    GoAway {
        streams: u64,
    },
    Unread {
        id: u64,
    },
    MaxData(u64),
    MaxStreamData {
        id: u64,
        limit: u64,
    },
    MaxStreams {
        limit: u64,
        uni: bool,
    },
    /// The peer has no credit beyond a limit, which says nothing that we would not see ourselves.
    DataBlocked(u64),
    StreamDataBlocked {
        id: u64,
        limit: u64,
    },
    StreamsBlocked {
        limit: u64,
        uni: bool,
    },
    Close {
        application: bool,
        code: u64,
        reason: u64,
    },
    PingRequest(u64),
    PingResponse(u64),
}

fn encoding(what: &'static str) -> ProtocolError {
    Violation::FrameEncoding.error(what)
}

/// Reads the header at the front of `input`, which is part of one record. `None`: the header is cut short. With `ours`,
/// frames of our mapping are understood.
pub fn read(input: &[u8], ours: bool) -> Result<Option<(Frame, usize)>, ProtocolError> {
    let mut rest = input;
    match read_header(&mut rest, ours) {
        Ok(frame) => Ok(Some((frame, input.len() - rest.len()))),
        Err(NoHeader::CutShort) => Ok(None),
        Err(NoHeader::Wrong(error)) => Err(error),
    }
}

/// The reason why a header is not read.
enum NoHeader {
    /// More of it has to come first.
    CutShort,
    Wrong(ProtocolError),
}

impl From<ProtocolError> for NoHeader {
    fn from(error: ProtocolError) -> Self {
        Self::Wrong(error)
    }
}

fn number(input: &mut &[u8]) -> Result<u64, NoHeader> {
    varint::get(input).ok_or(NoHeader::CutShort)
}

/// A count of streams; the peer's fault, if that is more than there can be.
fn count(input: &mut &[u8], fault: &'static str) -> Result<u64, NoHeader> {
    match number(input)? {
        count if count <= MAX_STREAMS => Ok(count),
        _ => Err(encoding(fault).into()),
    }
}

fn read_header(rest: &mut &[u8], ours: bool) -> Result<Frame, NoHeader> {
    let before = rest.len();
    let kind = number(rest)?;
    if before - rest.len() != varint::size(kind) {
        let what = "wrote a frame type in more bytes than it needs";
        return Err(Violation::Protocol.error(what).into());
    }
    Ok(match kind {
        PADDING => Frame::Padding,
        RESET_STREAM => Frame::Reset {
            id: number(rest)?,
            code: number(rest)?,
            final_size: number(rest)?,
        },
        STOP_SENDING => Frame::Stop {
            id: number(rest)?,
            code: number(rest)?,
        },
        STREAM..=0x0f => {
            let bits = kind as u8;
            let id = number(rest)?;
            let offset = match bits & OFFSET_BIT {
                0 => 0,
                _ => number(rest)?,
            };
            let length = match bits & LENGTH_BIT {
                0 => None,
                _ => Some(number(rest)?),
            };
            Frame::Stream {
                id,
                offset: Some(offset),
                length,
                fin: bits & FIN_BIT != 0,
            }
        }
        MAX_DATA => Frame::MaxData(number(rest)?),
        MAX_STREAM_DATA => Frame::MaxStreamData {
            id: number(rest)?,
            limit: number(rest)?,
        },
        MAX_STREAMS_BIDI | MAX_STREAMS_UNI => Frame::MaxStreams {
            limit: count(rest, "allows more streams than there can be")?,
            uni: kind == MAX_STREAMS_UNI,
        },
        DATA_BLOCKED => Frame::DataBlocked(number(rest)?),
        STREAM_DATA_BLOCKED => Frame::StreamDataBlocked {
            id: number(rest)?,
            limit: number(rest)?,
        },
        STREAMS_BLOCKED_BIDI | STREAMS_BLOCKED_UNI => Frame::StreamsBlocked {
            limit: count(rest, "wants more streams than there can be")?,
            uni: kind == STREAMS_BLOCKED_UNI,
        },
        CLOSE => {
            let code = number(rest)?;
            number(rest)?;
            Frame::Close {
                application: false,
                code,
                reason: number(rest)?,
            }
        }
        CLOSE_APPLICATION => Frame::Close {
            application: true,
            code: number(rest)?,
            reason: number(rest)?,
        },
        DATAGRAM | DATAGRAM_LENGTH => {
            return Err(Violation::Protocol
                .error("sent a datagram, which was not announced")
                .into());
        }
        COMPACT..END_VALUE if ours => {
            let bits = kind as u8;
            Frame::Stream {
                id: number(rest)?,
                offset: None,
                length: match bits & LENGTH_BIT {
                    0 => None,
                    _ => Some(number(rest)?),
                },
                fin: bits & FIN_BIT != 0,
            }
        }
        END_VALUE if ours => Frame::EndValue { id: number(rest)? },
        GO_AWAY if ours => Frame::GoAway {
            streams: number(rest)?,
        },
        UNREAD if ours => Frame::Unread { id: number(rest)? },
        PARAMETERS => Frame::Parameters {
            length: number(rest)?,
        },
        PING_REQUEST => Frame::PingRequest(number(rest)?),
        PING_RESPONSE => Frame::PingResponse(number(rest)?),
        _ => return Err(encoding("sent a frame of an unknown type").into()),
    })
}

/// The most bytes of the header of a stream's bytes: a type, id, offset and length.
const MAX_STREAM_HEADER: usize = 1 + 3 * varint::MAX_SIZE;

/// The header of a frame with bytes of a stream, put together without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct StreamHeader {
    bytes: [u8; MAX_STREAM_HEADER],
    length: usize,
    /// The number of its last bytes that are the length field.
    length_field: usize,
}

/// The header of a message of ours whose numbers are short, as most are; the header's length; and the length of its
/// length field.
#[inline]
pub fn short_header(id: u64, length: usize) -> Option<([u8; 8], usize, usize)> {
    if id >= 0x4000 || length >= 0x4000 {
        return None;
    }
    let [id_high, id_low] = (id as u16 | 0x4000).to_be_bytes();
    let [high, low] = (length as u16 | 0x4000).to_be_bytes();
    let (id, length) = (id as u8, length as u8);
    Some(
        match (id_high == 0x40 && id < 0x40, high == 0x40 && length < 0x40) {
            (true, true) => ([MESSAGE, id, length, 0, 0, 0, 0, 0], 3, 1),
            (true, false) => ([MESSAGE, id, high, low, 0, 0, 0, 0], 4, 2),
            (false, true) => ([MESSAGE, id_high, id_low, length, 0, 0, 0, 0], 4, 1),
            (false, false) => ([MESSAGE, id_high, id_low, high, low, 0, 0, 0], 5, 2),
        },
    )
}

impl StreamHeader {
    /// The header of a STREAM frame with an offset, or of ours without one. With `length`, the frame need not be the
    /// last of its record.
    #[inline]
    pub fn new(id: u64, offset: Option<u64>, length: Option<usize>, fin: bool) -> Self {
        let mut header = Self {
            bytes: [0; MAX_STREAM_HEADER],
            length: 1,
            length_field: 0,
        };
        header.bytes[0] = match offset {
            None => COMPACT as u8,
            Some(0) => STREAM as u8,
            Some(_) => STREAM as u8 | OFFSET_BIT,
        } | u8::from(fin);
        header.push(id);
        if let Some(offset @ 1..) = offset {
            header.push(offset);
        }
        if let Some(length) = length {
            header.bytes[0] |= LENGTH_BIT;
            let before = header.length;
            header.push(length as u64);
            header.length_field = header.length - before;
        }
        header
    }

    #[inline]
    fn push(&mut self, value: u64) {
        let mut room = &mut self.bytes[self.length..];
        let before = room.len();
        varint::put(value, &mut room);
        self.length += before - room.len();
    }

    /// The number of the last bytes that are the length field.
    #[inline]
    pub fn length_field(&self) -> usize {
        self.length_field
    }

    /// The header as bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A whole frame of a type and `N` numbers.
pub fn numbers<const N: usize>(kind: u64, values: [u64; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(varint::MAX_SIZE * (N + 1));
    varint::put(kind, &mut bytes);
    for value in values {
        varint::put(value, &mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_whole_or_not_at_all() {
        let cases = [
            (numbers(PADDING, []), Frame::Padding),
            (
                numbers(RESET_STREAM, [4, 7, 100_000]),
                Frame::Reset {
                    id: 4,
                    code: 7,
                    final_size: 100_000,
                },
            ),
            (
                numbers(MAX_STREAM_DATA, [8, varint::MAX]),
                Frame::MaxStreamData {
                    id: 8,
                    limit: varint::MAX,
                },
            ),
            (numbers(PING_REQUEST, [3]), Frame::PingRequest(3)),
            (numbers(GO_AWAY, [3]), Frame::GoAway { streams: 3 }),
            (numbers(UNREAD, [8]), Frame::Unread { id: 8 }),
            (
                StreamHeader::new(4, None, Some(300), true)
                    .as_slice()
                    .to_vec(),
                Frame::Stream {
                    id: 4,
                    offset: None,
                    length: Some(300),
                    fin: true,
                },
            ),
            (
                StreamHeader::new(4, Some(70_000), None, false)
                    .as_slice()
                    .to_vec(),
                Frame::Stream {
                    id: 4,
                    offset: Some(70_000),
                    length: None,
                    fin: false,
                },
            ),
        ];
        for (bytes, frame) in cases {
            assert_eq!(read(&bytes, true), Ok(Some((frame, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut], true), Ok(None), "{frame:?} at {cut}");
            }
        }
    }

    #[test]
    fn short_headers_are_the_same() {
        for id in [0, 4, 63, 64, 255, 256, 0x3fff] {
            for length in [0, 1, 63, 64, 255, 256, 0x3fff] {
                let (bytes, end, field) = short_header(id, length).expect("short");
                let header = StreamHeader::new(id, None, Some(length), false);
                assert_eq!(
                    (&bytes[..end], field),
                    (header.as_slice(), header.length_field())
                );
            }
        }
        assert!(short_header(0x4000, 0).is_none() && short_header(0, 0x4000).is_none());
    }

    #[test]
    fn the_first_frame_looks_as_peers_send_it() {
        assert_eq!(
            numbers(PARAMETERS, []),
            [0xff, 0x51, 0x53, 0x30, 0x0d, 0x0a, 0x0d, 0x0a]
        );
    }

    #[test]
    fn what_is_unknown_or_too_long_is_refused() {
        for bytes in [
            &[0x40, 0x04][..], // RESET_STREAM in two bytes
            &[0x01],
            &[0x24],
            &[0x12, 0xd0, 0, 0, 0, 0, 0, 0, 1],
        ] {
            assert!(read(bytes, true).is_err(), "{bytes:?}");
        }
        assert!(read(&[0x3a, 4, 1], false).is_err(), "not of a foreign peer");
        assert!(read(&[0x30, 1], true).is_err());
    }
}
