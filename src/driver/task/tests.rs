use crate::driver::delivery::Delivery;
use crate::driver::engine::Engine;
use crate::driver::events::{EventQueue, RECORD_WORDS, kind};
use crate::driver::testing::{listen, options};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

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
        let events = EventQueue::new(move || {
            let _ = signal.send(());
        });
        Self {
            engine: Engine::new(Arc::new(events), None),
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
                .fill(&self.engine.events, &mut slab, 0, &mut words);
            if filled.records == 0 {
                self.signals.recv_timeout(PATIENCE).expect("it comes");
            } else if words[0] >> 24 == kind {
                let (at, length) = (words[2] as usize, words[3] as usize);
                let text = String::from_utf8_lossy(&slab[at..at + length]);
                return (words[0] & 0xff_ffff, text.into_owned());
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
    let connection = server.engine.connection(broken).expect("open");
    connection.panics.store(true, Ordering::SeqCst);
    peer.write_all(OPEN).expect("open");
    let (id, text) = server.wait_for(kind::CONN_ERROR);
    assert_eq!((id, text.as_str()), (broken, r#"{"origin":"internal"}"#));
    assert_eq!(server.wait_for(kind::CONN_CLOSE).0, broken);
    // The peer learns it as well: its bytes were read, or not.
    assert!(matches!(peer.read(&mut [0]), Ok(0) | Err(_)));
    server.engine.release(broken);
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
    let connection = server.engine.connection(id).expect("open");
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
