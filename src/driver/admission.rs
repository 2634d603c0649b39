//! What lies between a socket that a server accepted and a connection that JavaScript knows of.
//!
//! ```text
//!   accepted ──▶ a trusted proxy's header is read (proxy/mod.rs) ─▶ none that is valid: record PROXY_ERROR
//!       │               ▼
//!       └──────▶ a connection has a number ──▶ JavaScript is asked (record ADMISSION), and nothing is read or sent
//!                         │                       ├─ admitted ─▶ task::run: the handshake, if it is to be encrypted, and then as below
//!                         │                       ├─ refused ──▶ the peer is told why ──▶ linger
//!                         │                       └─ the peer has left, or is dropped ──▶ over
//!                         └─ in the clear, and nobody wants to be asked ─▶ task::run: record CONNECTION, first read
//! ```
//!
//! May not decide who comes in: JavaScript does.

use super::boundary::kind;
use super::connect::stopped;
use super::connection::Connection;
use super::environment::Environment;
use super::inbox::flow::{Charge, Flow, MAX_UNDELIVERED};
use super::last_events;
use super::link::greeting::Greeting;
use super::lock::{Lock, Rank};
use super::options::ConnectionOptions;
use super::proxy::{self, Outcome, Trusted};
use super::pump::{end::end, linger, task};
use super::quota::Quotas;
use super::secured::Secured;
use super::socket::{Ends, Registered, Socket, describe_ends};
use super::thread::with_collector;
use crate::proto::Side;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// What an accepted connection counts for until the application is told of it: 64 at a time. The others wait in the
/// system's backlog: a crowd that connects and leaves would otherwise be let in faster than it is let out.
const ANNOUNCED: usize = MAX_UNDELIVERED / 64;

/// The number of refused connections of a server that are told why at the same time, which takes up to two seconds and a
/// descriptor each. If there are more, they are closed without a word: a crowd of strangers must not use up the descriptors.
pub const REFUSED: usize = 64;

/// How a server lets connections in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmissionOptions {
    /// JavaScript is asked about each connection before anything is read of it.
    pub asks: bool,
    /// The peers that say for whom they connect.
    pub proxies: Option<Trusted>,
}

/// What JavaScript says about a connection that it was asked about.
#[derive(Debug)]
pub enum Verdict {
    /// The connection is let in. If it is to be encrypted, `asks` lets JavaScript choose by the name that the client asks for.
    Admit { asks: bool },
    /// The connection is not.
    Refuse(Refusal),
}

/// What a peer is told that is not let in, if it speaks a wire that can tell.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// The code.
    pub code: u64,
    /// Whether the code is the application's, and not one of QUIC.
    pub application: bool,
    /// The reason, for a person to read.
    pub reason: String,
}

/// The connections of an environment that JavaScript was asked about.
#[derive(Debug)]
pub struct Admissions(Lock<HashMap<u32, oneshot::Sender<Verdict>>>);

impl Admissions {
    /// Nobody waits.
    pub fn new() -> Self {
        Self(Lock::new(Rank::Tables, HashMap::new()))
    }

    /// A connection waits for its verdict.
    fn wait_for(&self, connection: u32) -> oneshot::Receiver<Verdict> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().insert(connection, sender);
        receiver
    }

    /// JavaScript has decided. Returns its verdict if nobody waits for that.
    pub fn answer(&self, connection: u32, verdict: Verdict) -> Option<Verdict> {
        let Some(waiting) = self.0.lock().remove(&connection) else {
            return Some(verdict);
        };
        // If this fails, the connection ended at this moment, of which JavaScript will hear.
        let _ = waiting.send(verdict);
        None
    }

    fn forget(&self, connection: u32) {
        self.0.lock().remove(&connection);
    }
}

/// The door of a server: what each socket that it accepts is received with.
pub struct Door {
    pub env: Arc<Environment>,
    pub server: u32,
    /// The connections that JavaScript has yet to be told of.
    pub announced: Arc<Flow>,
    pub quotas: Arc<Lock<Quotas>>,
    pub admission: AdmissionOptions,
    pub options: ConnectionOptions,
    /// How the connections are encrypted.
    pub secured: Secured,
    /// The refused connections that may be told why.
    pub refused: Arc<Semaphore>,
}

impl Door {
    /// Receives a socket. What waits for a proxy's header goes into `waiting`, which the server ends when it closes.
    pub fn receive(self: &Arc<Self>, socket: Socket, waiting: &mut JoinSet<()>) {
        // The call fails only for a socket that is gone already, which the first read tells.
        let _ = socket.configure(&self.options);
        let ends = socket.ends();
        let socket = Arc::new(socket);
        let AdmissionOptions { asks, proxies } = &self.admission;
        // A TCP peer without an address has reset the connection already. Who judges addresses cannot judge it.
        if ends.0.is_some() && ends.1.is_none() && (*asks || proxies.is_some()) {
            return;
        }
        if proxies.as_ref().is_some_and(|it| it.includes(ends)) {
            while waiting.try_join_next().is_some() {}
            waiting.spawn(read_header(self.clone(), socket, ends));
        } else {
            self.start(socket, ends);
        }
    }

    /// Makes a connection of a socket, between the ends that the application is told of.
    fn start(self: &Arc<Self>, socket: Arc<Socket>, ends: Ends) {
        let Some(connection) = self.env.open(Side::Listening, self.options.clone()) else {
            return;
        };
        if let Some(peer) = ends.1 {
            connection.limit_resets(&self.quotas, peer.ip());
        }
        let announced = Charge::new(self.announced.clone(), ANNOUNCED);
        let mut greeting = Greeting::accepted(self.server, describe_ends(ends));
        // JavaScript knows of every handshake, which its peer may stretch as long as it may.
        let is_encrypted = self.secured.encrypt(&connection);
        if self.admission.asks || is_encrypted {
            tokio::spawn(ask(self.clone(), connection, socket, greeting, announced));
            return;
        }
        greeting.charge = Some(announced);
        task::attach(&connection, &socket, greeting);
        tokio::spawn(task::run(connection, socket));
    }
}

/// Reads a proxy's header, and goes on with the connection that it speaks of.
async fn read_header(door: Arc<Door>, socket: Arc<Socket>, ends: Ends) {
    let limit = door.options.protocol.handshake_timeout;
    match proxy::read(&socket, limit).await {
        Outcome::Client(client) => door.start(socket, client),
        Outcome::Itself => door.start(socket, ends),
        Outcome::Nobody => {}
        Outcome::Failed(what) => {
            let mut text = describe_ends(ends);
            text["origin"] = json!("peer");
            text["code"] = json!("ERR_MUX_PROXY_HEADER");
            text["message"] = json!(format!("the peer {what}"));
            let text = text.to_string();
            door.env
                .tell_of_server(kind::PROXY_ERROR, door.server, &text);
        }
    }
}

/// Asks JavaScript whether a connection may come in, and does what it says.
async fn ask(
    door: Arc<Door>,
    connection: Arc<Connection>,
    socket: Arc<Socket>,
    greeting: Greeting,
    announced: Charge,
) {
    let env = &door.env;
    let verdict = env.admissions.wait_for(connection.id);
    with_collector(&connection, |collector| {
        let addresses = greeting.addresses.to_string();
        collector.text(kind::ADMISSION, door.server, &addresses, 0);
        collector.charge_until_delivered(announced);
        connection.tell(collector);
    });
    connection.inbox.notify();
    let mut registered = Registered::new(socket.clone());
    let verdict = tokio::select! {
        biased;
        verdict = verdict => verdict.ok(),
        () = stopped(&connection) => None,
        // A peer that half-closes may still want to be heard. A peer that is gone does not.
        _ = registered.ready(Some(Interest::ERROR)) => None,
    };
    drop(registered);
    env.admissions.forget(connection.id);
    match verdict {
        Some(Verdict::Admit { asks }) => {
            door.secured.admit(&connection, asks);
            drop(door);
            task::attach(&connection, &socket, greeting);
            task::run(connection, socket).await;
        }
        Some(Verdict::Refuse(refusal)) => match door.refused.clone().try_acquire_owned() {
            Ok(_permit) => refuse(connection, socket, refusal).await,
            Err(_) => drop_quietly(&connection),
        },
        None => drop_quietly(&connection),
    }
}

/// Ends a connection that the application does not want, or that has ended by itself.
fn drop_quietly(connection: &Connection) {
    connection.end();
    last_events::tell(connection, None);
}

/// Tells the peer why it is not let in, if it turns out to speak a wire that can.
async fn refuse(connection: Arc<Connection>, socket: Arc<Socket>, refusal: Refusal) {
    connection.attach(socket.clone(), socket.is_local(), None);
    connection.close(&refusal);
    let io = Registered::new(socket);
    let lingers = end(&connection, &io);
    drop(connection);
    if let Some(lingers) = lingers {
        linger::run(io, lingers).await;
    }
}
