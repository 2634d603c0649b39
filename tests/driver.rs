//! The driver over real sockets on loopback: two engines, one thread each, and peers that misbehave.
#![cfg(feature = "driver")]

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tcp_stream_muxer::driver::boundary::{RECORD_WORDS, WHOLE, first_word, kind, op, split_word};
use tcp_stream_muxer::driver::{
    Collector, ConnectOptions, ConnectionOptions, Delivery, Engine, Inbox, ListenOptions, ReadSet,
    ServerAddress, Stop, Verdict,
};
use tcp_stream_muxer::proto::{Config, Protocol};

thread_local! {
    /// Whether the application reads quiet connections itself in the test that this thread runs.
    static POLLS: Cell<bool> = const { Cell::new(false) };
}

/// Every test runs twice: with tasks reading alone, and with quiet connections read by the application.
macro_rules! both_ways {
    ($($name:ident)*) => {
        mod task_reads {
            $(#[test] fn $name() { super::$name(); })*
        }
        #[cfg(target_os = "linux")]
        mod application_reads {
            $(#[test] fn $name() { super::POLLS.set(true); super::$name(); })*
        }
    };
}

both_ways! {
    what_is_written_arrives_once_and_in_order_and_then_both_close
    small_messages_go_both_ways_at_once
    what_is_held_stops_the_reading_within_a_bound
    a_protocol_error_ends_its_connection_alone
    a_peer_that_opens_and_never_reads_is_not_read_for_ever
    a_reset_by_the_peer_is_a_system_error
    a_reset_is_noticed_while_nothing_is_read_or_written
    the_next_address_is_tried_and_all_errors_are_told
    closing_while_another_sends_loses_nobody_elses_bytes
    connections_are_told_apart_in_one_buffer_of_commands
    order_is_kept_however_often_reading_changes_hands
    no_more_is_accepted_than_the_application_takes
    what_is_paced_leaves_by_the_clock_alone
}

#[path = "driver/ends.rs"]
mod ends;
#[path = "driver/qmux.rs"]
mod qmux;
#[cfg(feature = "tls")]
#[path = "driver/tls.rs"]
mod tls;

/// How often an application looks at its quiet connections, there being no event loop here.
const LOOK: Duration = Duration::from_micros(100);

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    kind: u32,
    connection: u32,
    stream: u32,
    bytes: Vec<u8>,
    aux: u32,
}

impl Record {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What a JS thread is to the driver.
struct Application {
    engine: Arc<Engine>,
    signals: Receiver<()>,
    delivery: Delivery,
    collector: Collector,
    ready: VecDeque<Record>,
    buffer: Vec<u8>,
}

fn options() -> ConnectionOptions {
    ConnectionOptions::default()
}

/// For what only the legacy wire does.
fn legacy() -> ConnectionOptions {
    let mut options = options();
    options.protocol.protocol = Protocol::Legacy;
    options
}

impl Application {
    fn new() -> Self {
        let (signal, signals): (Sender<()>, _) = channel();
        let inbox = Inbox::new(move || {
            let _ = signal.send(());
        });
        let read_set = POLLS.get().then(|| ReadSet::new().expect("a set"));
        let engine = Engine::new(Arc::new(inbox), read_set.map(Arc::new));
        Self {
            engine,
            signals,
            delivery: Delivery::default(),
            collector: Collector::default(),
            ready: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    fn listen(&self, connection: ConnectionOptions) -> u16 {
        let options = ListenOptions {
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()),
            backlog: 511,
            connection,
            ..ListenOptions::default()
        };
        let server = self.engine.listen(options).expect("a free port");
        match self.engine.server_address(server) {
            Some(ServerAddress::Tcp(address)) => address.port(),
            other => panic!("no port: {other:?}"),
        }
    }

    fn connect(&self, addresses: &[(IpAddr, u16)]) -> u32 {
        self.connect_with(addresses, options())
    }

    fn connect_with(&self, addresses: &[(IpAddr, u16)], connection: ConnectionOptions) -> u32 {
        let options = ConnectOptions {
            addresses: addresses
                .iter()
                .map(|&to| SocketAddr::from(to).into())
                .collect(),
            attempt_timeout: Duration::from_millis(250),
            connection,
            ..ConnectOptions::default()
        };
        self.engine.connect(options).expect("a connection")
    }

    /// Encodes a command as `lib/engine.js` does.
    fn put(&mut self, number: u32, connection: u32, stream: u32, argument: u32, payload: &[u8]) {
        for word in [first_word(number, connection), stream, argument] {
            self.buffer.extend(word.to_le_bytes());
        }
        self.buffer.extend(payload);
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }

    fn flush(&mut self) -> u64 {
        let mut queued = 0;
        self.engine
            .submit(&self.buffer, &mut Collector::default(), |_, bytes| {
                queued = bytes
            });
        self.buffer.clear();
        queued
    }

    /// Executes what was commanded, and asks what a connection then has queued.
    fn flush_and_ask(&mut self, connection: u32) -> u64 {
        self.flush();
        let connection = self.engine.env.connection(connection).expect("open");
        connection.queued()
    }

    /// The next record, of any kind but those that ask for credit, which is answered, and for admission, which is granted.
    fn next(&mut self) -> Record {
        self.next_within(PATIENCE).expect("a record in time")
    }

    fn next_within(&mut self, time: Duration) -> Option<Record> {
        loop {
            let record = self.next_of_all(time)?;
            if record.kind == kind::ADMISSION {
                self.admit(&record);
                continue;
            }
            if record.kind != kind::CREDIT {
                return Some(record);
            }
            let waiting = std::mem::take(&mut self.buffer);
            self.put(op::CREDIT, record.connection, record.stream, 0, &[]);
            self.flush();
            self.buffer = waiting;
        }
    }

    /// Lets the next connection in that has to be asked about, while the test waits for its other end.
    #[cfg(feature = "tls")]
    fn admit_next(&mut self) {
        loop {
            let record = self.next_of_all(PATIENCE).expect("a record in time");
            if record.kind == kind::ADMISSION {
                return self.admit(&record);
            }
        }
    }

    fn admit(&self, asked: &Record) {
        self.engine
            .decide(asked.connection, Verdict::Admit { asks: false });
    }

    fn next_of_all(&mut self, time: Duration) -> Option<Record> {
        let mut slab = vec![0; 1 << 20];
        let until = Instant::now() + time;
        while self.ready.is_empty() {
            if self.engine.env.read_set.is_none() {
                self.signals.recv_timeout(time).ok()?;
            } else {
                // Signalled or not: what is read here is not signalled.
                let _ = self.signals.recv_timeout(LOOK);
                self.engine.read_ready(&mut self.collector);
            }
            loop {
                let mut words = vec![0; 1000 * RECORD_WORDS];
                let filled = self
                    .delivery
                    .fill(&self.engine.env.inbox, &mut slab, 0, &mut words);
                for record in words.chunks_exact(RECORD_WORDS).take(filled.records) {
                    let (at, length) = (record[2] as usize, record[3] as usize);
                    let (kind, connection) = split_word(record[0]);
                    self.ready.push_back(Record {
                        kind,
                        connection,
                        stream: record[1],
                        bytes: slab[at..at + length].to_vec(),
                        aux: record[4],
                    });
                }
                if filled.needed > slab.len() {
                    slab.resize(filled.needed, 0);
                } else if !filled.more {
                    break;
                }
            }
            if self.ready.is_empty() && Instant::now() > until {
                return None;
            }
        }
        self.ready.pop_front()
    }

    /// The next record of a kind; what comes before it is dropped.
    fn wait_for(&mut self, kind: u32) -> Record {
        loop {
            let record = self.next();
            if record.kind == kind {
                return record;
            }
        }
    }
}

/// A server and a client with one stream open between them, from client to server.
fn joined() -> (Application, u32, Application, u32) {
    joined_by(&options())
}

fn joined_by(options: &ConnectionOptions) -> (Application, u32, Application, u32) {
    let (mut server, mut client) = (Application::new(), Application::new());
    let port = server.listen(options.clone());
    let near = client.connect_with(&[(Ipv4Addr::LOCALHOST.into(), port)], options.clone());
    client.put(op::OPEN, near, 0, 2, b"{}");
    client.flush();
    let far = server.wait_for(kind::CONNECTION).connection;
    let stream = server.wait_for(kind::STREAM).stream;
    assert_eq!(stream, 1);
    server.put(op::ACCEPT, far, stream, 0, &[]);
    server.flush();
    client.wait_for(kind::OPENED);
    (server, far, client, near)
}

fn what_is_written_arrives_once_and_in_order_and_then_both_close() {
    let (mut server, far, mut client, near) = joined();
    let reader = std::thread::spawn(move || {
        let (mut got, mut messages) = (Vec::new(), 0);
        loop {
            let record = server.next();
            match record.kind {
                kind::DATA => {
                    got.extend(record.bytes);
                    messages += 1;
                }
                kind::CLOSED => {
                    server.put(op::FORGET, far, record.stream, 0, &[]);
                    server.flush();
                }
                kind::CONN_END => {
                    server.put(op::CONN_END, far, 0, 0, &[]);
                    server.flush();
                }
                kind::CONN_ERROR => panic!("{}", record.text()),
                kind::CONN_CLOSE => return (got, messages, record.aux),
                _ => {}
            }
        }
    });
    let mut expected = Vec::new();
    for number in 0..20_000u32 {
        let length = [1, 64, 0, 1000, 65_536, 17][number as usize % 6] % (1 + number % 70_000);
        let payload: Vec<u8> = (0..length).map(|at| (at ^ number) as u8).collect();
        client.put(op::DATA, near, 0, length, &payload);
        expected.extend(payload);
        if number % 50 == 0 && client.flush() > 4 << 20 {
            client.wait_for(kind::DRAIN);
        }
    }
    client.put(op::END, near, 0, 0, &[]);
    client.put(op::MARK, near, WHOLE, 77, &[]);
    client.put(op::CONN_END, near, 0, 0, &[]);
    client.flush();
    assert_eq!(client.wait_for(kind::MARK).aux, 77);
    assert_eq!(client.wait_for(kind::CONN_CLOSE).aux, 0);
    let (got, messages, had_error) = reader.join().expect("the reader ends");
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    assert!(messages >= 20_000, "no two messages arrive as one");
    assert_eq!(had_error, 0);
}

fn small_messages_go_both_ways_at_once() {
    let (mut server, far, mut client, near) = joined();
    server.put(op::OPEN, far, 0, 1, b"1");
    server.flush();
    assert_eq!(client.wait_for(kind::STREAM).stream, 1);
    client.put(op::ACCEPT, near, 1, 0, &[]);
    client.flush();
    server.wait_for(kind::OPENED);
    let echo = std::thread::spawn(move || {
        for _ in 0..5000 {
            let record = server.wait_for(kind::DATA);
            server.put(op::DATA, far, 0, record.bytes.len() as u32, &record.bytes);
            server.flush();
        }
        server
    });
    for number in 0..5000u32 {
        client.put(op::DATA, near, 0, 4, &number.to_le_bytes());
        client.flush();
        if number % 3 == 0 {
            continue;
        }
        client.wait_for(kind::DATA);
    }
    let mut server = echo.join().expect("the echo ends");
    assert_eq!(
        server
            .engine
            .env
            .connection(far)
            .map(|connection| connection.totals().queued),
        Some(0)
    );
    server.engine.close();
    client.wait_for(kind::CONN_END);
    client.put(op::CONN_END, near, 0, 0, &[]);
    client.flush();
    assert_eq!(client.wait_for(kind::CONN_CLOSE).connection, near);
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 0);
}

fn what_is_held_stops_the_reading_within_a_bound() {
    let (mut server, far, mut client, near) = joined_by(&legacy());
    server.put(op::HOLD, far, 0, 1 << 30, &[]);
    server.flush();
    let payload = vec![7; 65_536];
    let mut queued = 0;
    for _ in 0..1000 {
        client.put(op::DATA, near, 0, 65_536, &payload);
        queued = client.flush();
    }
    // What the sockets' buffers do not take waits at the sender: 64 MiB in all.
    assert!(queued > 30 << 20, "{queued}");
    let mut read = 0;
    while let Some(record) = server.next_within(Duration::from_millis(300)) {
        read += record.bytes.len();
    }
    assert!(read < 2 << 20, "{read}");
    server.put(op::RELEASE, far, 0, 1 << 30, &[]);
    server.flush();
    while read < 1000 * 65_536 {
        read += server.wait_for(kind::DATA).bytes.len();
    }
    assert_eq!(client.wait_for(kind::DRAIN).connection, near);
}

fn a_protocol_error_ends_its_connection_alone() {
    let (mut server, far, mut client, near) = joined();
    let address = {
        let port = server.listen(options());
        (Ipv4Addr::LOCALHOST, port)
    };
    let mut stranger = TcpStream::connect(address).expect("connects");
    stranger.write_all(&[0, 0, 0, 3, 0, 0]).expect("writes");
    let error = server.wait_for(kind::CONN_ERROR);
    assert!(
        error.text().contains("ERR_MUX_FRAME_LENGTH"),
        "{}",
        error.text()
    );
    let closed = server.wait_for(kind::CONN_CLOSE);
    assert_eq!((closed.connection, closed.aux), (error.connection, 1));
    assert_ne!(closed.connection, far);
    let _ = stranger.read(&mut [0; 10]);
    client.put(op::DATA, near, 0, 5, b"hello");
    client.flush();
    assert_eq!(server.wait_for(kind::DATA).bytes, b"hello");
}

fn a_peer_that_opens_and_never_reads_is_not_read_for_ever() {
    let mut server = Application::new();
    let address = (Ipv4Addr::LOCALHOST, server.listen(options()));
    let writer = std::thread::spawn(move || {
        let mut stranger = TcpStream::connect(address).expect("connects");
        stranger
            .set_write_timeout(Some(Duration::from_secs(2)))
            .expect("a timeout");
        // Stream 0 opened and ended, again and again.
        let frames = b"\0\0\0\x07\0\x021\0\0\0\x0a\0\x03null".repeat(1000);
        let mut written = 0;
        while written < 1 << 30 {
            match stranger.write(&frames) {
                Ok(some) => written += some,
                Err(_) => break,
            }
        }
        (written, stranger)
    });
    let connection = server.wait_for(kind::CONNECTION).connection;
    while !writer.is_finished() {
        let Some(record) = server.next_within(Duration::from_millis(100)) else {
            continue;
        };
        match record.kind {
            kind::STREAM => server.put(op::ACCEPT, connection, record.stream, 0, &[]),
            kind::CLOSED => server.put(op::FORGET, connection, record.stream, 0, &[]),
            _ => continue,
        }
        if server.ready.is_empty() {
            server.flush();
        }
    }
    let (written, _stranger) = writer.join().expect("the writer ends");
    assert!(
        written < 100 << 20,
        "the sender is stopped, after {written} bytes"
    );
    let queued = server
        .engine
        .env
        .connection(connection)
        .map(|connection| connection.totals().queued);
    assert!(queued.is_some_and(|queued| queued < 4 << 20), "{queued:?}");
}

fn a_reset_by_the_peer_is_a_system_error() {
    let (mut server, _, client, near) = joined();
    client
        .engine
        .env
        .connection(near)
        .expect("open")
        .stop(Stop::Reset);
    let error = server.wait_for(kind::CONN_ERROR).text();
    assert!(
        error.contains("\"errno\":-104") && error.contains("\"syscall\":\"read\""),
        "{error}"
    );
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 1);
}

fn a_reset_is_noticed_while_nothing_is_read_or_written() {
    let (mut server, far, client, near) = joined();
    server.put(op::HOLD, far, 0, 1 << 30, &[]);
    server.flush();
    client
        .engine
        .env
        .connection(near)
        .expect("open")
        .stop(Stop::Reset);
    assert!(server.wait_for(kind::CONN_ERROR).text().contains("-104"));
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 1);
}

fn the_next_address_is_tried_and_all_errors_are_told() {
    let (mut server, mut client) = (Application::new(), Application::new());
    let port = server.listen(options());
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
    let closed = unused.expect("a free port").port();
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    client.connect(&[(local, closed), (local, port)]);
    let text = client.wait_for(kind::CONNECTED).text();
    assert!(text.contains(&format!("\"port\":{port}")), "{text}");
    server.wait_for(kind::CONNECTION);
    client.connect(&[(local, closed), (local, closed)]);
    let text = client.wait_for(kind::CONN_ERROR).text();
    assert_eq!(text.matches("-111").count(), 2, "{text}");
    assert_eq!(client.wait_for(kind::CONN_CLOSE).aux, 1);
}

fn closing_while_another_sends_loses_nobody_elses_bytes() {
    // Connections come and go on one thread, so that descriptors are reused, while another sends on its own.
    let (mut server, _, mut client, near) = joined();
    let churn = std::thread::spawn(|| {
        for _ in 0..300 {
            let (server, far, client, near) = joined();
            client
                .engine
                .env
                .connection(near)
                .expect("open")
                .stop(Stop::Close);
            server
                .engine
                .env
                .connection(far)
                .expect("open")
                .stop(Stop::Reset);
        }
    });
    let mut sent = 0u32;
    while !churn.is_finished() {
        client.put(op::DATA, near, 0, 4, &sent.to_le_bytes());
        client.flush();
        sent += 1;
    }
    churn.join().expect("the churn ends");
    for number in 0..sent {
        assert_eq!(server.wait_for(kind::DATA).bytes, number.to_le_bytes());
    }
}

fn connections_are_told_apart_in_one_buffer_of_commands() {
    let (mut server, mut client) = (Application::new(), Application::new());
    let port = server.listen(options());
    let near: Vec<u32> = (0..20)
        .map(|_| client.connect(&[(Ipv4Addr::LOCALHOST.into(), port)]))
        .collect();
    for (number, &connection) in near.iter().enumerate() {
        let meta = format!("{number}");
        client.put(op::OPEN, connection, 0, meta.len() as u32, meta.as_bytes());
    }
    client.flush();
    let mut metas = BTreeMap::new();
    while metas.len() < near.len() {
        let record = server.wait_for(kind::STREAM);
        assert_eq!(metas.insert(record.connection, record.text()), None);
    }
    let mut seen: Vec<_> = metas.into_values().collect();
    seen.sort_by_key(|text| text.parse::<u32>().ok());
    assert_eq!(
        seen,
        (0..20).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

fn order_is_kept_however_often_reading_changes_hands() {
    let (mut server, far, mut client, near) = joined();
    // Trickles that let the connection be quiet, and bursts that do not; of lengths that no read divides.
    let lengths = [
        1, 40_000, 7, 3, 200_000, 64, 64, 64, 700, 90_001, 5, 30_000, 2, 2, 2,
    ];
    let mut next = 0_u8;
    for _ in 0..20 {
        for length in lengths {
            let mut expected = Vec::with_capacity(length);
            for _ in 0..length {
                next = next.wrapping_mul(5).wrapping_add(17);
                expected.push(next);
            }
            for part in expected.chunks(60_000) {
                client.put(op::DATA, near, 0, part.len() as u32, part);
            }
            client.flush();
            let mut got = Vec::with_capacity(length);
            while got.len() < length {
                let record = server.wait_for(kind::DATA);
                assert_eq!(record.connection, far);
                got.extend(record.bytes);
            }
            assert!(got == expected, "the bytes of {length} in their order");
        }
    }
}

fn no_more_is_accepted_than_the_application_takes() {
    let mut server = Application::new();
    let port = server.listen(options());
    let clients: Vec<_> = (0..200)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("room in the backlog"))
        .collect();
    server.signals.recv_timeout(PATIENCE).expect("the first");
    // Nothing is signalled until it is taken: time for what must not happen.
    let _ = server.signals.recv_timeout(Duration::from_millis(100));
    let accepted = (0..200).filter(|&id| server.engine.env.connection(id).is_some());
    let accepted = accepted.count();
    assert!((1..=64).contains(&accepted), "{accepted}");
    let mut words = vec![0; 1000 * RECORD_WORDS];
    let mut slab = vec![0; 1 << 20];
    let mut told = 0;
    loop {
        let filled = server
            .delivery
            .fill(&server.engine.env.inbox, &mut slab, 0, &mut words);
        told += filled.records;
        if !filled.more {
            break;
        }
    }
    for _ in told..clients.len() {
        server.wait_for(kind::CONNECTION);
    }
}

fn what_is_paced_leaves_by_the_clock_alone() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let mut client = Application::new();
    let near = client.connect(&[(Ipv4Addr::LOCALHOST.into(), port)]);
    let (mut silent, _) = listener.accept().expect("accepts");
    client.wait_for(kind::CONNECTED);
    client.put(op::OPEN, near, 0, 2, b"{}");
    for _ in 0..100 {
        client.put(op::DATA, near, 0, 4000, &[7; 4000]);
    }
    client.put(op::MARK, near, WHOLE, 1, &[]);
    client.put(op::CONN_END, near, 0, 0, &[]);
    client.flush();
    let mut got = Vec::new();
    silent.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    silent.read_to_end(&mut got).expect("an orderly end");
    assert!(got.len() > 400_000, "{}", got.len());
    client.wait_for(kind::MARK);
}
