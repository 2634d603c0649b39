//! What JavaScript reads of the inbox: records, and the bytes they speak of in a slab of its own or in memory it lent.

use super::Dice;
use crate::driver::boundary::{RECORD_WORDS, WHOLE, kind, split_word, wires};
use crate::driver::inbox::buffers::{BEHIND_LENT, Lent, Memory, READ_LENT};
use crate::driver::{Delivery, Inbox};
use crate::proto::tests::pair::Seen;
use crate::proto::{Handle, PeerKind, Wires};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Pieces of memory lent at once.
const LENT: usize = 3;

/// What a record tells.
#[derive(Debug)]
pub enum Told {
    /// Whether both ends agreed on QMux by their handshake.
    Connected(bool),
    Seen(Seen),
    Drain,
    /// The peer's FIN, or its close with code 0.
    End(Option<Value>),
    Error(Value),
    Closed {
        had_error: bool,
    },
}

struct Slab(Arc<Mutex<Vec<u8>>>);

impl Memory for Slab {
    fn with(&mut self, work: &mut dyn FnMut(&mut [u8])) {
        work(&mut self.0.lock().expect("no one panics with it"));
    }
}

/// JavaScript's place in the inbox.
pub struct Records {
    connection: u32,
    delivery: Delivery,
    lent: Vec<Arc<Mutex<Vec<u8>>>>,
    lends: bool,
    slab: usize,
}

impl Records {
    pub fn new(connection: u32, dice: &Dice) -> Self {
        Self {
            connection,
            delivery: Delivery::default(),
            lent: Vec::new(),
            lends: dice.once_in(2),
            slab: dice.pick(&[64 << 10, 4 << 10, 100]),
        }
    }

    /// Takes what there is, up to `most` records. Returns whether there is more.
    pub fn take(&mut self, inbox: &Inbox, most: usize, told: &mut Vec<Told>) -> bool {
        let mut slab = vec![0; self.slab];
        let mut words = vec![0; RECORD_WORDS * most];
        let mut filled = self.delivery.fill(inbox, &mut slab, 0, &mut words);
        if filled.records == 0 && filled.needed > 0 {
            slab = vec![0; filled.needed];
            filled = self.delivery.fill(inbox, &mut slab, 0, &mut words);
            assert!(filled.records > 0, "there is room for it");
        }
        let (records, _) = words.as_chunks::<RECORD_WORDS>();
        let mut read = |bytes: &[u8]| {
            for record in &records[..filled.records] {
                told.push(self.read(record, bytes));
            }
        };
        match filled.lent {
            None => read(&slab),
            Some((number, _)) => {
                let lent = self.lent[number as usize].clone();
                read(&lent.lock().expect("no one panics with it"));
            }
        }
        if let Some((number, true)) = filled.lent {
            self.lend(inbox, number as usize);
        }
        if inbox.take_lent_short() && self.lends {
            while self.lent.len() < LENT {
                self.lend(inbox, self.lent.len());
            }
        }
        filled.more
    }

    fn lend(&mut self, inbox: &Inbox, number: usize) {
        let fresh = Arc::new(Mutex::new(vec![0; READ_LENT + BEHIND_LENT]));
        match self.lent.get_mut(number) {
            Some(old) => *old = fresh.clone(),
            None => self.lent.push(fresh.clone()),
        }
        inbox.lend(Lent::new(number as u32, Slab(fresh)));
    }

    fn read(&self, record: &[u32; RECORD_WORDS], bytes: &[u8]) -> Told {
        let &[word, stream, start, length, aux] = record;
        let (kind, connection) = split_word(word);
        assert_eq!(connection, self.connection);
        let payload = match length {
            0 => &[][..],
            _ => &bytes[start as usize..][..length as usize],
        };
        let text = || String::from_utf8_lossy(payload).into_owned();
        let json = || -> Value { serde_json::from_slice(payload).expect("JSON of the driver's") };
        let code = || text().parse().expect("a code is a decimal number");
        let handle = Handle(stream);
        let some = Some(handle).filter(|_| stream != WHOLE);
        Told::Seen(match kind {
            kind::DATA => Seen::Data(handle, payload.to_vec()),
            kind::JSON => Seen::Json(handle, text()),
            kind::STREAM => Seen::Stream(handle, aux, text()),
            kind::OPENED => Seen::Opened(handle, aux),
            kind::END => Seen::End(handle, (aux == 1).then(text)),
            kind::CLOSED => Seen::Closed(handle),
            kind::MARK => Seen::Mark(aux),
            kind::PEER if aux == 1 => Seen::Peer(PeerKind::New),
            kind::PEER => Seen::Peer(PeerKind::Old),
            kind::RESET => Seen::Reset(handle, code()),
            kind::STOPPED => Seen::Stopped(handle, code()),
            kind::REFUSED => Seen::Refused(handle, code()),
            kind::GOAWAY => Seen::GoAway(some),
            kind::BLOCKED => Seen::Blocked(handle),
            kind::UNBLOCKED => Seen::Unblocked(handle),
            kind::CREDIT => Seen::Credit(some),
            kind::UNREAD => Seen::Unread(handle),
            kind::PONG => Seen::Pong(aux, Duration::from_micros(stream.into())),
            kind::WIRES => Seen::Wires(Wires {
                sending: aux & wires::SENDS != 0,
                receiving: aux & wires::RECEIVES != 0,
                foreign: aux & wires::FOREIGN != 0,
                hears_unread: aux & wires::HEARS_UNREAD != 0,
            }),
            kind::DRAIN => return Told::Drain,
            kind::CONNECTED => return Told::Connected(json()["tls"]["alpn"].is_string()),
            kind::CONN_END => return Told::End((length > 0).then(json)),
            kind::CONN_ERROR => return Told::Error(json()),
            kind::CONN_CLOSE => {
                return Told::Closed {
                    had_error: aux == 1,
                };
            }
            other => panic!("nobody tells {other} of a connection"),
        })
    }
}
