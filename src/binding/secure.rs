//! The encryption of a thread's connections: authorities that are handed over once, and what servers may be for a name, as objects
//! that JavaScript keeps for as long as it uses them.
//!
//! May not decide anything.

use super::engine::{Engine, number_or, parse, tls_error};
use crate::driver::ServerContext as Context;
use crate::driver::tls::config::Choice;
use napi::{Error, Result};
use napi_derive::napi;

/// Certificates, a key and authorities that were read once.
#[napi]
pub struct ServerContext(Context);

#[napi]
impl Engine {
    /// Takes the authorities that connections trust whose options name none, as PEM text.
    #[napi(catch_unwind)]
    pub fn trust(&self, roots: String) {
        self.driver.contexts.trust(&roots);
    }

    /// Takes other options for the encryption of connections that a server accepts from now on.
    #[napi(catch_unwind)]
    pub fn secure_server(&self, server: u32, options: String) -> Result<i32, String> {
        let secured = self.driver.secure_server(server, &parse(&options)?);
        number_or(secured.map(|()| 0))
    }

    /// Reads what a server may be for a name, by the JSON text of its options.
    #[napi(catch_unwind)]
    pub fn server_context(&self, options: String) -> Result<ServerContext, String> {
        let context = self.driver.contexts.context(&parse(&options)?);
        context.map(ServerContext).map_err(|error| {
            tls_error(&error).unwrap_or_else(|| {
                Error::new("ERR_TLS_INVALID_CONTEXT".to_owned(), error.to_string())
            })
        })
    }

    /// Goes on with the handshake of a connection whose client asks for a name: with a context, or with the server's own.
    #[napi(catch_unwind)]
    pub fn choose(&self, connection: u32, context: Option<&ServerContext>) {
        let choice = context.map_or(Choice::Own, |context| context.0.choice());
        self.driver.choose(connection, choice);
    }

    /// Fails the handshake of a connection whose client asks for a name.
    #[napi(catch_unwind)]
    pub fn choose_nobody(&self, connection: u32) {
        self.driver.choose(connection, Choice::Nobody);
    }
}
