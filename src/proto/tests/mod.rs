//! Tests of whole sessions: literal bytes, and pairs of sessions under a virtual clock.

mod bytes;
mod pair;
mod random;
