//! The crate `qmux` behind a command line. It takes part in one connection, does what standard input says, and tells
//! what it saw in JSON lines. It holds no expectations: those are in the tests.
//!
//! `qmux-peer connect ADDRESS [KEY=VALUE…]`, or `qmux-peer listen [KEY=VALUE…]` for one connection on a free port of
//! 127.0.0.1. Keys: see [`options`]; commands: see [`commands`]. Ends with the connection or with standard input.

mod accepted;
mod commands;
mod options;
mod pattern;
mod report;
mod tap;

use std::sync::Arc;
use std::time::Duration;

use qmux::{Session, transport::Stream};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use web_transport_trait::{Session as _, Stats as _};

use crate::options::Options;
use crate::report::report;
use crate::tap::{Tap, Wire};

/// For the crate's writer to send its last frames. A peer that reads needs no more than a moment.
const FAREWELL: Duration = Duration::from_secs(5);

type Failure = Box<dyn std::error::Error>;

async fn socket(role: &str, address: Option<String>) -> Result<TcpStream, Failure> {
    let socket = match (role, address) {
        ("connect", Some(address)) => TcpStream::connect(address).await?,
        ("listen", None) => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            report("listening")
                .number("port", listener.local_addr()?.port().into())
                .print();
            listener.accept().await?.0
        }
        _ => return Err("usage: qmux-peer connect ADDRESS | listen [KEY=VALUE…]".into()),
    };
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn establish(
    socket: TcpStream,
    is_server: bool,
    options: &Options,
    wire: &Arc<Wire>,
) -> Result<Session, qmux::Error> {
    let config = options.config.clone();
    // Not the crate's own builder: it reports the kernel's round trip time, this way it is that of QX_PING.
    let stream = Stream::new(
        Tap::new(socket, wire.clone()),
        config.version,
        config.max_record_size,
    );
    if is_server {
        Session::accept(stream, config).await
    } else {
        Session::connect(stream, config).await
    }
}

/// Runs commands until standard input ends.
async fn obey(session: &Session, go: &watch::Sender<bool>) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "go" {
            go.send_replace(true);
        } else {
            tokio::spawn(commands::run(session.clone(), line));
        }
    }
}

async fn accept_all(session: &Session, options: &Options, go: &watch::Sender<bool>) {
    for index in 0.. {
        let Ok((send, recv)) = session.accept_bi().await else {
            break;
        };
        report("accepted").number("stream", index).print();
        tokio::spawn(accepted::serve(
            options.accept,
            index,
            send,
            recv,
            go.subscribe(),
        ));
    }
    // The reason is the caller's to tell.
    std::future::pending().await
}

fn farewell(error: &qmux::Error, wire: &Wire) {
    let sent = wire
        .sent
        .lock()
        .expect("nothing panics while it holds this");
    let received = wire
        .received
        .lock()
        .expect("nothing panics while it holds this");
    report("closed")
        .end(Err(error))
        .number("sent", sent.bytes)
        .number("received", received.bytes)
        .hex("firstSent", &sent.first)
        .hex("firstReceived", &received.first)
        .print();
}

async fn run() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).peekable();
    let role = args.next().unwrap_or_default();
    let address = args.next_if(|arg| !arg.contains('='));
    let options = Options::parse(args)?;
    let socket = socket(&role, address).await?;
    let wire = Arc::new(Wire::default());
    let mut over = wire.over.subscribe();
    let error = match establish(socket, role == "listen", &options, &wire).await {
        Err(error) => error,
        Ok(session) => {
            let streams = session.stats().streams().unwrap_or_default();
            report("established")
                .number("bidi", streams.bidi.available)
                .number("uni", streams.uni.available)
                .number("datagram", session.max_datagram_size() as u64)
                .print();
            let go = watch::Sender::new(false);
            tokio::select! {
                () = obey(&session, &go) => return Ok(()),
                () = accept_all(&session, &options, &go) => unreachable!("it waits for ever"),
                error = session.closed() => error,
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, over.wait_for(|&over| over)).await;
    farewell(&error, &wire);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let code = match run().await {
        Ok(()) => 0,
        Err(error) => {
            report("failed").text("message", &error.to_string()).print();
            1
        }
    };
    // Not by returning: tokio reads standard input on a thread that nothing can interrupt.
    std::process::exit(code);
}
