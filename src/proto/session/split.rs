//! The split of a session into a wire and the parts that the wire works on.
//!
//! May not decide which wire is spoken.

use super::super::context::Context;
use super::super::event::Sink;
use super::super::legacy::{self, Legacy};
use super::super::qmux::Qmux;
use super::Session;
use super::lobby::Gate;

/// QMux, and the parts that it works on.
pub(super) type QmuxParts<'a, S> = (&'a mut Qmux, Context<'a, Gate<'a, S>>);

/// The legacy wire, and the parts that it works on.
pub(super) type LegacyParts<'a, S> = (&'a mut Legacy, legacy::Context<'a, Gate<'a, S>>);

impl Session {
    /// QMux, if we send it, and the parts that it works on.
    #[inline]
    pub(super) fn qmux<'a, S: Sink>(&'a mut self, sink: &'a mut S) -> Option<QmuxParts<'a, S>> {
        self.qmux_reading(&[], sink)
    }

    /// The parts of [`Session::qmux`], where payloads of events may be ranges of `input`.
    #[inline]
    pub(super) fn qmux_reading<'a, S: Sink>(
        &'a mut self,
        input: &'a [u8],
        sink: &'a mut S,
    ) -> Option<QmuxParts<'a, S>> {
        let wire = self.qmux.as_deref_mut()?;
        let lobby = &mut self.lobby;
        let cx = Context {
            config: &self.config,
            outbox: &mut self.outbox,
            marks: &mut self.marks,
            sink: Gate { lobby, input, sink },
            now: self.now,
        };
        Some((wire, cx))
    }

    /// The legacy wire, and the parts that it works on.
    #[inline]
    pub(super) fn legacy<'a, S: Sink>(&'a mut self, sink: &'a mut S) -> LegacyParts<'a, S> {
        self.legacy_reading(&[], sink)
    }

    /// The parts of [`Session::legacy`], where payloads of events may be ranges of `input`.
    #[inline]
    pub(super) fn legacy_reading<'a, S: Sink>(
        &'a mut self,
        input: &'a [u8],
        sink: &'a mut S,
    ) -> LegacyParts<'a, S> {
        let lobby = &mut self.lobby;
        let shared = Context {
            config: &self.config,
            outbox: &mut self.outbox,
            marks: &mut self.marks,
            sink: Gate { lobby, input, sink },
            now: self.now,
        };
        let cx = legacy::Context {
            shared,
            negotiation: &mut self.negotiation,
            pace: &mut self.pace,
            qmux: &mut self.qmux,
            side: self.side,
            seed: self.seed,
        };
        (&mut self.legacy, cx)
    }
}
