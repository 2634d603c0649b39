//! The time, as pumps pass it to a link. Tests of whole connections set it.

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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    #[test]
    fn the_time_stands_still_once_it_was_set() {
        let then = Instant::now() + Duration::from_secs(1000);
        super::set(Some(then));
        assert_eq!((super::now(), super::now()), (then, then));
        super::set(None);
        assert!(super::now() < then);
    }
}
