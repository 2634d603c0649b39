//! Records of TLS into the link: two real ends in one process, whose bytes are changed on the way. Whatever is changed, nobody
//! panics, and an end that is told plain bytes is told those that the other end has sent.
//!
//! The first byte chooses the version, whether the server asks for the name, and how the bytes are cut into reads. The others
//! say, for each flight, what is done to it.

use super::driver::tls::config::{Choice, Contexts, Start, server, server_name};
use super::driver::tls::options::{ClientContext, IdentityText, TlsOptions, Version};
use super::driver::tls_channel::{Opened, Tls};
use std::sync::{Arc, OnceLock};

/// Flights after which both have said enough.
const FLIGHTS: usize = 40;

/// The plain bytes of a message.
const MESSAGE: usize = 20_000;

struct End {
    tls: Tls,
    sent: Vec<u8>,
    got: Vec<u8>,
    has_failed: bool,
}

/// What both ends begin with, of each version.
fn starts(version: usize) -> [Start; 2] {
    static ALL: OnceLock<Vec<[Start; 2]>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let make = |version| {
            let mut options = TlsOptions {
                ca: vec![include_str!("../../__test__/fixtures/tls/authority.pem").to_owned()],
                max_version: version,
                ..TlsOptions::default()
            };
            let context = ClientContext {
                options: options.clone(),
                ..ClientContext::default()
            };
            options.identities.push(IdentityText {
                cert: include_str!("../../__test__/fixtures/tls/server.pem").to_owned(),
                key: include_str!("../../__test__/fixtures/tls/server-key.pem").to_owned(),
            });
            let client = Contexts::default().get(&context).expect("valid");
            let name = server_name("localhost").expect("a name");
            let server = server(&options, &Arc::default()).expect("valid");
            [Start::Client(client, name), Start::Server(server)]
        };
        vec![make(Version::Tls13), make(Version::Tls12)]
    });
    all[version].clone()
}

impl End {
    fn new(start: Start, asks: bool) -> Self {
        let mut tls = Tls::new(start);
        if asks {
            tls.ask_for_name();
        }
        tls.begin().expect("it can begin");
        Self {
            tls,
            sent: Vec::new(),
            got: Vec::new(),
            has_failed: false,
        }
    }

    /// What this end has to say: of the handshake, or a message.
    fn say(&mut self, wants: u8) -> Vec<u8> {
        if self.tls.take_name().is_some() {
            self.tls.choose(match wants % 3 {
                0 => Choice::Nobody,
                _ => Choice::Own,
            });
        }
        if !self.has_failed && self.tls.go_on().is_err() {
            self.has_failed = true;
        }
        let mut transmits = Vec::from_iter(self.tls.take_own());
        if self.tls.is_open() && !self.tls.has_closed() && self.sent.len() < 4 * MESSAGE {
            let length = MESSAGE >> (wants & 15);
            let plain: Vec<u8> = (0..length).map(|at| (at + self.sent.len()) as u8).collect();
            transmits.extend(self.tls.seal(std::iter::once(&plain[..])));
            self.sent.extend(plain);
            if wants > 250 {
                self.tls.close();
                transmits.extend(self.tls.take_own());
            }
        }
        let mut bytes = Vec::new();
        for mut transmit in transmits {
            transmit
                .pieces()
                .for_each(|piece| bytes.extend_from_slice(piece));
            let length = transmit.len();
            self.tls.sent(length);
            transmit.advance(length);
            self.tls.recycle(transmit);
        }
        bytes
    }

    fn hear(&mut self, received: &[u8]) {
        // rustls asserts, in debug builds, that no alert follows our close_notify, and a bad record makes it send one.
        if self.has_failed || self.tls.has_peer_closed() || self.tls.has_closed() {
            return;
        }
        let at = self.tls.room_ahead();
        let mut bytes = vec![0; at];
        bytes.extend_from_slice(received);
        let end = bytes.len();
        let Opened { plain, error } = self.tls.open(&mut bytes, at..end);
        self.got.extend_from_slice(&bytes[plain]);
        self.has_failed = error.is_some();
    }
}

/// Changes a flight as the input says. Nothing is changed where the input has ended.
fn change(bytes: &mut Vec<u8>, input: &mut impl Iterator<Item = u8>) {
    let Some(what) = input.next() else {
        return;
    };
    let mut number = |most: usize| {
        let high = usize::from(input.next().unwrap_or(0));
        let low = usize::from(input.next().unwrap_or(0));
        (high << 8 | low) % (most + 1)
    };
    let at = number(bytes.len());
    match what % 8 {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(..at)),
        2 => bytes.extend_from_within(..at),
        3 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (what >> 5);
            }
        }
        4 => {
            // The head of a record.
            if let Some(byte) = bytes.get_mut(at % 5) {
                *byte = what >> 3;
            }
        }
        5 => {
            let new: Vec<u8> = (0..number(64)).map(|_| number(255) as u8).collect();
            bytes.splice(at..at, new);
        }
        _ => {}
    }
}

pub fn tls(data: &[u8]) {
    let Some((&flags, input)) = data.split_first() else {
        return;
    };
    let [client, server] = starts(usize::from(flags & 1));
    let mut ends = [End::new(client, false), End::new(server, flags & 2 != 0)];
    let cut = [usize::MAX, 1, 77, 5000][usize::from(flags >> 2 & 3)];
    let mut input = input.iter().copied();
    for flight in 0..FLIGHTS {
        let from = flight % 2;
        let wants = input.next().unwrap_or(1);
        let mut bytes = ends[from].say(wants);
        change(&mut bytes, &mut input);
        for piece in bytes.chunks(cut) {
            ends[1 - from].hear(piece);
        }
    }
    let [client, server] = &ends;
    for (sent, got) in [(&client.sent, &server.got), (&server.sent, &client.got)] {
        assert!(sent.starts_with(got), "what nobody has sent");
    }
}
