//! A server that learns which name its client asks for before it chooses a configuration.
//!
//! ```text
//!   Asking ──a ClientHello with a name──▶ JavaScript is asked (record SERVERNAME) ──choose──▶ go_on ──▶ Server
//!      └──one without, or a malformed one──────────────────────────────────────────────────────▲
//! ```
//!
//! rustls' `Acceptor` only looks at the bytes. They are kept meanwhile, and are given to the connection that is made then as if
//! they came at that time, so that there is one way for a handshake and for its errors.
//!
//! May not choose: JavaScript does.

use super::{GAP, State, Tls};
use crate::driver::link::channel::TlsError;
use crate::driver::tls::codes;
use crate::driver::tls::config::{Choice, Start};
use rustls::ServerConfig;
use rustls::server::{Acceptor, UnbufferedServerConnection};
use std::sync::Arc;

/// The alert of a server that is nobody of the name: "unrecognized_name", fatal, in the clear.
const UNKNOWN_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What a server knows before it has chosen.
pub struct Asking {
    /// The server's own configuration.
    own: Arc<ServerConfig>,
    /// `None` once the name is known.
    acceptor: Option<Acceptor>,
    /// The name that JavaScript has yet to be asked about.
    name: Option<String>,
    choice: Option<Choice>,
}

impl Asking {
    /// A server that has heard nothing.
    pub fn new(own: Arc<ServerConfig>) -> Self {
        Self {
            own,
            acceptor: Some(Acceptor::default()),
            name: None,
            choice: None,
        }
    }

    /// Looks at bytes that have come. Returns whether the choice is made, because there is nothing to choose by.
    pub fn hear(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(acceptor) = &mut self.acceptor {
            // A reader of memory fails only if the acceptor has too much already, which its errors tell as well.
            let read = acceptor.read_tls(&mut bytes);
            match acceptor.accept() {
                Ok(None) if bytes.is_empty() => return false,
                Ok(None) if read.is_ok_and(|read| read > 0) => {}
                Ok(Some(accepted)) => {
                    self.acceptor = None;
                    self.name = accepted.client_hello().server_name().map(str::to_owned);
                    if self.name.is_some() {
                        return false;
                    }
                }
                // The connection finds again what is wrong.
                Ok(None) | Err(_) => self.acceptor = None,
            }
            if self.acceptor.is_none() {
                self.choice = Some(Choice::Own);
            }
        }
        self.choice.is_some()
    }
}

impl Tls {
    /// Lets JavaScript choose by the name that the client asks for. Must be called before the handshake begins.
    pub fn ask_for_name(&mut self) {
        if let State::Before(Start::Server(config)) = &self.state {
            self.state = State::Before(Start::Asking(config.clone()));
        }
    }

    /// Takes the name that JavaScript is to be asked about.
    pub fn take_name(&mut self) -> Option<String> {
        match &mut self.state {
            State::Asking(asking) => asking.name.take(),
            _ => None,
        }
    }

    /// JavaScript has chosen. The next call of [`Tls::go_on`] acts on that.
    pub fn choose(&mut self, choice: Choice) {
        if let State::Asking(asking) = &mut self.state {
            asking.choice = Some(choice);
        }
    }

    /// Goes on with the handshake, if it waited for a choice that is made.
    pub fn go_on(&mut self) -> Result<(), TlsError> {
        let State::Asking(asking) = &mut self.state else {
            return Ok(());
        };
        let config = match asking.choice.take() {
            None => return Ok(()),
            Some(Choice::Own) => asking.own.clone(),
            Some(Choice::Other(config)) => config,
            Some(Choice::Nobody) => {
                self.state = State::Over;
                self.own.extend(UNKNOWN_NAME);
                return Err(codes::nobody());
            }
        };
        let connection =
            UnbufferedServerConnection::new(config).map_err(|error| codes::of(&error, None))?;
        self.state = State::Server(Box::new(connection));
        let kept = std::mem::take(&mut self.kept);
        let mut bytes = vec![0; GAP + kept.len()];
        bytes[GAP..].copy_from_slice(&kept);
        let end = bytes.len();
        // There are no plain bytes yet: the client has not seen anything of ours.
        match self.open(&mut bytes, GAP..end).error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
