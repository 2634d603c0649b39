//! Whole connections in TLS over real sockets: both ends ours, one end in the clear, and `openssl` at the other end.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tcp_stream_muxer::driver::tls::options::{
    ClientContext, ClientTlsOptions, IdentityText, TlsOptions, Version,
};

both_ways! {
    what_is_written_arrives_encrypted_and_then_both_close
    long_and_short_messages_go_both_ways
    what_is_commanded_before_the_handshake_is_not_lost
    who_is_not_trusted_is_told_so_and_the_server_goes_on
    a_client_in_the_clear_is_told_from_one_in_tls
    a_server_in_the_clear_is_told_from_one_in_tls
    a_peer_that_says_nothing_is_given_up
    a_handshake_that_stops_is_given_up
    other_certificates_are_taken_without_a_restart
    an_openssl_client_is_served
    an_openssl_server_is_spoken_to
}

/// An authority, and a server that it vouches for.
struct Secrets {
    ca: String,
    identity: IdentityText,
}

impl Secrets {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::new([]).expect("no names");
        let name = format!("authority {number}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Self {
            ca: issuer.pem(),
            identity: IdentityText {
                cert: certificate.pem(),
                key: key.serialize_pem(),
            },
        }
    }

    fn server(&self) -> TlsOptions {
        TlsOptions {
            identities: vec![self.identity.clone()],
            ..TlsOptions::default()
        }
    }

    fn client(&self) -> ClientTlsOptions {
        ClientTlsOptions {
            servername: "localhost".to_owned(),
            context: ClientContext {
                options: TlsOptions {
                    ca: vec![self.ca.clone()],
                    ..TlsOptions::default()
                },
                ..ClientContext::default()
            },
        }
    }
}

fn timely() -> ConnectionOptions {
    let mut options = options();
    options.protocol.handshake_timeout = Duration::from_millis(300);
    options
}

fn listen(at: &Application, tls: Option<TlsOptions>, connection: ConnectionOptions) -> (u32, u16) {
    let options = ListenOptions {
        address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()),
        backlog: 511,
        connection,
        tls,
        ..ListenOptions::default()
    };
    let server = at.engine.listen(options).expect("a free port");
    match at.engine.server_address(server) {
        Some(ServerAddress::Tcp(address)) => (server, address.port()),
        other => panic!("no port: {other:?}"),
    }
}

fn connect(at: &Application, port: u16, tls: Option<ClientTlsOptions>) -> u32 {
    let options = ConnectOptions {
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()],
        connection: timely(),
        tls,
        ..ConnectOptions::default()
    };
    at.engine.connect(options).expect("a connection")
}

fn json(record: &Record) -> Value {
    serde_json::from_slice(&record.bytes).expect("JSON")
}

/// A server and a client in TLS, with one stream open between them.
fn joined_in_tls(version: Version) -> (Application, u32, Application, u32) {
    let secrets = Secrets::new();
    let (mut server, mut client) = (Application::new(), Application::new());
    let mut tls = secrets.server();
    tls.max_version = version;
    let (_, port) = listen(&server, Some(tls), options());
    let near = connect(&client, port, Some(secrets.client()));
    client.put(op::OPEN, near, 0, 2, b"{}");
    client.flush();
    let accepted = server.wait_for(kind::CONNECTION);
    let told = json(&accepted);
    assert_eq!(told["tls"]["alpn"], "tcp-stream-muxer/1");
    assert_eq!(told["tls"]["servername"], "localhost");
    assert_eq!(told["remote"]["address"], "127.0.0.1");
    let far = accepted.connection;
    let stream = server.wait_for(kind::STREAM).stream;
    server.put(op::ACCEPT, far, stream, 0, &[]);
    server.flush();
    let told = json(&client.wait_for(kind::CONNECTED));
    let certificates = told["tls"]["peerCertificates"].as_array().map(Vec::len);
    assert_eq!(certificates, Some(1), "{told}");
    assert_eq!(client.wait_for(kind::WIRES).aux & 3, 3, "QMux both ways");
    client.wait_for(kind::OPENED);
    (server, far, client, near)
}

fn what_is_written_arrives_encrypted_and_then_both_close() {
    for version in [Version::Tls12, Version::Tls13] {
        let (mut server, far, mut client, near) = joined_in_tls(version);
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            loop {
                let record = server.next();
                match record.kind {
                    kind::DATA => got.extend(record.bytes),
                    kind::CONN_END => {
                        server.put(op::CONN_END, far, 0, 0, &[]);
                        server.flush();
                    }
                    kind::CONN_ERROR => panic!("{}", record.text()),
                    kind::CONN_CLOSE => return (got, record),
                    _ => {}
                }
            }
        });
        let mut expected = Vec::new();
        for number in 0..6000_u32 {
            let length = [1, 64, 1000, 65_536, 17][number as usize % 5] % (1 + number % 70_000);
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
        let closed = client.wait_for(kind::CONN_CLOSE);
        assert_eq!(closed.aux, 0);
        let (got, far_closed) = reader.join().expect("the reader ends");
        assert!(got == expected, "{} of {}", got.len(), expected.len());
        // What is on the socket counts: more than the bytes of the application.
        let (near, far) = (json(&closed), json(&far_closed));
        assert_eq!(near["bytesWritten"], far["bytesRead"]);
        assert!(near["bytesWritten"].as_u64() > Some(expected.len() as u64));
    }
}

fn long_and_short_messages_go_both_ways() {
    let (mut server, far, mut client, near) = joined_in_tls(Version::Tls13);
    let collector = &mut Collector::default();
    for round in 0..200_u32 {
        let length = [5, 65_536, 16_384, 40_000][round as usize % 4];
        let payload = vec![round as u8; length];
        let connection = client.engine.env.connection(near).expect("open");
        connection.submit_data(tcp_stream_muxer::proto::Handle(0), &payload, collector);
        let mut got = 0;
        while got < length {
            got += server.wait_for(kind::DATA).bytes.len();
        }
        server.put(op::DATA, far, 1, 3, b"yes");
        server.flush();
        assert_eq!(client.wait_for(kind::DATA).bytes, b"yes");
    }
}

fn what_is_commanded_before_the_handshake_is_not_lost() {
    let secrets = Secrets::new();
    let (mut server, mut client) = (Application::new(), Application::new());
    let (_, port) = listen(&server, Some(secrets.server()), options());
    let near = connect(&client, port, Some(secrets.client()));
    client.put(op::OPEN, near, 0, 2, b"{}");
    client.put(op::PING, near, WHOLE, 5, &[]);
    client.put(op::DATA, near, 0, 5, b"early");
    client.put(op::END, near, 0, 0, &[]);
    client.put(op::CONN_END, near, 0, 0, &[]);
    client.flush();
    assert_eq!(server.wait_for(kind::DATA).bytes, b"early");
    server.wait_for(kind::CONN_END);
    client.wait_for(kind::PONG);
}

fn who_is_not_trusted_is_told_so_and_the_server_goes_on() {
    let (secrets, others) = (Secrets::new(), Secrets::new());
    let (mut server, mut client) = (Application::new(), Application::new());
    let (_, port) = listen(&server, Some(secrets.server()), options());
    let near = connect(&client, port, Some(others.client()));
    server.admit_next();
    let error = client.wait_for(kind::CONN_ERROR);
    let told = json(&error);
    assert_eq!((error.connection, &told["origin"]), (near, &"tls".into()));
    assert_eq!(told["code"], "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert_eq!(client.wait_for(kind::CONN_CLOSE).aux, 1);
    let error = server.next();
    assert_eq!(error.kind, kind::CONN_ERROR);
    assert_eq!(json(&error)["code"], "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
    assert_eq!(server.wait_for(kind::CONN_CLOSE).aux, 1);
    server.engine.env.release(error.connection);
    connect(&client, port, Some(secrets.client()));
    let accepted = server.wait_for(kind::CONNECTION);
    assert_eq!(accepted.connection, error.connection);
}

fn a_client_in_the_clear_is_told_from_one_in_tls() {
    let secrets = Secrets::new();
    for protocol in [Protocol::Auto, Protocol::Legacy, Protocol::Qmux] {
        let (mut server, mut client) = (Application::new(), Application::new());
        let (_, port) = listen(&server, Some(secrets.server()), timely());
        let mut options = timely();
        options.protocol.protocol = protocol;
        let near = client.connect_with(&[(Ipv4Addr::LOCALHOST.into(), port)], options);
        client.put(op::OPEN, near, 0, 2, b"{}");
        client.flush();
        server.admit_next();
        let error = json(&client.wait_for(kind::CONN_ERROR));
        assert_eq!(error["code"], "ERR_MUX_WRONG_PROTOCOL", "{error}");
        let error = json(&server.wait_for(kind::CONN_ERROR));
        assert_eq!(error["code"], "ERR_SSL_WRONG_VERSION_NUMBER");
    }
}

fn a_server_in_the_clear_is_told_from_one_in_tls() {
    let secrets = Secrets::new();
    for protocol in [Protocol::Auto, Protocol::Legacy, Protocol::Qmux] {
        let (mut server, mut client) = (Application::new(), Application::new());
        let mut options = timely();
        options.protocol.protocol = protocol;
        let (_, port) = listen(&server, None, options);
        connect(&client, port, Some(secrets.client()));
        let error = json(&client.wait_for(kind::CONN_ERROR));
        assert_eq!(error["code"], "ERR_SSL_WRONG_VERSION_NUMBER", "{error}");
        let error = json(&server.wait_for(kind::CONN_ERROR));
        assert_eq!(error["code"], "ERR_MUX_WRONG_PROTOCOL");
    }
}

fn a_peer_that_says_nothing_is_given_up() {
    let secrets = Secrets::new();
    let mut server = Application::new();
    let (_, port) = listen(&server, Some(secrets.server()), timely());
    let silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    let error = json(&server.wait_for(kind::CONN_ERROR));
    assert_eq!(error["code"], "ERR_TLS_HANDSHAKE_TIMEOUT");
    drop(silent);
    let mut client = Application::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    connect(&client, port, Some(secrets.client()));
    let silent = listener.accept().expect("connects");
    let error = json(&client.wait_for(kind::CONN_ERROR));
    assert_eq!(error["code"], "ERR_TLS_HANDSHAKE_TIMEOUT");
    drop(silent);
}

fn a_handshake_that_stops_is_given_up() {
    let secrets = Secrets::new();
    let mut server = Application::new();
    let (_, port) = listen(&server, Some(secrets.server()), options());
    for reset in [false, true] {
        let mut peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
        peer.write_all(&[22, 3, 1, 1, 0, 1]).expect("writes");
        server.admit_next();
        if reset {
            let peer = socket2::Socket::from(peer);
            peer.set_linger(Some(Duration::ZERO)).expect("open");
            drop(peer);
            let error = json(&server.wait_for(kind::CONN_ERROR));
            assert_eq!(error["origin"], "system");
        } else {
            drop(peer);
            let error = json(&server.wait_for(kind::CONN_ERROR));
            assert_eq!(error["code"], "ECONNRESET");
        }
    }
}

fn other_certificates_are_taken_without_a_restart() {
    let (first, second) = (Secrets::new(), Secrets::new());
    let mut client = Application::new();
    let mut server = Application::new();
    let (id, port) = listen(&server, Some(first.server()), options());
    connect(&client, port, Some(first.client()));
    server.admit_next();
    client.wait_for(kind::CONNECTED);
    let replaced = server.engine.secure_server(id, &second.server());
    replaced.expect("valid");
    connect(&client, port, Some(second.client()));
    server.admit_next();
    client.wait_for(kind::CONNECTED);
    connect(&client, port, Some(first.client()));
    server.admit_next();
    let error = json(&client.wait_for(kind::CONN_ERROR));
    assert_eq!(error["code"], "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    let bad = server.engine.secure_server(id, &TlsOptions::default());
    assert!(bad.is_err(), "and nothing changes");
    connect(&client, port, Some(second.client()));
    server.admit_next();
    client.wait_for(kind::CONNECTED);
}

/// A process that is ended with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Files for `openssl`, which are removed with their test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(secrets: &Secrets) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tsm-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let IdentityText { cert, key } = &secrets.identity;
        for (name, text) in [("ca", &secrets.ca), ("cert", cert), ("key", key)] {
            std::fs::write(folder.join(name), text).expect("a file");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `openssl`; `None`, and a word about it, if this machine has none.
fn openssl(arguments: &[&str]) -> Option<Process> {
    let child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    match child {
        Ok(child) => Some(Process(child)),
        Err(error) => {
            eprintln!("skipped: openssl cannot be run: {error}");
            None
        }
    }
}

/// A legacy frame that opens a stream.
const OPEN: &[u8] = b"\0\0\0\x0a\x01\x02null";

fn an_openssl_client_is_served() {
    let secrets = Secrets::new();
    let folder = Folder::new(&secrets);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut server = Application::new();
        let (_, port) = listen(&server, Some(secrets.server()), options());
        let (address, ca) = (format!("127.0.0.1:{port}"), folder.path("ca"));
        let Some(mut client) = openssl(&[
            "s_client",
            "-quiet",
            version,
            "-connect",
            &address,
            "-servername",
            "localhost",
            "-CAfile",
            &ca,
            "-verify_return_error",
        ]) else {
            return;
        };
        let told = json(&server.wait_for(kind::CONNECTION));
        let expected = version.replace("-tls1_", "TLSv1.");
        assert_eq!(told["tls"]["protocol"], expected);
        assert_eq!(told["tls"]["alpn"], Value::Null);
        let stdin = client.0.stdin.as_mut().expect("piped");
        stdin.write_all(OPEN).expect("writes");
        let opened = server.wait_for(kind::STREAM);
        server.put(op::ACCEPT, opened.connection, opened.stream, 0, &[]);
        server.flush();
        let mut answer = [0; 4];
        let stdout = client.0.stdout.as_mut().expect("piped");
        stdout.read_exact(&mut answer).expect("a frame");
        assert_eq!(answer[..3], [0; 3], "the length of a frame");
        // Our end is told in order.
        server.put(op::CONN_END, opened.connection, 0, 0, &[]);
        server.flush();
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).expect("its end");
        server.wait_for(kind::CONN_CLOSE);
    }
}

fn an_openssl_server_is_spoken_to() {
    let secrets = Secrets::new();
    let folder = Folder::new(&secrets);
    for version in ["-tls1_2", "-tls1_3"] {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let (address, cert, key) = (
            format!("127.0.0.1:{port}"),
            folder.path("cert"),
            folder.path("key"),
        );
        let Some(mut server) = openssl(&[
            "s_server", "-quiet", version, "-accept", &address, "-cert", &cert, "-key", &key,
        ]) else {
            return;
        };
        let mut client = Application::new();
        let until = Instant::now() + PATIENCE;
        let (near, told) = loop {
            let near = connect(&client, port, Some(secrets.client()));
            let record = client.next();
            match record.kind {
                kind::CONNECTED => break (near, json(&record)),
                _ => assert!(Instant::now() < until, "{}", record.text()),
            }
            client.wait_for(kind::CONN_CLOSE);
            client.engine.env.release(near);
            std::thread::sleep(Duration::from_millis(20));
        };
        let expected = version.replace("-tls1_", "TLSv1.");
        assert_eq!(told["tls"]["protocol"], expected);
        client.put(op::OPEN, near, 0, 4, b"null");
        client.flush();
        let stdout = server.0.stdout.as_mut().expect("piped");
        let mut got: Vec<u8> = Vec::new();
        while !got.windows(OPEN.len() - 6).any(|part| part == &OPEN[6..]) {
            let mut some = [0; 1000];
            let read = stdout.read(&mut some).expect("frames");
            assert!(read > 0, "{got:?}");
            got.extend(&some[..read]);
        }
        let stdin = server.0.stdin.as_mut().expect("piped");
        stdin.write_all(OPEN).expect("writes");
        client.wait_for(kind::STREAM);
    }
}
