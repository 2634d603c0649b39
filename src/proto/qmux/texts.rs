//! The texts at the ends of a stream, which the application never gets as bytes: its meta or its refusal first, its end
//! value last.
//!
//! A text takes no more memory than has arrived of it. The sum of all texts is bounded.
//!
//! May not know what lies between, nor tell the application anything.

use super::super::config::Config;
use super::super::error::ProtocolError;
use super::super::varint;
use super::piece::Piece;
use super::stream::Stream;

/// A meta that is complete.
#[derive(Debug)]
pub enum Meta<'a> {
    /// All of the meta was in one piece.
    Piece(Piece<'a>),
    /// The meta was put together, behind its length, which takes the second field's number of bytes.
    Joined(Vec<u8>, usize),
}

impl Meta<'_> {
    /// The meta's text.
    pub fn text(&self) -> Piece<'_> {
        match self {
            Self::Piece(piece) => *piece,
            Self::Joined(text, head) => Piece::joined(&text[*head..]),
        }
    }
}

/// The sums of the texts of all streams.
#[derive(Debug, Default)]
pub struct Texts {
    /// The metas of the live streams.
    meta_total: usize,
    /// Texts under way.
    total: usize,
}

impl Texts {
    /// The sum of the metas of the live streams.
    pub fn meta_total(&self) -> usize {
        self.meta_total
    }

    /// A stream of the peer's lives, and its meta counts.
    pub fn count_meta(&mut self, stream: &mut Stream, length: usize) {
        stream.set_meta(length);
        self.meta_total += length;
    }

    /// A stream is over.
    pub fn remove(&mut self, stream: &Stream) {
        self.meta_total -= stream.meta();
        self.total -= stream.recv.text().len();
    }

    /// Puts a text together that must not be longer than `length`. Returns whether it is complete.
    fn gather(
        &mut self,
        stream: &mut Stream,
        piece: &mut Piece<'_>,
        length: usize,
        limit: usize,
    ) -> Result<bool, ProtocolError> {
        let part = piece.cut(length.saturating_sub(stream.recv.text().len()));
        stream.recv.add_text(part.bytes());
        self.total += part.len();
        match self.total > limit {
            true => Err(ProtocolError::MetaTotal(limit)),
            false => Ok(stream.recv.text().len() >= length),
        }
    }

    /// Takes the text of a stream as it is; the next one begins empty.
    pub fn take(&mut self, stream: &mut Stream) -> Vec<u8> {
        let text = stream.recv.take_text();
        self.total -= text.len();
        text
    }

    /// Takes the first bytes of a stream of the peer's. Returns its meta, once that is complete.
    pub fn recv_meta<'a>(
        &mut self,
        stream: &mut Stream,
        piece: &mut Piece<'a>,
        config: &Config,
    ) -> Result<Option<Meta<'a>>, ProtocolError> {
        let limit = config.max_meta_size;
        // Nearly always, all of the meta is in this one piece.
        if stream.recv.text().is_empty()
            && let Some((length, head)) = varint::peek(piece.bytes())
            && length <= (piece.len() - head) as u64
        {
            check_length(length, limit)?;
            piece.cut(head);
            return Ok(Some(Meta::Piece(piece.cut(length as usize))));
        }
        // The length comes first, byte by byte, and then as much as it says.
        loop {
            let head = varint::peek(stream.recv.text());
            let total = match head {
                Some((length, head)) => {
                    check_length(length, limit)?;
                    head + length as usize
                }
                None => stream.recv.text().len() + 1,
            };
            let is_complete = self.gather(stream, piece, total, config.max_meta_total)?;
            // A length of 0 is complete without another byte.
            let had_length = head.is_some();
            if is_complete
                && let Some((length, head)) = varint::peek(stream.recv.text())
                && (had_length || length == 0)
            {
                return Ok(Some(Meta::Joined(self.take(stream), head)));
            }
            if !is_complete || piece.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Takes a part of a refusal. Returns its code, once that is complete.
    pub fn recv_refusal(
        &mut self,
        stream: &mut Stream,
        piece: &mut Piece<'_>,
        config: &Config,
    ) -> Result<Option<u64>, ProtocolError> {
        let limit = varint::MAX_SIZE.max(config.max_meta_total);
        let length = stream.recv.text().len() + piece.len();
        self.gather(stream, piece, length, limit)?;
        let code = varint::peek(stream.recv.text()).map(|(code, _)| code);
        if code.is_some() {
            self.take(stream);
        }
        Ok(code)
    }

    /// Takes a part of an end value.
    pub fn recv_end_value(
        &mut self,
        stream: &mut Stream,
        piece: &mut Piece<'_>,
        config: &Config,
    ) -> Result<(), ProtocolError> {
        let limit = config.max_end_value_size;
        let total_limit = limit.max(config.max_meta_total);
        self.gather(stream, piece, limit, total_limit)?;
        match piece.is_empty() {
            true => Ok(()),
            false => Err(ProtocolError::JsonTooLarge {
                length: limit + piece.len(),
                limit,
            }),
        }
    }
}

fn check_length(length: u64, limit: usize) -> Result<(), ProtocolError> {
    match length > limit as u64 {
        true => Err(ProtocolError::JsonTooLarge {
            length: usize::try_from(length).unwrap_or(usize::MAX),
            limit,
        }),
        false => Ok(()),
    }
}
