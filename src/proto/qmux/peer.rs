//! The peer, as its transport parameters describe it, and their consequences for what we send.
//!
//! May not send anything, nor know a stream.

use super::super::error::{ProtocolError, Violation};
use super::super::event::MAX_MESSAGE;
use super::parameters::Parameters;

/// The longest header in front of a payload in one frame: type, id, offset.
const HEADER_ROOM: usize = 1 + 8 + 8;

/// The longest header if no offset is needed.
const OUR_HEADER: usize = 1 + 8;

/// The longest payload of one frame if the peer accepts any length.
const LONGEST: usize = MAX_MESSAGE;

/// The peer, as far as it is known.
#[derive(Debug, Default)]
pub struct Peer {
    /// `None` until the peer has declared them. Whatever needs them waits.
    parameters: Option<Parameters>,
    /// The parameters in the peer's offer, which the peer has to repeat.
    offered: Option<Vec<u8>>,
    longest_payload: usize,
    longest_unsplit: usize,
}

impl Peer {
    /// The peer's parameters are in force.
    pub fn declare(&mut self, parameters: Parameters) {
        // A record also has the header of its frame.
        let record = usize::try_from(parameters.max_record).unwrap_or(usize::MAX);
        let header = match parameters.is_ours {
            true => OUR_HEADER,
            false => HEADER_ROOM,
        };
        self.longest_payload = record.saturating_sub(header).min(LONGEST);
        if parameters.is_ours {
            // Credit goes back at half a window, so a message of half a window never waits in vain.
            let windows = parameters.max_data.min(parameters.max_stream_data_local);
            let half = windows.min(parameters.max_stream_data_remote) / 2;
            let half = usize::try_from(half).unwrap_or(usize::MAX);
            self.longest_unsplit = self.longest_payload.min(half);
        }
        self.parameters = Some(parameters);
    }

    /// The peer's parameters came with its offer, and have to come again on this wire.
    pub fn expect_again(&mut self, offered: Vec<u8>) {
        self.offered = Some(offered);
    }

    /// Takes the parameters that the peer's first frame carries. `None`: they repeat those of its offer.
    pub fn recv_parameters(&mut self, bytes: &[u8]) -> Result<Option<Parameters>, ProtocolError> {
        match self.offered.take() {
            None => Parameters::decode(bytes).map(Some),
            Some(offered) if offered == bytes => Ok(None),
            Some(_) => Err(ProtocolError::Qmux(
                Violation::Protocol,
                "declared other parameters than in its offer",
            )),
        }
    }

    /// Whether the peer's parameters are in force.
    pub fn is_known(&self) -> bool {
        self.parameters.is_some()
    }

    /// Whether the peer speaks our mapping.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.parameters.as_ref().is_some_and(|peer| peer.is_ours)
    }

    /// Whether the peer is known to speak plain QMux.
    pub fn is_foreign(&self) -> bool {
        self.parameters.as_ref().is_some_and(|peer| !peer.is_ours)
    }

    /// Whether the peer says when nobody there reads an answer, and understands it.
    pub fn hears_unread(&self) -> bool {
        self.parameters
            .as_ref()
            .is_some_and(|peer| peer.hears_unread)
    }

    /// The credit that a stream begins with if we open it.
    pub fn credit_on_ours(&self) -> u64 {
        self.parameters
            .as_ref()
            .map_or(0, |peer| peer.max_stream_data_remote)
    }

    /// The credit that a stream begins with if the peer opens it.
    pub fn credit_on_theirs(&self) -> u64 {
        self.parameters
            .as_ref()
            .map_or(0, |peer| peer.max_stream_data_local)
    }

    /// The longest payload of one frame.
    #[inline]
    pub fn longest_payload(&self) -> usize {
        self.longest_payload
    }

    /// The longest message that always goes in one frame, although others wait.
    #[inline]
    pub fn longest_unsplit(&self) -> usize {
        self.longest_unsplit
    }
}
