use super::Task;
use crate::driver::boundary::{RECORD_WORDS, kind, split_word};
use crate::driver::connection::Connection;
use crate::driver::engine::Engine;
use crate::driver::socket::Registered;
use crate::driver::testing::{listen, options, pair};
use crate::driver::{Collector, Delivery, Inbox};
use crate::proto::{Protocol, Session, Side};
use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// An application that takes what there is when it is signalled.
struct Application {
    engine: Arc<Engine>,
    signals: Receiver<()>,
    delivery: Delivery,
}

impl Application {
    fn new() -> Self {
        let (signal, signals) = channel();
        let inbox = Inbox::new(move || {
            let _ = signal.send(());
        });
        Self {
            engine: Engine::new(Arc::new(inbox), None),
            signals,
            delivery: Delivery::default(),
        }
    }

    /// Waits for a record of `kind`. Returns its connection and its text.
    fn wait_for(&mut self, kind: u32) -> (u32, String) {
        loop {
            let (mut slab, mut words) = (vec![0; 64 << 10], vec![0; RECORD_WORDS]);
            let filled = self
                .delivery
                .fill(&self.engine.env.inbox, &mut slab, 0, &mut words);
            if filled.records == 0 {
                self.signals.recv_timeout(PATIENCE).expect("it comes");
                continue;
            }
            let (found, connection) = split_word(words[0]);
            if found == kind {
                let (at, length) = (words[2] as usize, words[3] as usize);
                let text = String::from_utf8_lossy(&slab[at..at + length]);
                return (connection, text.into_owned());
            }
        }
    }
}

/// A legacy frame that opens a stream.
const OPEN: &[u8] = b"\0\0\0\x0a\x01\x02null";

#[test]
fn a_panic_ends_its_connection_with_an_error_and_no_other() {
    let mut server = Application::new();
    let port = listen(&server.engine, options());
    let mut peers = Vec::new();
    for _ in 0..2 {
        let peer = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (id, _) = server.wait_for(kind::CONNECTION);
        peers.push((id, peer));
    }
    let (broken, mut peer) = peers.remove(0);
    let connection = server.engine.env.connection(broken).expect("open");
    connection.lock().link.panics = true;
    peer.write_all(OPEN).expect("open");
    let (id, text) = server.wait_for(kind::CONN_ERROR);
    assert_eq!((id, text.as_str()), (broken, r#"{"origin":"internal"}"#));
    assert_eq!(server.wait_for(kind::CONN_CLOSE).0, broken);
    // The peer learns it as well: its bytes were read, or not.
    assert!(matches!(peer.read(&mut [0]), Ok(0) | Err(_)));
    server.engine.env.release(broken);
    // The other is served, and the number is free.
    let (other, mut peer) = peers.remove(0);
    peer.write_all(OPEN).expect("open");
    assert_eq!(server.wait_for(kind::STREAM).0, other);
    let _peer = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    assert_eq!(server.wait_for(kind::CONNECTION).0, broken);
}

#[test]
fn a_panic_of_the_applications_thread_ends_the_connection_as_well() {
    let mut server = Application::new();
    let port = listen(&server.engine, options());
    let _peer = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    let (id, _) = server.wait_for(kind::CONNECTION);
    let connection = server.engine.env.connection(id).expect("open");
    let held = connection.clone();
    let panicked = std::thread::spawn(move || {
        let _inner = held.lock();
        panic!("as the test wants it");
    });
    panicked.join().expect_err("it panicked");
    // Whoever comes next finds it.
    assert_eq!(connection.queued(), 0);
    assert_eq!(server.wait_for(kind::CONN_ERROR).0, id);
    assert_eq!(server.wait_for(kind::CONN_CLOSE).0, id);
}

#[test]
fn what_waits_in_the_socket_counts_before_a_connection_is_given_up() {
    let idle = Duration::from_millis(10);
    let mut options = options();
    options.protocol.protocol = Protocol::Qmux;
    options.protocol.qmux.idle_timeout = idle;
    let config = options.protocol.clone();
    let server = Application::new();
    let make = |id, _| {
        let inbox = server.engine.env.inbox.clone();
        Connection::new(id, Side::Listening, options, [0; 8], inbox, None, u64::MAX)
    };
    let connection = server.engine.env.add(make).expect("room");
    let (socket, mut peer) = pair();
    connection.attach(socket.clone(), true, None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let mut task = Task::new(&connection, Registered::new(socket));
        assert!(matches!(task.turn(), Ok(false)));
        // This process stands still, and with it its reactor, while the peer begins.
        task.io.enter().expect("a place in the reactor");
        let mut session = Session::new(config, Side::Connecting, [1; 8], Instant::now());
        let begin = session.take_transmit(Instant::now(), &mut Collector::default());
        let begin = begin.expect("it has something to say");
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = begin.fill(&mut slices);
        assert!(peer.write_vectored(&slices[..filled]).expect("open") > 0);
        std::thread::sleep(3 * idle);
        assert!(matches!(task.turn(), Ok(false)), "something came");
        // With nothing in the socket it is given up.
        std::thread::sleep(3 * idle);
        assert!(task.turn().is_err());
    });
}
