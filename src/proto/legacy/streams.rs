//! The two stream tables of the legacy wire, one for each direction.
//!
//! The original draws the ids of both directions from one table, so two creators collide. The type of a frame says
//! which direction the frame concerns (0–3: streams of the sender; 4: streams of the receiver). So here each direction
//! has a table of its own, and only the choice of an id looks at both.
//!
//! May not decide what a frame does to a stream.

/// Streams under their ids and under their slots.
#[derive(Debug)]
pub struct Table<T> {
    /// The slot plus 1 under each id. The array is allocated with the first stream, so that an idle connection costs
    /// nothing.
    ids: Option<Box<[u32; 256]>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            ids: None,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// The slot of the stream under `id`.
    pub fn slot_of(&self, id: u8) -> Option<u32> {
        self.ids.as_ref()?[usize::from(id)].checked_sub(1)
    }

    /// Whether an id is in use.
    pub fn is_used(&self, id: u8) -> bool {
        self.slot_of(id).is_some()
    }

    /// The stream in `slot`.
    pub fn get(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Puts a stream into a slot of the caller's choice. Returns whether the slot was free.
    pub fn insert_at(&mut self, slot: u32, stream: T) -> bool {
        let slot = slot as usize;
        // The application reuses free slots, so a slot far beyond those that can live at once is a mistake.
        if slot > self.slots.len() + 4096 {
            return false;
        }
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let free = self.slots[slot].is_none();
        if free {
            self.slots[slot] = Some(stream);
        }
        free
    }

    /// Puts a stream into a slot that another table has chosen, which may be any.
    pub fn put_at(&mut self, slot: u32, stream: T) {
        let slot = slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(stream);
    }

    /// All streams with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, stream)| Some((slot as u32, stream.as_ref()?)))
    }

    /// Puts a stream into a free slot.
    pub fn insert(&mut self, stream: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(stream);
            return slot;
        }
        self.slots.push(Some(stream));
        (self.slots.len() - 1) as u32
    }

    /// Frees a slot that [`Table::insert`] returned.
    pub fn remove(&mut self, slot: u32) {
        if self.take_at(slot).is_some() {
            self.free.push(slot);
        }
    }

    /// Empties a slot of the caller's choice.
    pub fn take_at(&mut self, slot: u32) -> Option<T> {
        self.slots.get_mut(slot as usize)?.take()
    }

    /// Makes `id` the id of the stream in `slot`.
    pub fn bind(&mut self, id: u8, slot: u32) {
        self.ids.get_or_insert_with(|| Box::new([0; 256]))[usize::from(id)] = slot + 1;
    }

    /// Frees an id.
    pub fn unbind(&mut self, id: u8) {
        if let Some(ids) = &mut self.ids {
            ids[usize::from(id)] = 0;
        }
    }
}

/// A stream opened here. The fields are open, because only the wire knows how they depend on each other.
#[derive(Debug, Default)]
pub struct Local {
    /// The id; none while the stream waits for one.
    pub id: Option<u8>,
    /// The stream's place in the order in which we opened streams, once it has an id.
    pub ordinal: u64,
    pub is_acked: bool,
    pub is_ended: bool,
    /// The peer has said that it wants no more of the stream.
    pub is_stopped: bool,
}

/// A stream opened by the peer. The fields are open, because only the wire knows how they depend on each other.
#[derive(Debug)]
pub struct Remote {
    pub id: u8,
    /// Length of the meta.
    pub meta: usize,
    pub is_ended: bool,
    /// The application wants no more of the stream.
    pub is_discarded: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_reused_only_after_it_was_removed() {
        let mut table = Table::default();
        let first = table.insert('a');
        table.bind(7, first);
        table.unbind(7);
        let second = table.insert('b');
        assert_ne!(first, second);
        table.remove(first);
        table.remove(first);
        assert_eq!(table.insert('c'), first);
        assert_ne!(table.insert('d'), first);
        assert!(!table.is_used(7));
    }

    #[test]
    fn a_slot_far_out_of_range_is_refused() {
        let mut table = Table::default();
        assert!(table.insert_at(3, 'a'));
        assert!(!table.insert_at(3, 'b'));
        assert!(!table.insert_at(1 << 30, 'c'));
    }
}
