//! The socket, with an eye on it: how many bytes went each way, and the first ones of each.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Enough for the transport parameters of either end and a frame or two behind them.
const KEPT: usize = 256;

#[derive(Default)]
pub struct Seen {
    pub bytes: u64,
    pub first: Vec<u8>,
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = KEPT - self.first.len();
        self.first
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[derive(Default)]
pub struct Wire {
    pub sent: Mutex<Seen>,
    pub received: Mutex<Seen>,
    /// True once the socket is closed, and with it all sent that ever will be.
    pub over: watch::Sender<bool>,
}

pub struct Tap {
    socket: TcpStream,
    wire: Arc<Wire>,
}

impl Tap {
    pub fn new(socket: TcpStream, wire: Arc<Wire>) -> Self {
        Self { socket, wire }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.wire.over.send_replace(true);
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        self.wire
            .received
            .lock()
            .expect("nothing panics while it holds this")
            .add(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.wire
            .sent
            .lock()
            .expect("nothing panics while it holds this")
            .add(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
