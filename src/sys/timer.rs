//! A timer finer than Tokio's, whose wheel turns once a millisecond: pacing towards an old peer needs a quarter of
//! one. Only connections that pace ever make one.
//!
//! May not know what is timed.

#[cfg(not(target_os = "linux"))]
use std::time::Instant;

#[cfg(target_os = "linux")]
mod fine {
    use rustix::fd::OwnedFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer of the kernel's.
    #[derive(Debug, Default)]
    pub struct Timer(OnceLock<Option<AsyncFd<OwnedFd>>>);

    impl Timer {
        /// Sleeps until then.
        pub async fn sleep_until(&self, deadline: Instant) {
            let left = deadline.saturating_duration_since(Instant::now());
            if !left.is_zero() && self.sleep(left).await.is_err() {
                tokio::time::sleep(left).await;
            }
        }

        async fn sleep(&self, time: Duration) -> io::Result<()> {
            let timer = self.0.get_or_init(|| {
                let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
                let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
                // SAFETY: the descriptor is owned by the timer, which nobody replaces or closes while it is registered.
                unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.ok()
            });
            // Out of descriptors: the caller sleeps less finely.
            let timer = timer.as_ref().ok_or(io::ErrorKind::OutOfMemory)?;
            let value = Timespec {
                tv_sec: time.as_secs() as i64,
                tv_nsec: i64::from(time.subsec_nanos()),
            };
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: value,
            };
            timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            // Setting it has made it unreadable; readiness from before must not count.
            loop {
                let mut ready = timer.readable().await?;
                match ready.try_io(|timer| {
                    rustix::io::read(timer.get_ref(), &mut [0; 8]).map_err(io::Error::from)
                }) {
                    Ok(result) => return result.map(|_| ()),
                    Err(_would_block) => {}
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
pub use fine::Timer;

/// Tokio's own timer.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Default)]
pub struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    /// Sleeps until then.
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline.into()).await;
    }
}
