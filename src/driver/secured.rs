//! How connections are encrypted, if they are: the only file of the driver, beside `link/channel.rs`, that asks whether TLS
//! is compiled in.
//!
//! May not read or write anything.

use super::connection::Connection;
use super::options::{ConnectOptions, HandedOptions, ListenOptions};
use std::io;
#[cfg(feature = "tls")]
pub use tls::{Contexts, Secured, ServerContext};

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::driver::lock::{Lock, Rank};
    use crate::driver::tls::config::{self, Choice, Start};
    use crate::driver::tls::options::{ClientTlsOptions, TlsOptions};
    use rustls::ServerConfig;
    use std::sync::Arc;

    /// How a server's connections are encrypted.
    #[derive(Clone, Debug)]
    pub struct Secured(Option<Arc<Lock<Arc<ServerConfig>>>>);

    impl Secured {
        /// Encrypts a new connection, if the server's are. Returns whether they are.
        pub fn encrypt(&self, connection: &Connection) -> bool {
            let Some(config) = &self.0 else {
                return false;
            };
            let config = config.lock().clone();
            connection.encrypt(Start::Server(config));
            true
        }

        /// A connection is let in. `asks` lets JavaScript choose by the name that the client asks for.
        pub fn admit(&self, connection: &Connection, asks: bool) {
            if asks {
                connection.ask_for_name();
            }
        }
    }

    /// What a server may be for a name that clients ask for.
    #[derive(Clone, Debug)]
    pub struct ServerContext(Arc<ServerConfig>);

    impl ServerContext {
        /// As what a handshake goes on with.
        pub fn choice(&self) -> Choice {
            Choice::Other(self.0.clone())
        }
    }

    /// What the connections of an environment are encrypted with.
    #[derive(Debug)]
    pub struct Contexts(Lock<config::Contexts>);

    impl Contexts {
        /// Nothing has been made yet.
        pub fn new() -> Self {
            Self(Lock::new(Rank::Tables, config::Contexts::default()))
        }

        /// Takes the authorities that are trusted by options that say so.
        pub fn trust(&self, roots: &str) {
            self.0.lock().trust(roots);
        }

        /// How the connections of a server are encrypted.
        pub fn server(&self, options: &ListenOptions) -> io::Result<Secured> {
            let config = options.tls.as_ref().map(|options| self.config(options));
            let locked = |config| Arc::new(Lock::new(Rank::Tables, config));
            Ok(Secured(config.transpose()?.map(locked)))
        }

        /// Takes other options for connections that a server accepts from now on. Earlier sessions are not resumed with them.
        pub fn replace(&self, secured: &Secured, options: &TlsOptions) -> io::Result<()> {
            let new = self.config(options)?;
            if let Some(config) = &secured.0 {
                *config.lock() = new;
            }
            Ok(())
        }

        /// What a server may be for a name.
        pub fn context(&self, options: &TlsOptions) -> io::Result<ServerContext> {
            self.config(options).map(ServerContext)
        }

        fn config(&self, options: &TlsOptions) -> io::Result<Arc<ServerConfig>> {
            let roots = self.0.lock().roots();
            config::server(options, &roots).map_err(invalid)
        }

        /// How a connection begins, if it is to be encrypted.
        pub fn start(&self, options: &ConnectOptions) -> io::Result<Option<Start>> {
            self.start_by(options.tls.as_ref())
        }

        /// As `start`, over what JavaScript has.
        pub fn start_handed(&self, options: &HandedOptions) -> io::Result<Option<Start>> {
            self.start_by(options.tls.as_ref())
        }

        fn start_by(&self, options: Option<&ClientTlsOptions>) -> io::Result<Option<Start>> {
            let start = |options: &ClientTlsOptions| {
                let name = config::server_name(&options.servername)?;
                let config = self.0.lock().get(&options.context)?;
                Ok(Start::Client(config, name))
            };
            options.map(start).transpose().map_err(invalid)
        }

        /// Encrypts a new connection.
        pub fn encrypt(connection: &Connection, start: Option<Start>) {
            if let Some(start) = start {
                connection.encrypt(start);
            }
        }
    }

    /// Options that cannot be used. The error has the code and the message.
    fn invalid(error: crate::driver::TlsError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(not(feature = "tls"))]
pub use plain::{Contexts, Secured};

#[cfg(not(feature = "tls"))]
mod plain {
    use super::*;
    use std::convert::Infallible;

    /// Nothing is encrypted.
    #[derive(Clone, Debug)]
    pub struct Secured;

    impl Secured {
        /// Does nothing.
        pub fn encrypt(&self, _: &Connection) -> bool {
            false
        }

        /// Does nothing.
        pub fn admit(&self, _: &Connection, _: bool) {}
    }

    /// Nothing is encrypted.
    #[derive(Debug)]
    pub struct Contexts;

    impl Contexts {
        /// Nothing is made.
        pub fn new() -> Self {
            Self
        }

        /// Whatever the options are.
        pub fn server(&self, _: &ListenOptions) -> io::Result<Secured> {
            Ok(Secured)
        }

        /// Nothing begins.
        pub fn start(&self, _: &ConnectOptions) -> io::Result<Option<Infallible>> {
            Ok(None)
        }

        /// Nothing begins.
        pub fn start_handed(&self, _: &HandedOptions) -> io::Result<Option<Infallible>> {
            Ok(None)
        }

        /// Does nothing.
        pub fn encrypt(_: &Connection, _: Option<Infallible>) {}
    }
}
