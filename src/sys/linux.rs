//! What Linux has, and other systems have in another way or not at all.
//!
//! May not know what is waited for.

use rustix::event::epoll;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::ffi::c_int;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets found ready in one turn; the others are found in the next. Far more than can be accepted meanwhile, so
/// that those who leave are seen before more come.
const MAX_READY: usize = 1024;

/// Bytes that a socket's send queue holds: not sent, or sent and not acknowledged.
pub fn send_queue(socket: impl AsFd) -> io::Result<usize> {
    /// SIOCOUTQ, which has the number of TIOCOUTQ (linux/sockios.h).
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: the kernel writes one int for this opcode, whatever the kind of socket, or fails.
    let queued = unsafe { ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) }?;
    Ok(usize::try_from(queued).unwrap_or(0))
}

/// Lets other sockets listen on the port as well; each then gets its part of the connections.
pub fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// The number of a network interface.
pub fn interface(name: &str) -> Option<u32> {
    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(any, name).ok()
}

/// Sleeps until then, more finely than Tokio, whose wheel turns once a millisecond: pacing towards an old peer needs a
/// quarter of one. The timer is made for each sleep, so that a connection keeps no descriptor for it.
pub async fn sleep_until(deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() || sleep(left).await.is_ok() {
        return;
    }
    // Out of descriptors: less finely, then.
    tokio::time::sleep_until(deadline.into()).await;
}

async fn sleep(time: Duration) -> io::Result<()> {
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

/// A set of sockets, each with a number, for a thread to wait for all of them at once.
#[derive(Debug)]
pub struct PollSet(OwnedFd);

impl PollSet {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Puts a socket in.
    pub fn add(&self, socket: &socket2::Socket, number: u32) -> io::Result<()> {
        let data = epoll::EventData::new_u64(number.into());
        Ok(epoll::add(&self.0, socket, data, epoll::EventFlags::IN)?)
    }

    /// Takes a socket out; an error if the socket is not in.
    pub fn remove(&self, socket: &socket2::Socket) -> io::Result<()> {
        Ok(epoll::delete(&self.0, socket)?)
    }

    /// The numbers of sockets that are readable, or broken.
    pub fn ready(&self) -> Vec<u32> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(MAX_READY);
        let at_once = rustix::event::Timespec::default();
        let buffer = rustix::buffer::spare_capacity(&mut events);
        // The wait fails for a signal only: the set stays readable, so the next turn finds the same.
        let _ = epoll::wait(&self.0, buffer, Some(&at_once));
        let number = |event: &epoll::Event| event.data.u64() as u32;
        events.iter().map(number).collect()
    }

    /// A descriptor that is readable while a socket of the set is.
    pub fn descriptor(&self) -> c_int {
        self.0.as_raw_fd()
    }
}
