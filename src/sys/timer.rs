//! A timer finer than Tokio's, whose wheel turns once a millisecond: pacing towards an old peer needs a quarter of
//! one. Made for each sleep, so that a connection keeps no descriptor for it.
//!
//! May not know what is timed.

use std::time::Instant;

/// Sleeps until then.
pub async fn sleep_until(deadline: Instant) {
    #[cfg(target_os = "linux")]
    {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || fine::sleep(left).await.is_ok() {
            return;
        }
        // Out of descriptors: less finely, then.
    }
    tokio::time::sleep_until(deadline.into()).await;
}

#[cfg(target_os = "linux")]
mod fine {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    pub async fn sleep(time: Duration) -> io::Result<()> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let value = Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: value,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
        // SAFETY: the timer owns its descriptor, and nobody replaces or closes that while it is registered.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        let _expired = timer.readable().await?;
        Ok(())
    }
}
