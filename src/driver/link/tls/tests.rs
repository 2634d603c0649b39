//! Two channels with each other: handshakes and bytes however they are cut, and bytes that are of no peer.

use super::*;
use crate::driver::tls::ALPN;
use crate::driver::tls::config::{Contexts, server, server_name};
use crate::driver::tls::options::{ClientContext, TlsOptions, Version};
use crate::driver::tls::testing::{Authority, Dates};
use crate::proto::tests::choices::Choices;
use std::sync::Arc;

mod certificates;
mod fuzzed;
mod names;

/// What both ends are told.
#[derive(Clone)]
struct Setup {
    authority: Arc<Authority>,
    context: ClientContext,
    server: TlsOptions,
    name: &'static str,
}

impl Setup {
    fn new() -> Self {
        let authority = Authority::new("authority");
        let identity = authority.issue(&["localhost"], Dates::Now);
        let ca = vec![authority.text()];
        let options = TlsOptions {
            ca: ca.clone(),
            ..TlsOptions::default()
        };
        Self {
            context: ClientContext {
                options,
                ..ClientContext::default()
            },
            server: TlsOptions {
                ca,
                identities: vec![identity.text()],
                ..TlsOptions::default()
            },
            authority: Arc::new(authority),
            name: "localhost",
        }
    }

    /// Both ends, which have begun.
    fn begin(&self) -> Pair {
        self.begin_with(&mut Contexts::default())
    }

    fn begin_with(&self, contexts: &mut Contexts) -> Pair {
        let config = contexts.get(&self.context).expect("valid");
        let name = server_name(self.name).expect("valid");
        let starts = [
            Start::Client(config, name),
            Start::Server(server(&self.server, &Arc::default()).expect("valid")),
        ];
        Pair::new(starts)
    }
}

/// Two ends.
struct Pair {
    ends: [End; 2],
}

struct End {
    tls: Tls,
    /// The plain bytes that have come.
    got: Vec<u8>,
    error: Option<TlsError>,
}

impl Pair {
    fn new(starts: [Start; 2]) -> Self {
        let ends = starts.map(|start| {
            let mut tls = Tls::new(start);
            tls.begin().expect("it can begin");
            let (got, error) = (Vec::new(), None);
            End { tls, got, error }
        });
        Self { ends }
    }

    /// Lets both ends talk until neither has anything to say, in reads of at most so many bytes.
    fn talk(&mut self, mut cut: impl FnMut() -> usize) {
        loop {
            let [client, server] = &mut self.ends;
            let (ours, theirs) = (client.take(), server.take());
            if ours.is_empty() && theirs.is_empty() {
                return;
            }
            server.read_all(&ours, &mut cut);
            client.read_all(&theirs, &mut cut);
        }
    }

    fn open(mut self) -> Self {
        self.talk(|| usize::MAX);
        for end in &self.ends {
            assert_eq!(end.error, None);
            assert!(end.tls.is_open());
        }
        self
    }

    fn codes(&self) -> [Option<&'static str>; 2] {
        self.ends
            .each_ref()
            .map(|end| end.error.as_ref().map(|error| error.code))
    }
}

/// The bytes of a transmit.
fn bytes(transmit: &Transmit) -> Vec<u8> {
    transmit.pieces().flatten().copied().collect()
}

impl End {
    /// What TLS itself has to send.
    fn take(&mut self) -> Vec<u8> {
        let Some(mut transmit) = self.tls.take_own() else {
            return Vec::new();
        };
        let all = bytes(&transmit);
        assert_eq!(self.tls.sent(all.len()), 0, "nothing is of the session");
        transmit.advance(all.len());
        self.tls.recycle(transmit);
        all
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let sealed = self.tls.seal(std::iter::once(plain)).expect("open");
        let all = bytes(&sealed);
        assert_eq!(self.tls.sent(all.len()), plain.len());
        all
    }

    /// Takes one read.
    fn read(&mut self, received: &[u8]) {
        if self.error.is_some() || self.tls.has_peer_closed() {
            return;
        }
        let at = self.tls.room_ahead() + 7;
        let mut buffer = [vec![0x55; at], received.to_vec(), vec![0xaa; 9]].concat();
        let end = at + received.len();
        let Opened { plain, error } = self.tls.open(&mut buffer, at..end);
        assert_eq!(plain.start, 7, "the room of others is theirs");
        assert_eq!(buffer[..7], [0x55; 7]);
        assert_eq!(buffer[end..], [0xaa; 9]);
        self.got.extend_from_slice(&buffer[plain]);
        self.error = error;
        assert!(self.tls.kept.len() <= MAX_KEPT || self.error.is_some());
    }

    fn read_all(&mut self, mut all: &[u8], cut: &mut impl FnMut() -> usize) {
        while !all.is_empty() {
            let (now, later) = all.split_at(cut().clamp(1, all.len()));
            self.read(now);
            all = later;
        }
    }
}

const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

fn with_version(version: Version) -> Setup {
    let mut setup = Setup::new();
    setup.server.max_version = version;
    setup
}

#[test]
fn both_ends_agree_however_their_handshake_is_cut() {
    for version in VERSIONS {
        let setup = with_version(version);
        for cut in [1, 2, 5, 6, 100, usize::MAX] {
            let mut pair = setup.begin();
            pair.talk(|| cut);
            for end in &pair.ends {
                assert!(end.error.is_none() && end.tls.is_open());
                assert!(end.tls.is_between_records());
                assert_eq!(end.tls.protocol(), Some(ALPN));
            }
        }
    }
}

#[test]
fn what_is_sealed_is_opened_in_one_piece_however_it_is_cut() {
    for version in VERSIONS {
        let mut pair = with_version(version).begin().open();
        for seed in 0..200 {
            let mut choices = Choices::Seed(seed);
            let from = choices.below(2);
            let mut sent = Vec::new();
            let mut records = Vec::new();
            for _ in 0..choices.below(5) + 1 {
                let length = choices.pick(&[1, 100, 16_383, 16_384, 16_385, 40_000, 70_000]);
                let plain: Vec<u8> = (0..length).map(|at| (at + seed as usize) as u8).collect();
                records.extend(pair.ends[from].seal(&plain));
                sent.extend(plain);
            }
            let most = choices.pick(&[1000, 16_384, 16_406, 65_600, 300_000]);
            let other = &mut pair.ends[1 - from];
            other.got.clear();
            other.read_all(&records, &mut || 1 + choices.below(most));
            assert_eq!(other.error, None);
            assert!(other.got == sent, "seed {seed}");
            assert!(other.tls.is_between_records());
        }
    }
}

#[test]
fn plain_bytes_are_sent_when_the_last_byte_of_their_record_is() {
    let mut pair = Setup::new().begin().open();
    let client = &mut pair.ends[0].tls;
    let sealed = client
        .seal([&[1; 20_000][..], &[2; 10]].into_iter())
        .expect("open");
    let lengths: Vec<usize> = client.sealed.iter().map(|record| record.length).collect();
    let plain: Vec<usize> = client.sealed.iter().map(|record| record.plain).collect();
    assert_eq!(plain, [16_384, 20_000 - 16_384, 10]);
    assert_eq!(lengths.iter().sum::<usize>(), sealed.len());
    assert_eq!(client.sent(lengths[0] - 1), 0);
    assert_eq!(client.sent(1), plain[0]);
    assert_eq!(client.sent(lengths[1] + lengths[2] - 1), plain[1]);
    assert_eq!(client.sent(1), plain[2]);
}

#[test]
fn the_length_to_read_for_a_message_is_that_of_its_records() {
    let mut pair = Setup::new().begin().open();
    let [client, server] = &mut pair.ends;
    for plain in [1, 5000, 16_384, 65_600] {
        let needed = client.seal(&vec![1; plain]).len();
        let asked = server.tls.length_of(plain);
        assert!((needed..needed + 200).contains(&asked), "{plain}: {asked}");
    }
}

#[test]
fn each_end_is_told_of_the_others_end() {
    for version in VERSIONS {
        let mut pair = with_version(version).begin().open();
        let [client, server] = &mut pair.ends;
        let last = client.seal(b"last");
        client.tls.close();
        client.tls.close();
        let close = client.take();
        server.read(&[&last[..], &close, b"what follows is of nobody"].concat());
        assert_eq!((&server.got[..], &server.error), (&b"last"[..], &None));
        assert!(server.tls.has_peer_closed() && server.tls.is_between_records());
        // The other direction goes on.
        let answer = server.seal(b"answer");
        server.tls.close();
        client.read(&[answer, server.take()].concat());
        assert_eq!(client.got, b"answer");
        assert!(client.tls.has_peer_closed() && client.error.is_none());
    }
}

/// The bytes with which each end of a handshake begins.
fn flights(setup: &Setup) -> [Vec<u8>; 2] {
    let mut pair = setup.begin();
    let hello = pair.ends[0].take();
    pair.ends[1].read(&hello);
    [hello, pair.ends[1].take()]
}

#[test]
fn a_handshake_that_ends_anywhere_is_not_done() {
    for version in VERSIONS {
        let setup = with_version(version);
        let [hello, _] = flights(&setup);
        for cut in 0..hello.len() {
            let mut pair = setup.begin();
            pair.ends[1].read(&hello[..cut]);
            let server = &pair.ends[1];
            assert!(server.error.is_none() && !server.tls.is_open(), "{cut}");
            assert_eq!(server.tls.kept.len(), cut);
        }
        let mut pair = setup.begin();
        let hello = pair.ends[0].take();
        pair.ends[1].read(&hello);
        let answer = pair.ends[1].take();
        for &byte in &answer[..answer.len() - 1] {
            pair.ends[0].read(&[byte]);
            assert!(pair.ends[0].error.is_none() && !pair.ends[0].tls.is_open());
        }
    }
}

#[test]
fn a_handshake_with_a_wrong_byte_fails_with_a_code_or_is_none_the_worse() {
    for version in VERSIONS {
        let setup = with_version(version);
        let [hello, answer] = flights(&setup);
        for at in 0..hello.len() {
            let mut pair = setup.begin();
            let mut wrong = hello.clone();
            wrong[at] ^= 0x40;
            pair.ends[1].read(&wrong);
            let server = &pair.ends[1];
            assert!(!server.tls.is_open());
            if let Some(error) = &server.error {
                assert!(error.code.starts_with("ERR_SSL_"), "{error:?}");
                let is_told = server.tls.wants_write() || error.code == "ERR_SSL_INTERNAL_ERROR";
                assert!(is_told, "nobody is told: {error:?}");
            }
        }
        for at in 0..answer.len() {
            let mut pair = setup.begin();
            let hello = pair.ends[0].take();
            pair.ends[1].read(&hello);
            let mut wrong = pair.ends[1].take();
            let at = at.min(wrong.len() - 1);
            wrong[at] ^= 0x40;
            let client = &mut pair.ends[0];
            client.read(&wrong);
            assert!(!client.tls.is_open() || version == Version::Tls13);
        }
    }
}

#[test]
fn whatever_is_sent_in_place_of_a_handshake_is_an_error_and_no_panic() {
    for seed in 0..2000 {
        let mut choices = Choices::Seed(seed);
        let mut garbage: Vec<u8> = (0..choices.below(2000) + 5)
            .map(|_| choices.below(256) as u8)
            .collect();
        // A third of it looks like a record.
        if choices.once_in(3) {
            let length = garbage.len() as u16 - 5;
            garbage[..3].copy_from_slice(&[22, 3, 1]);
            garbage[3..5].copy_from_slice(&length.to_be_bytes());
        }
        for side in 0..2 {
            let mut pair = Setup::new_cached().begin();
            let end = &mut pair.ends[side];
            end.read_all(&garbage, &mut || 1 + choices.below(500));
            assert!(!end.tls.is_open());
        }
    }
}

impl Setup {
    fn new_cached() -> &'static Self {
        static SETUP: std::sync::OnceLock<Setup> = std::sync::OnceLock::new();
        SETUP.get_or_init(Self::new)
    }
}

#[test]
fn what_is_longer_than_it_may_be_is_refused_at_once() {
    let record = |length: u16, body: &[u8]| {
        let mut bytes = vec![22, 3, 1];
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    };
    let mut pair = Setup::new().begin();
    pair.ends[1].read(&record(0x4801, b""));
    assert_eq!(pair.codes()[1], Some("ERR_SSL_DATA_LENGTH_TOO_LONG"));
    // A message of 16 MB.
    let mut pair = Setup::new().begin();
    pair.ends[1].read(&record(4, &[1, 0xff, 0xff, 0xff]));
    assert_eq!(pair.codes()[1], Some("ERR_SSL_EXCESSIVE_MESSAGE_SIZE"));
    // A message that is never whole, in many records.
    let mut pair = Setup::new().begin();
    let server = &mut pair.ends[1];
    server.read(&record(4, &[1, 0, 0xff, 0xff]));
    for _ in 0..200 {
        server.read(&record(1000, &[0; 1000]));
    }
    assert!(server.error.is_some());
    // A record in an open connection.
    let mut pair = Setup::new().begin().open();
    pair.ends[1].read(&[23, 3, 3, 0x49, 1]);
    assert_eq!(pair.codes()[1], Some("ERR_SSL_DATA_LENGTH_TOO_LONG"));
}

#[test]
fn a_record_that_was_changed_ends_the_connection() {
    for version in VERSIONS {
        let mut pair = with_version(version).begin().open();
        let [client, server] = &mut pair.ends;
        let good = client.seal(b"good");
        let mut bad = client.seal(b"bad");
        let last = bad.len() - 1;
        bad[last] ^= 1;
        server.read(&[good, bad].concat());
        assert_eq!(server.got, b"good", "what came before is not lost");
        let code = server.error.as_ref().map(|error| error.code);
        assert_eq!(code, Some("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"));
        let alert = server.take();
        client.read(&alert);
        assert_eq!(pair.codes()[0], Some("ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC"));
    }
}

#[test]
fn a_peer_in_the_clear_is_told_from_one_that_speaks_tls() {
    for (bytes, code, message) in [
        (
            &b"\0\0\0\x0a\x01\x02null"[..],
            "ERR_SSL_WRONG_VERSION_NUMBER",
            "the peer does not speak TLS",
        ),
        (
            b"\x20\xff\x51\x53\x30\x0d\x0a\x0d\x0a",
            "ERR_SSL_WRONG_VERSION_NUMBER",
            "the peer speaks QMux in the clear and not TLS",
        ),
        (
            b"GET / HTTP/1.1\r\n",
            "ERR_SSL_HTTP_REQUEST",
            "the peer speaks HTTP and not TLS",
        ),
        (
            b"\0",
            "ERR_SSL_WRONG_VERSION_NUMBER",
            "the peer does not speak TLS",
        ),
    ] {
        for side in 0..2 {
            let mut pair = Setup::new().begin();
            let end = &mut pair.ends[side];
            end.take();
            end.read(bytes);
            let error = end.error.clone().expect("it is none");
            assert_eq!((error.code, &error.message[..]), (code, message));
            // The peer, which speaks our protocol in the clear, recognises the answer.
            assert_eq!(
                negotiate::recognise(&end.take()),
                negotiate::Start::Other("TLS")
            );
        }
    }
}

#[test]
fn keys_are_renewed_in_the_middle_of_everything() {
    let mut pair = Setup::new().begin().open();
    let [client, server] = &mut pair.ends;
    for round in 0..5_u8 {
        if let State::Client(connection) = &mut client.tls.state {
            let status = connection.process_tls_records(&mut []);
            let Ok(ConnectionState::WriteTraffic(traffic)) = status.state else {
                panic!("it is open");
            };
            traffic.refresh_traffic_keys().expect("TLS 1.3");
        }
        let there = client.seal(&[round; 100]);
        server.read(&there);
        let back = server.seal(&[round; 50]);
        client.read(&back);
    }
    assert_eq!((server.got.len(), client.got.len()), (500, 250));
    assert_eq!(pair.codes(), [None, None]);
}

#[test]
fn an_idle_channel_keeps_no_buffer() {
    let mut pair = Setup::new().begin().open();
    let client = &mut pair.ends[0].tls;
    let mut sealed = client.seal([&[1; 60_000][..]].into_iter()).expect("open");
    client.sent(sealed.len());
    sealed.advance(sealed.len());
    client.recycle(sealed);
    assert_eq!(client.spare.len(), 1);
    client.shrink();
    assert!(client.spare.is_empty());
}
