//! The negotiation, in which two ends find out what they speak: recognising a QMux start, and the offer on the legacy
//! wire.
//!
//! ```text
//!                      first frame is an offer
//!   Undecided ────────────────────────────────────▶ New
//!       └───────── first frame is anything else ──▶ Old
//! ```
//!
//! 0.1.0 skips an offer as a frame of an unknown type. If the two lists of versions have one in common, each end writes
//! a switch, and behind it that direction is the other wire:
//!
//! ```text
//!   our direction:    offer ── legacy frames ── switch ── records        the peer's offer is read: switch, at once
//!   the peer's:       offer ── legacy frames ── switch ── records        the peer's switch is read: records follow
//! ```
//!
//! May not write to the wire or know what streams are.

use super::config::Side;
use super::error::ProtocolError;
use super::event::PeerKind;
use super::varint;
use bytes::{Buf, BufMut};

/// Frame type of the offer.
pub const OFFER: u8 = 0xf0;
/// Frame type of the switch.
pub const SWITCH: u8 = 0xf1;
/// The longest payload of an offer: room for every parameter and more to come, and too little to fill memory with.
pub const MAX_OFFER: usize = 1024;

const MAGIC: &[u8; 4] = b"TSMX";
/// QMux draft-02 with our mapping, which is the only other wire there is.
const QMUX: u8 = 1;
/// Length of a switch's payload.
pub const SWITCH_LENGTH: usize = MAGIC.len() + 1 + NONCE;
/// Length of a nonce.
const NONCE: usize = 8;
/// The first frame type of a QMux connection, as bytes of the wire.
const QMUX_FIRST_FRAME: [u8; 8] = [0xff, 0x51, 0x53, 0x30, 0x0d, 0x0a, 0x0d, 0x0a];

/// The kind of a connection's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There are not enough of them yet.
    Undecided,
    /// Legacy frames.
    Legacy,
    /// QMux records.
    Qmux,
    /// A protocol that is not ours, with this name.
    Other(&'static str),
}

/// The first bytes of protocols that programs connect to, or with, by mistake. As lengths of legacy frames these are
/// from 369 MB to 1.4 GB, and no version ever sent such a frame first.
const OTHERS: [(&[u8], &str); 13] = [
    // A handshake record, and the alert with which a server answers nonsense. The third byte is from 0 to 4.
    (b"\x16\x03", "TLS"),
    (b"\x15\x03", "TLS"),
    (b"SSH-", "SSH"),
    (b"HTTP", "HTTP"),
    (b"GET ", "HTTP"),
    (b"POST", "HTTP"),
    (b"HEAD", "HTTP"),
    (b"PUT ", "HTTP"),
    (b"OPTI", "HTTP"),
    (b"DELE", "HTTP"),
    (b"PATC", "HTTP"),
    (b"CONN", "HTTP"),
    (b"PRI ", "HTTP/2"),
];

/// The foreign protocol that the first bytes belong to; `Undecided` if they may turn out to belong to one.
fn other(bytes: &[u8]) -> Option<Start> {
    let found = OTHERS.iter().find_map(|&(begin, name)| {
        let seen = begin.len().min(bytes.len());
        (bytes[..seen] == begin[..seen]).then_some((seen == begin.len(), name))
    });
    found.map(|(is_whole, name)| match is_whole {
        true => Start::Other(name),
        false => Start::Undecided,
    })
}

/// The most bytes that [`recognise`] needs: a size of up to 8 bytes, and the frame type.
pub const MAX_START: usize = 16;

/// Recognises what the first bytes of a connection are.
pub fn recognise(bytes: &[u8]) -> Start {
    let Some(&first) = bytes.first() else {
        return Start::Undecided;
    };
    // The shortest record has the frame type's 8 bytes and a length.
    if first < 9 {
        return Start::Legacy;
    }
    if let Some(start) = other(bytes) {
        return start;
    }
    let size = 1 << (first >> 6);
    let Some(after) = bytes.get(size..) else {
        return Start::Undecided;
    };
    let seen = after.len().min(QMUX_FIRST_FRAME.len());
    if after[..seen] != QMUX_FIRST_FRAME[..seen] {
        Start::Legacy
    } else if seen == QMUX_FIRST_FRAME.len() {
        Start::Qmux
    } else {
        Start::Undecided
    }
}

/// One connection's negotiation.
#[derive(Debug)]
pub struct Negotiation {
    is_enabled: bool,
    has_offered: bool,
    peer: PeerKind,
    side: Side,
    nonce: [u8; NONCE],
    /// The peer is to switch.
    expects_switch: bool,
}

/// The result of an offer: another wire, and what the peer says of itself there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Payload of our switch.
    pub switch: Vec<u8>,
    /// The peer's transport parameters.
    pub parameters: Vec<u8>,
}

impl Negotiation {
    /// `nonce` distinguishes our own offer, if it is reflected, from a peer's.
    pub fn new(enabled: bool, side: Side, nonce: [u8; NONCE]) -> Self {
        let peer = if enabled {
            PeerKind::Undecided
        } else {
            PeerKind::Old
        };
        Self {
            is_enabled: enabled,
            has_offered: false,
            peer,
            side,
            nonce,
            expects_switch: false,
        }
    }

    /// The kind of the peer, as far as it is known.
    pub fn peer(&self) -> PeerKind {
        self.peer
    }

    /// Whether offers are understood. Otherwise they are frames of an unknown type.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// The offer to write before any other frame, once. A connecting end writes it as its first bytes. A listening end
    /// writes it if it has something to say before the peer has spoken, or as its answer to an offer.
    pub fn offer(&mut self, parameters: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
        let answers = self.side == Side::Connecting || self.peer != PeerKind::Old;
        if !self.is_enabled || self.has_offered || !answers {
            return None;
        }
        self.has_offered = true;
        let parameters = parameters();
        let mut payload = MAGIC.to_vec();
        payload.put_slice(&[1, QMUX]);
        payload.put_slice(&self.nonce);
        varint::put(parameters.len() as u64, &mut payload);
        payload.put_slice(&parameters);
        debug_assert!(payload.len() <= MAX_OFFER, "parameters are few");
        Some(payload)
    }

    /// Whether we have offered.
    pub fn has_offered(&self) -> bool {
        self.has_offered
    }

    /// The peer started with records, so it is new although it made no offer.
    pub fn recv_records(&mut self) {
        self.peer = PeerKind::New;
    }

    /// A frame that is no offer arrived. Returns whether that decided the kind of the peer.
    pub fn recv_other(&mut self) -> bool {
        let decides = self.peer == PeerKind::Undecided;
        if decides {
            self.peer = PeerKind::Old;
        }
        decides
    }

    /// Whether an offer may come here: an offer is the first frame of its direction, or is never sent.
    pub fn check_place(&self) -> Result<(), ProtocolError> {
        match self.peer {
            PeerKind::Undecided => Ok(()),
            PeerKind::Old => Err(ProtocolError::Offer("it is not the first frame")),
            PeerKind::New => Err(ProtocolError::Offer("it is the second")),
        }
    }

    /// A whole offer arrived. Returns its result; `None`: there is no other wire.
    pub fn recv_offer(&mut self, payload: &[u8]) -> Result<Option<Agreed>, ProtocolError> {
        self.check_place()?;
        let offer = parse(payload).ok_or(ProtocolError::Offer("it is malformed"))?;
        if offer.nonce == self.nonce {
            return Err(ProtocolError::Offer("it is our own"));
        }
        self.peer = PeerKind::New;
        if !offer.versions.contains(&QMUX) {
            return Ok(None);
        }
        self.expects_switch = true;
        let mut switch = MAGIC.to_vec();
        switch.put_u8(QMUX);
        switch.put_slice(&offer.nonce);
        Ok(Some(Agreed {
            switch,
            parameters: offer.parameters.to_vec(),
        }))
    }

    /// Whether a switch of this length may come.
    pub fn check_switch(&self, length: usize) -> Result<(), ProtocolError> {
        match self.expects_switch && self.has_offered && length == SWITCH_LENGTH {
            true => Ok(()),
            false => Err(ProtocolError::Switch),
        }
    }

    /// The peer's switch arrived whole.
    pub fn recv_switch(&mut self, payload: &[u8]) -> Result<(), ProtocolError> {
        self.check_switch(payload.len())?;
        let expected = [&MAGIC[..], &[QMUX], &self.nonce].concat();
        if payload != expected {
            return Err(ProtocolError::Switch);
        }
        self.expects_switch = false;
        Ok(())
    }
}

/// The contents of a well-formed offer. Bytes behind the parameters are room for more, and are ignored.
struct Offer<'a> {
    versions: &'a [u8],
    nonce: [u8; NONCE],
    parameters: &'a [u8],
}

fn parse(payload: &[u8]) -> Option<Offer<'_>> {
    let mut rest = payload.strip_prefix(MAGIC)?;
    let count = rest.try_get_u8().ok()?;
    let versions = rest.split_off(..usize::from(count))?;
    let mut nonce = [0; NONCE];
    rest.try_copy_to_slice(&mut nonce).ok()?;
    let length = varint::get(&mut rest)?;
    let parameters = rest.split_off(..usize::try_from(length).ok()?)?;
    Some(Offer {
        versions,
        nonce,
        parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiation(nonce: u8) -> Negotiation {
        Negotiation::new(true, Side::Connecting, [nonce; 8])
    }

    #[test]
    fn a_qmux_start_is_told_from_legacy_at_every_size_and_cut() {
        let sizes: [&[u8]; 4] = [
            &[0x20],
            &[0x40, 0x20],
            &[0x80, 0, 0, 0x20],
            &[0xc0, 0, 0, 0, 0, 0, 0, 0x20],
        ];
        for size in sizes {
            let start = [size, &QMUX_FIRST_FRAME].concat();
            for cut in 0..start.len() {
                assert_eq!(
                    recognise(&start[..cut]),
                    Start::Undecided,
                    "{:?}",
                    &start[..cut]
                );
            }
            assert_eq!(recognise(&start), Start::Qmux);
            for at in size.len()..start.len() {
                let mut other = start.clone();
                other[at] ^= 1;
                assert_eq!(recognise(&other), Start::Legacy);
            }
            assert!(start.len() <= MAX_START);
        }
        assert_eq!(recognise(&[0]), Start::Legacy);
        assert_eq!(recognise(&[8]), Start::Legacy);
    }

    #[test]
    fn protocols_of_others_are_recognised_at_every_cut_and_nothing_else_is() {
        for (bytes, name) in [
            (&b"\x16\x03\x01\x02\x00"[..], "TLS"),
            (b"\x15\x03\x03\x00\x02", "TLS"),
            (b"SSH-2.0-OpenSSH_9.6", "SSH"),
            (b"HTTP/1.1 400 Bad Request", "HTTP"),
            (b"GET / HTTP/1.1\r\n", "HTTP"),
            (b"POST /", "HTTP"),
            (b"HEAD /", "HTTP"),
            (b"PUT /", "HTTP"),
            (b"PRI * HTTP/2.0", "HTTP/2"),
        ] {
            let told = bytes
                .iter()
                .enumerate()
                .map(|(cut, _)| recognise(&bytes[..cut]));
            for start in told {
                assert!(matches!(start, Start::Undecided | Start::Other(_)));
            }
            assert_eq!(recognise(bytes), Start::Other(name));
        }
        for bytes in [
            &b"\x16\x04\x00\x00"[..],
            b"GEX ",
            b"SSH2",
            b"PUTT",
            b"\x15\x02",
        ] {
            assert_eq!(recognise(bytes), Start::Legacy, "{bytes:?}");
        }
    }

    #[test]
    fn an_offer_is_understood_with_unknown_versions_and_room_for_more() {
        let own = negotiation(1)
            .offer(|| vec![9, 9])
            .expect("a connecting end offers");
        assert_eq!(
            own,
            [b"TSMX\x01\x01".as_slice(), &[1; 8], &[2, 9, 9]].concat()
        );
        let agreed = Agreed {
            switch: [b"TSMX\x01".as_slice(), &[1; 8]].concat(),
            parameters: vec![9, 9],
        };
        let mut other = negotiation(2);
        assert_eq!(other.recv_offer(&own), Ok(Some(agreed)));
        let later = [b"TSMX\x02\x07\x01".as_slice(), &[3; 8], &[0], b"more"].concat();
        assert!(matches!(
            negotiation(2).recv_offer(&later),
            Ok(Some(Agreed { parameters, .. })) if parameters.is_empty()
        ));
        let none = [b"TSMX\x01\x07".as_slice(), &[3; 8], &[0]].concat();
        assert_eq!(negotiation(2).recv_offer(&none), Ok(None));
    }

    #[test]
    fn a_switch_is_taken_once_from_a_peer_that_offered() {
        let (mut here, mut there) = (negotiation(1), negotiation(2));
        let (ours, theirs) = (here.offer(Vec::new), there.offer(Vec::new));
        let agreed = there.recv_offer(&ours.expect("an offer")).expect("fine");
        let switch = agreed.expect("a wire").switch;
        assert!(here.recv_switch(&switch).is_err(), "before its offer");
        assert!(here.recv_offer(&theirs.expect("an offer")).is_ok());
        let mut wrong = switch.clone();
        wrong[4] = 2;
        assert_eq!(here.recv_switch(&wrong), Err(ProtocolError::Switch));
        wrong = switch.clone();
        wrong[12] ^= 1;
        assert_eq!(here.recv_switch(&wrong), Err(ProtocolError::Switch));
        assert_eq!(here.recv_switch(&switch), Ok(()));
        assert_eq!(here.recv_switch(&switch), Err(ProtocolError::Switch));
    }

    #[test]
    fn a_bad_offer_is_refused() {
        let own = negotiation(1)
            .offer(|| vec![9, 9])
            .expect("a connecting end offers");
        assert!(negotiation(1).recv_offer(&own).is_err(), "our own");
        for cut in 0..own.len() {
            assert!(
                negotiation(2).recv_offer(&own[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        let mut twice = negotiation(2);
        assert!(twice.recv_offer(&own).is_ok());
        assert!(twice.recv_offer(&own).is_err(), "second");
        let mut late = negotiation(2);
        assert!(late.recv_other());
        assert!(late.recv_offer(&own).is_err(), "late");
    }

    #[test]
    fn a_listening_end_offers_nothing_to_an_old_peer() {
        let mut listening = Negotiation::new(true, Side::Listening, [1; 8]);
        listening.recv_other();
        assert_eq!(listening.offer(Vec::new), None);
    }
}
