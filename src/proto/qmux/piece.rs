//! A part of what came of a stream, and its place in the input, if it has one.
//!
//! May not know what the bytes mean.

use super::super::event::Payload;
use std::ops::Range;

#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    bytes: &'a [u8],
    /// `None`: the bytes were put together from several inputs.
    at: Option<usize>,
}

impl<'a> Piece<'a> {
    /// The piece in a range of the input.
    pub fn of_input(input: &'a [u8], range: Range<usize>) -> Self {
        Self {
            at: Some(range.start),
            bytes: &input[range],
        }
    }

    /// A piece that was put together.
    pub fn joined(bytes: &'a [u8]) -> Self {
        Self { bytes, at: None }
    }

    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub fn len(self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The piece as the payload of an event.
    pub fn payload(self) -> Payload<'a> {
        match self.at {
            Some(at) => Payload::Input(at..at + self.bytes.len()),
            None => Payload::Owned(self.bytes),
        }
    }

    /// Cuts at most `length` bytes off the front.
    pub fn cut(&mut self, length: usize) -> Self {
        let (bytes, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        let at = self.at;
        self.bytes = rest;
        self.at = at.map(|at| at + bytes.len());
        Self { bytes, at }
    }
}
