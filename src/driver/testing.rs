//! Parts of tests of connections: a socket with a peer, and a connection without a task.

use super::boundary::{first_word, op};
use super::engine::Engine;
use super::socket::Socket;
use super::{Connection, ConnectionOptions, ListenOptions, ServerAddress};
use crate::proto::{Config, Protocol, Side};
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Two ends of a connection.
pub fn pair() -> (Arc<Socket>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let peer = TcpStream::connect(address).expect("connects");
    let (socket, _) = listener.accept().expect("accepts");
    socket.set_nonblocking(true).expect("a socket");
    let socket = Socket::new(socket.into()).expect("connected");
    (Arc::new(socket), peer)
}

/// Options of a connection that speaks the legacy wire.
pub fn options() -> ConnectionOptions {
    ConnectionOptions {
        protocol: Config {
            protocol: Protocol::Legacy,
            ..Config::default()
        },
        ..ConnectionOptions::default()
    }
}

/// A connection without a task.
pub fn connection(engine: &Engine) -> Arc<Connection> {
    let make = |id, _| {
        let inbox = engine.env.inbox.clone();
        Connection::new(
            id,
            Side::Connecting,
            options(),
            [0; 8],
            inbox,
            None,
            u64::MAX,
        )
    };
    engine.env.add(make).expect("room in the table")
}

/// The command to open the first stream.
pub fn open(connection: u32) -> Vec<u8> {
    let words = [first_word(op::OPEN, connection), 0, 4];
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend(b"null");
    bytes
}

/// Listens on a free port. Returns the port.
pub fn listen(engine: &Arc<Engine>, connection: ConnectionOptions) -> u16 {
    let options = ListenOptions {
        address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()),
        backlog: 511,
        connection,
        ..ListenOptions::default()
    };
    let server = engine.listen(options).expect("a free port");
    match engine.server_address(server) {
        Some(ServerAddress::Tcp(address)) => address.port(),
        other => panic!("no port: {other:?}"),
    }
}

thread_local! {
    /// The number of tries of JavaScript's thread that are to find the lock taken, though no other thread runs in a
    /// test.
    static REFUSALS: Cell<u32> = const { Cell::new(0) };
}

/// Whether a try for a connection's lock is to fail.
pub fn refuses_lock() -> bool {
    let left = REFUSALS.get();
    REFUSALS.set(left.saturating_sub(1));
    left > 0
}

thread_local! {
    /// What JavaScript's thread does while another has a connection in its hands.
    static INTERLUDE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// A moment at which JavaScript's thread may do anything: between two steps of a task, with the lock held or not.
pub fn interlude() {
    // Out of its place meanwhile: what that thread itself passes through is no such moment.
    let work = INTERLUDE.take();
    if let Some(mut work) = work {
        work();
        INTERLUDE.set(Some(work));
    }
}

/// What happens at such moments of this thread.
pub fn set_interlude(work: Option<Box<dyn FnMut()>>) {
    INTERLUDE.set(work);
}

/// Lets the next `times` tries for a connection's lock fail.
pub fn refuse_lock(times: u32) {
    REFUSALS.set(times);
}
