//! What the driver does differently while QMux is spoken: ends that are told to the peer, and clocks.

use super::*;
use tcp_stream_muxer::proto::QmuxConfig;

both_ways! {
    an_error_is_told_to_the_peer_and_the_socket_stays_until_it_finishes
    destroying_sends_what_was_written_and_a_close
    a_close_tells_code_and_reason
    a_peer_that_never_finishes_is_left_and_its_number_is_free_at_once
    the_peers_close_without_a_code_is_an_end
    the_peers_close_with_a_code_is_an_error
    silence_ends_a_connection
    what_waits_to_be_read_is_no_silence
    pings_keep_a_connection_alive
    a_ping_is_answered
    what_is_received_behind_our_end_is_no_error
    a_reader_that_is_slow_stops_its_stream_alone
}

fn qmux(idle: u64, ping: u64) -> ConnectionOptions {
    ConnectionOptions {
        protocol: Config {
            protocol: Protocol::Qmux,
            qmux: QmuxConfig {
                idle_timeout: Duration::from_millis(idle),
                ping_interval: Duration::from_millis(ping),
                ..QmuxConfig::default()
            },
            ..Config::default()
        },
        ..options()
    }
}

/// A QUIC varint of 1, 2 or 8 bytes.
fn varint(value: u64) -> Vec<u8> {
    match value {
        0..64 => vec![value as u8],
        64..16384 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        _ => (value | 3 << 62).to_be_bytes().to_vec(),
    }
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let length = 1 << (bytes[0] >> 6);
    let (own, rest) = bytes.split_at(length);
    *bytes = rest;
    let first = u64::from(own[0] & 0x3f);
    own[1..]
        .iter()
        .fold(first, |value, &byte| value << 8 | u64::from(byte))
}

fn record(frames: &[u8]) -> Vec<u8> {
    [varint(frames.len() as u64).as_slice(), frames].concat()
}

/// The parameters of a foreign peer with credit for everything.
fn parameters() -> Vec<u8> {
    let mut list = Vec::new();
    for id in [4, 5, 6, 8] {
        let value = varint(1 << 40);
        list.extend(varint(id));
        list.extend(varint(value.len() as u64));
        list.extend(value);
    }
    let magic = b"\xff\x51\x53\x30\x0d\x0a\x0d\x0a";
    record(&[magic.as_slice(), &varint(list.len() as u64), &list].concat())
}

/// What our end's last record says: whether the code is the application's, the code, the reason.
fn last_close(mut bytes: &[u8]) -> (bool, u64, String) {
    let mut last: &[u8] = &[];
    while !bytes.is_empty() {
        let length = read_varint(&mut bytes) as usize;
        (last, bytes) = bytes.split_at(length);
    }
    let kind = read_varint(&mut last);
    assert!(matches!(kind, 0x1c | 0x1d), "a close, not {kind:#x}");
    let code = read_varint(&mut last);
    if kind == 0x1c {
        read_varint(&mut last);
    }
    let length = read_varint(&mut last) as usize;
    assert_eq!(length, last.len());
    (kind == 0x1d, code, String::from_utf8_lossy(last).into())
}

/// A server of ours, and a peer written by hand that has told its parameters.
fn with_stranger(connection: ConnectionOptions) -> (Application, u32, TcpStream) {
    let mut server = Application::new();
    let port = server.listen(connection);
    let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    stranger.set_read_timeout(Some(PATIENCE)).expect("open");
    stranger.write_all(&parameters()).expect("open");
    let far = server.wait_for(kind::CONNECTION).connection;
    // Its parameters are read: before that no stream can begin.
    server.wait_for(kind::WIRES);
    (server, far, stranger)
}

/// The record that ends a connection, and what came of it besides parameters and streams.
fn until_closed(application: &mut Application) -> (Vec<u32>, Record) {
    let mut kinds = Vec::new();
    loop {
        let record = application.next();
        match record.kind {
            kind::CONN_CLOSE => return (kinds, record),
            kind::CONN_END | kind::CONN_ERROR => kinds.push(record.kind),
            _ => {}
        }
    }
}

fn read_all(stranger: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    stranger.read_to_end(&mut got).expect("an orderly end");
    got
}

fn an_error_is_told_to_the_peer_and_the_socket_stays_until_it_finishes() {
    let (mut server, far, mut stranger) = with_stranger(qmux(0, 0));
    // A record of nothing, and behind it more than is read at once.
    stranger.write_all(&[0]).expect("open");
    let error = server.wait_for(kind::CONN_ERROR);
    assert!(
        error
            .text()
            .contains("\"code\":\"ERR_MUX_PROTOCOL_VIOLATION\""),
        "{}",
        error.text()
    );
    assert_eq!(error.connection, far);
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 1);
    for _ in 0..50 {
        stranger.write_all(&[7; 20_000]).expect("no reset");
    }
    let (application, code, reason) = last_close(&read_all(&mut stranger));
    assert_eq!((application, code), (false, 0x0a));
    assert!(!reason.is_empty() && reason.len() <= 200, "{reason}");
}

fn destroying_sends_what_was_written_and_a_close() {
    let (mut server, far, mut stranger) = with_stranger(qmux(0, 0));
    server.put(op::OPEN, far, 0, 2, b"{}");
    server.put(op::DATA, far, 0, 5000, &[7; 5000]);
    server.flush();
    server
        .engine
        .env
        .connection(far)
        .expect("open")
        .stop(Stop::Close);
    let (kinds, closed) = until_closed(&mut server);
    assert_eq!((kinds, closed.aux), (vec![], 0));
    let got = read_all(&mut stranger);
    assert!(got.windows(5000).any(|bytes| bytes == [7; 5000]));
    assert_eq!(last_close(&got), (true, 0, String::new()));
}

fn a_close_tells_code_and_reason() {
    let (mut server, far, mut stranger) = with_stranger(qmux(0, 0));
    let mut payload = 70_000_u64.to_le_bytes().to_vec();
    payload.extend(b"enough");
    server.put(op::CLOSE, far, 0, payload.len() as u32, &payload);
    server.flush();
    let (kinds, closed) = until_closed(&mut server);
    assert_eq!((kinds, closed.aux), (vec![], 0));
    let got = read_all(&mut stranger);
    assert_eq!(last_close(&got), (true, 70_000, "enough".into()));
}

fn a_peer_that_never_finishes_is_left_and_its_number_is_free_at_once() {
    let (mut server, far, mut stranger) = with_stranger(qmux(0, 0));
    let port = stranger.peer_addr().expect("open").port();
    server
        .engine
        .env
        .connection(far)
        .expect("open")
        .stop(Stop::Close);
    server.wait_for(kind::CONN_CLOSE);
    server.engine.env.release(far);
    let started = Instant::now();
    read_all(&mut stranger);
    // Another has the number, while the socket of the first is still there.
    let mut next = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    next.write_all(&parameters()).expect("open");
    assert_eq!(server.wait_for(kind::CONNECTION).connection, far);
    stranger.write_all(&[0; 100]).expect("no reset yet");
    while stranger.write_all(&[0; 100]).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
        assert!(started.elapsed() < Duration::from_secs(5), "left in time");
    }
    assert!(started.elapsed() > Duration::from_millis(500));
    while let Some(record) = server.next_within(Duration::from_millis(10)) {
        assert_ne!(record.kind, kind::CONN_ERROR, "{}", record.text());
        assert_ne!(record.kind, kind::CONN_CLOSE);
    }
}

fn the_peers_close_without_a_code_is_an_end() {
    let (mut server, _, mut stranger) = with_stranger(qmux(0, 0));
    stranger
        .write_all(&record(&[0x1d, 0, 0]))
        .and_then(|()| stranger.shutdown(std::net::Shutdown::Write))
        .expect("open");
    let (kinds, closed) = until_closed(&mut server);
    assert_eq!((kinds, closed.aux), (vec![kind::CONN_END], 0));
    read_all(&mut stranger);
}

fn the_peers_close_with_a_code_is_an_error() {
    let (mut server, _, mut stranger) = with_stranger(qmux(0, 0));
    stranger
        .write_all(&record(&[0x1d, 7, 2, b'n', b'o']))
        .expect("open");
    let error = server.wait_for(kind::CONN_ERROR).text();
    for part in [
        "\"code\":\"ERR_MUX_CLOSED_BY_PEER\"",
        "\"closeCode\":7",
        "\"application\":true",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 1);
    read_all(&mut stranger);
}

fn silence_ends_a_connection() {
    let (mut server, _, mut stranger) = with_stranger(qmux(300, 0));
    let started = Instant::now();
    // A whole record now and then is no silence.
    for _ in 0..4 {
        while server.next_within(Duration::from_millis(100)).is_some() {}
        stranger.write_all(&record(&[0])).expect("open");
    }
    let error = server.wait_for(kind::CONN_ERROR).text();
    assert!(
        error.contains("\"origin\":\"peer\"") && error.contains("ERR_MUX_IDLE_TIMEOUT"),
        "{error}"
    );
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_millis(650), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 1);
    // An end, and no frame that says so.
    let mut got = &read_all(&mut stranger)[..];
    let length = read_varint(&mut got) as usize;
    assert!(got[..length].starts_with(b"\xff\x51\x53\x30"));
    assert!(
        !got[length..]
            .windows(2)
            .any(|frame| matches!(frame[1], 0x1c | 0x1d))
    );
}

fn what_waits_to_be_read_is_no_silence() {
    let (mut server, _, mut stranger) = with_stranger(qmux(300, 0));
    for _ in 0..4 {
        // The application does not look, and what comes waits for it.
        std::thread::sleep(Duration::from_millis(200));
        stranger.write_all(&record(&[0])).expect("open");
    }
    while let Some(record) = server.next_within(Duration::from_millis(10)) {
        assert_ne!(record.kind, kind::CONN_ERROR, "{}", record.text());
    }
}

/// Two of ours.
fn both_qmux(idle: u64, ping: u64) -> (Application, u32, Application, u32) {
    let (mut server, mut client) = (Application::new(), Application::new());
    let port = server.listen(qmux(idle, ping));
    let near = client.connect_with(&[(Ipv4Addr::LOCALHOST.into(), port)], qmux(idle, ping));
    client.wait_for(kind::CONNECTED);
    let far = server.wait_for(kind::CONNECTION).connection;
    (server, far, client, near)
}

fn pings_keep_a_connection_alive() {
    let (mut server, _, mut client, _) = both_qmux(300, 100);
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        for application in [&mut server, &mut client] {
            while let Some(record) = application.next_within(Duration::from_millis(5)) {
                assert_ne!(record.kind, kind::CONN_ERROR, "{}", record.text());
            }
        }
    }
}

fn a_ping_is_answered() {
    let (server, _, mut client, near) = both_qmux(0, 0);
    let answering = std::thread::spawn(move || {
        let mut server = server;
        while server.next_within(Duration::from_millis(500)).is_some() {}
        server
    });
    client.put(op::PING, near, 0, 77, &[]);
    client.flush();
    let pong = client.wait_for(kind::PONG);
    assert_eq!((pong.connection, pong.aux), (near, 77));
    assert!((1..5_000_000).contains(&pong.stream), "{} µs", pong.stream);
    answering.join().expect("no panic");
}

/// Two of ours with one stream between them, from client to server, that goes both ways.
fn streaming() -> (Application, u32, Application, u32) {
    let (mut server, far, mut client, near) = both_qmux(0, 0);
    client.put(op::OPEN, near, 0, 2, b"{}");
    client.flush();
    assert_eq!(server.wait_for(kind::STREAM).stream, 1);
    server.put(op::ACCEPT, far, 1, 0, &[]);
    server.flush();
    client.wait_for(kind::OPENED);
    (server, far, client, near)
}

fn what_is_received_behind_our_end_is_no_error() {
    let (mut server, far, mut client, near) = streaming();
    client.put(op::END, near, 0, 0, &[]);
    client.put(op::CONN_END, near, 0, 0, &[]);
    client.flush();
    server.wait_for(kind::CONN_END);
    // As much as there is credit for, which would go back if that were possible.
    for _ in 0..50 {
        server.put(op::DATA, far, 1, 5000, &[7; 5000]);
    }
    server.put(op::END, far, 1, 0, &[]);
    server.flush();
    let mut got = 0;
    while got < 250_000 {
        got += client.wait_for(kind::DATA).bytes.len();
    }
    client.put(op::PING, near, 0, 1, &[]);
    client.flush();
    server.wait_for(kind::CLOSED);
    server.put(op::FORGET, far, 1, 0, &[]);
    server.put(op::CONN_END, far, 0, 0, &[]);
    server.flush();
    for application in [&mut client, &mut server] {
        let (kinds, closed) = until_closed(application);
        assert!(!kinds.contains(&kind::CONN_ERROR));
        assert_eq!(closed.aux, 0);
    }
}

fn a_reader_that_is_slow_stops_its_stream_alone() {
    let (mut server, far, mut client, near) = streaming();
    client.put(op::OPEN, near, 2, 2, b"{}");
    client.flush();
    let second = server.wait_for(kind::STREAM).stream;
    server.put(op::ACCEPT, far, second, 0, &[]);
    server.flush();
    client.wait_for(kind::OPENED);
    let mut queued = 0;
    for _ in 0..100 {
        client.put(op::DATA, near, 0, 50_000, &[7; 50_000]);
        queued = client.flush();
    }
    client.wait_for(kind::BLOCKED);
    // Of what waits for a reader nobody else is told.
    while queued > 0 {
        std::thread::sleep(LOOK);
        queued = client.flush_and_ask(near);
    }
    // All is delivered that was allowed, and none of it is consumed.
    let mut held = 0;
    while let Some(record) = server.next_within(Duration::from_millis(100)) {
        if record.kind != kind::DATA {
            continue;
        }
        assert_eq!(record.stream, 1);
        server.put(op::HOLD, far, 1, record.bytes.len() as u32, &[]);
        server.flush();
        held += record.bytes.len();
    }
    assert!((100_000..=256 << 10).contains(&held), "{held}");
    // The other stream goes on.
    client.put(op::DATA, near, 2, 5, b"hello");
    client.put(op::MARK, near, 2, 9, &[]);
    client.flush();
    assert_eq!(client.wait_for(kind::MARK).aux, 9);
    let record = server.wait_for(kind::DATA);
    assert_eq!((record.stream, &record.bytes[..]), (second, &b"hello"[..]));
    // And so does this one, once it is read.
    server.put(op::RELEASE, far, 1, held as u32, &[]);
    server.flush();
    while held < 5_000_000 {
        held += server.wait_for(kind::DATA).bytes.len();
    }
    client.wait_for(kind::UNBLOCKED);
}
