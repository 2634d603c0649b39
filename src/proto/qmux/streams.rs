//! The table of streams: by handle, as both sides of the boundary name them, and by id, as the wire does.
//!
//! May not know what happens on a stream.

use super::super::event::Handle;
use super::stream::Stream;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};

/// A slot that is further than this behind the last one is a mistake of the caller's.
const MAX_GAP: usize = 1 << 16;

/// The number of streams that are over whose final sizes are remembered, 16 bytes each. What a peer may still send on a
/// stream that has just ended comes within a round trip. RFC 9000, section 4.5, does not ask for more.
const REMEMBERED: usize = 64;

/// The number of streams that are found without the map: as many as live by default.
const RECENT: usize = 256;

/// The place of a stream in `recent`. Neighbours do not share a place, nor do the two directions.
#[inline]
fn place(id: u64) -> usize {
    ((id >> 2) ^ (id & 1) << 7) as usize % RECENT
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Free,
    Live(Box<Stream>),
    /// The stream is over, and the application has not seen that yet.
    Closed,
}

/// Hashes ids. The peer chooses them, but only in sequence, and a seed keeps their places from being predicted.
#[derive(Clone, Copy, Debug)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

#[derive(Debug)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, value: u64) {
        // Both halves of the product are used, because the table uses the highest and the lowest bits.
        let product = u128::from(value ^ self.0) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// The streams of one connection.
#[derive(Debug)]
pub struct Streams {
    local: Vec<Slot>,
    remote: Vec<Slot>,
    free: Vec<u32>,
    ids: HashMap<u64, Handle, Seeded>,
    /// The last stream that was looked up: most frames are for the stream of the frame before.
    last: (u64, Handle),
    /// Streams that were looked up lately, each at the place of its id. The array is allocated with the second stream.
    recent: Option<Box<[Handle; RECENT]>>,
    /// Ids and final sizes of the streams that ended last, the newest at the end.
    past: VecDeque<(u64, u64)>,
}

impl Streams {
    pub fn new(seed: u64) -> Self {
        Self {
            local: Vec::new(),
            remote: Vec::new(),
            free: Vec::new(),
            ids: HashMap::with_hasher(Seeded(seed)),
            last: (u64::MAX, Handle(0)),
            recent: None,
            past: VecDeque::new(),
        }
    }

    /// The live stream under an id.
    #[inline]
    pub fn find(&mut self, id: u64) -> Option<Handle> {
        if self.last.0 == id {
            return Some(self.last.1);
        }
        if let Some(handle) = self.recent(id) {
            self.last = (id, handle);
            return Some(handle);
        }
        let &handle = self.ids.get(&id)?;
        self.last = (id, handle);
        // A single stream comes here only once.
        let recent = self
            .recent
            .get_or_insert_with(|| Box::new([Handle(0); RECENT]));
        recent[place(id)] = handle;
        Some(handle)
    }

    /// The stream under an id, if it was looked up lately.
    #[inline]
    fn recent(&mut self, id: u64) -> Option<Handle> {
        let handle = self.recent.as_ref()?[place(id)];
        self.get(handle)
            .is_some_and(|stream| stream.id() == id)
            .then_some(handle)
    }

    fn slots(&mut self, handle: Handle) -> &mut Vec<Slot> {
        match handle.is_local() {
            true => &mut self.local,
            false => &mut self.remote,
        }
    }

    /// A live stream.
    #[inline]
    pub fn get(&mut self, handle: Handle) -> Option<&mut Stream> {
        match self.slots(handle).get_mut(handle.slot()) {
            Some(Slot::Live(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Puts a stream of ours into the slot that the application chose. The stream has no id yet. Returns whether the
    /// slot was free.
    pub fn insert_local(&mut self, handle: Handle, stream: Stream) -> bool {
        let slot = handle.slot();
        if slot > self.local.len() + MAX_GAP {
            return false;
        }
        if slot >= self.local.len() {
            self.local.resize_with(slot + 1, Slot::default);
        }
        let is_free = matches!(self.local[slot], Slot::Free);
        if is_free {
            self.local[slot] = Slot::Live(Box::new(stream));
        }
        is_free
    }

    /// Puts a stream of the peer's into a free slot.
    pub fn insert_remote(&mut self, stream: Stream) -> Handle {
        let id = stream.id();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.remote.push(Slot::Free);
                (self.remote.len() - 1) as u32
            }
        };
        self.remote[slot as usize] = Slot::Live(Box::new(stream));
        let handle = Handle::remote(slot);
        self.bind(id, handle);
        handle
    }

    /// Makes an id the id of a stream.
    pub fn bind(&mut self, id: u64, handle: Handle) {
        self.ids.insert(id, handle);
        if let Some(recent) = &mut self.recent {
            recent[place(id)] = handle;
        }
    }

    /// Removes a stream that is over. A stream of the peer's keeps its slot until [`Streams::forget`].
    pub fn remove(&mut self, handle: Handle) -> Option<Box<Stream>> {
        let slot = self.slots(handle).get_mut(handle.slot())?;
        let Slot::Live(stream) = std::mem::replace(
            slot,
            match handle.is_local() {
                true => Slot::Free,
                false => Slot::Closed,
            },
        ) else {
            return None;
        };
        // A stream that never began has no id.
        if self.ids.remove(&stream.id()).is_some() {
            if self.past.len() == REMEMBERED {
                self.past.pop_front();
            }
            self.past
                .push_back((stream.id(), stream.recv.credit.received()));
        }
        self.last = (u64::MAX, Handle(0));
        Some(stream)
    }

    /// The final size of what the peer sent on a stream, if the stream is over and remembered.
    pub fn final_size(&self, id: u64) -> Option<u64> {
        let past = self.past.iter().rev().find(|&&(it, _)| it == id);
        past.map(|&(_, size)| size)
    }

    /// The application has seen the end of a stream of the peer's.
    pub fn forget(&mut self, handle: Handle) {
        if let Some(slot @ Slot::Closed) = self.remote.get_mut(handle.slot()) {
            *slot = Slot::Free;
            self.free.push(handle.slot() as u32);
        }
    }

    /// The handles of all live streams of ours.
    pub fn local_handles(&self) -> Vec<Handle> {
        let live = self.local.iter().enumerate();
        live.filter(|(_, slot)| matches!(slot, Slot::Live(_)))
            .map(|(slot, _)| Handle::local(slot as u32))
            .collect()
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        if self.ids.is_empty() {
            self.ids.shrink_to_fit();
            self.recent = None;
            self.past = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::{RecvHalf, RecvState, SendHalf, SendState};
    use super::super::window::RecvWindow;
    use super::*;

    fn stream(id: u64) -> Stream {
        Stream::new(
            id,
            SendHalf::new(SendState::Open, 10, 0),
            RecvHalf::new(RecvState::Data, RecvWindow::new(10, 10)),
        )
    }

    #[test]
    fn a_slot_of_the_peers_is_reused_only_after_it_was_forgotten() {
        let mut streams = Streams::new(7);
        let first = streams.insert_remote(stream(0));
        assert_eq!(streams.find(0), Some(first));
        streams.forget(first);
        assert!(streams.remove(first).is_some() && streams.remove(first).is_none());
        assert_eq!(streams.find(0), None);
        let second = streams.insert_remote(stream(4));
        assert_ne!(first, second);
        streams.forget(first);
        streams.forget(first);
        assert_eq!(streams.insert_remote(stream(8)), first);
        assert_ne!(streams.insert_remote(stream(12)), first);
    }

    #[test]
    fn the_final_sizes_of_the_last_streams_are_remembered_and_no_more() {
        let mut streams = Streams::new(7);
        for ordinal in 0..1000 {
            let handle = streams.insert_remote(stream(ordinal << 2));
            if let Some(stream) = streams.get(handle) {
                assert_eq!(stream.recv.credit.receive(ordinal % 10), Some(()));
            }
            assert!(streams.remove(handle).is_some());
            streams.forget(handle);
            assert!(streams.past.len() <= REMEMBERED);
        }
        assert_eq!(streams.final_size(999 << 2), Some(9));
        assert_eq!(streams.final_size(936 << 2), Some(6));
        assert_eq!(streams.final_size(935 << 2), None);
        streams.shrink();
        assert_eq!(streams.final_size(999 << 2), None);
    }

    #[test]
    fn a_slot_of_ours_is_free_at_once_and_none_is_far_out() {
        let mut streams = Streams::new(7);
        let handle = Handle::local(3);
        assert!(streams.insert_local(handle, stream(0)));
        assert!(!streams.insert_local(handle, stream(0)));
        assert!(!streams.insert_local(Handle::local(1 << 30), stream(0)));
        assert_eq!(streams.local_handles(), [handle]);
        streams.remove(handle);
        assert!(streams.insert_local(handle, stream(4)));
    }
}
