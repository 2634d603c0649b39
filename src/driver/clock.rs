//! The time, as pumps tell it to a link. Tests of whole connections set it.

/// The time.
#[cfg(not(test))]
#[inline]
pub fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
pub use simulated::{now, set};

#[cfg(test)]
mod simulated {
    use std::cell::Cell;
    use std::time::Instant;

    thread_local! {
        static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// The time: as it was last set on this thread, if it was.
    pub fn now() -> Instant {
        NOW.get().unwrap_or_else(Instant::now)
    }

    /// Sets the time of this thread.
    pub fn set(now: Option<Instant>) {
        NOW.set(now);
    }
}
