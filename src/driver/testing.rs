//! What tests of connections need: a socket with a peer, and a connection without a task.

use super::boundary::{first_word, op};
use super::engine::Engine;
use super::transport::Transport;
use super::{Connection, ConnectionOptions, ListenOptions, ServerAddress};
use crate::proto::{Config, Protocol, Side};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Two ends of a connection.
pub fn pair() -> (Arc<Transport>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let peer = TcpStream::connect(address).expect("connects");
    let (socket, _) = listener.accept().expect("accepts");
    socket.set_nonblocking(true).expect("a socket");
    let transport = Transport::new(socket.into()).expect("connected");
    (Arc::new(transport), peer)
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

/// A connection that nobody serves.
pub fn connection(engine: &Engine) -> Arc<Connection> {
    let make = |id| {
        let events = engine.events.clone();
        Connection::new(id, Side::Connecting, options(), [0; 8], events, None)
    };
    engine.add(make).expect("room in the table")
}

/// The command to open a stream.
pub fn open(connection: u32) -> Vec<u8> {
    let words = [first_word(op::OPEN, connection), 0, 4];
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend(b"null");
    bytes
}

/// Listens on a free port, and returns that.
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
