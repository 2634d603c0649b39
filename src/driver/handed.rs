//! Connections over what JavaScript has already: a stream of its own, or a socket by its descriptor. JavaScript has decided
//! that they come in.
//!
//! May not send or receive anything.

use super::admission::Refusal;
use super::carried::{self, Carried, TaskEnd};
use super::connection::Connection;
use super::engine::Engine;
use super::link::greeting::Greeting;
use super::options::HandedOptions;
use super::pump::task;
use super::secured::Contexts;
use super::socket::Socket;
use crate::proto::Side;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

impl Engine {
    /// Makes a connection over a carrier, by which number JavaScript knows it.
    pub fn carry(
        &self,
        carrier: u32,
        mut options: HandedOptions,
    ) -> io::Result<(Arc<Connection>, Arc<Carried>)> {
        let runtime = self.runtime()?;
        // A send is a copy, which costs less than the hop to the task.
        options.connection.direct_send_limit = Some(u32::MAX);
        let connection = self.begin(&options, options.remote)?;
        let carried = Carried::new();
        let greeting = Greeting::connected(options.ends.clone());
        connection.attach(carried.clone(), false, Some(greeting));
        refuse(&connection, options.refusal);
        let io = TaskEnd::new(carried.clone(), self.env.inbox.clone(), carrier);
        runtime.spawn(carried::run(connection.clone(), io));
        Ok((connection, carried))
    }

    /// Makes a connection of a connected socket that somebody else has, and has read `ahead` of. Returns the connection's
    /// number. The other descriptor is no longer needed then.
    pub fn adopt(
        &self,
        options: HandedOptions,
        descriptor: i32,
        ahead: Vec<u8>,
    ) -> io::Result<u32> {
        let runtime = self.runtime()?;
        let socket = Arc::new(Socket::adopt(descriptor, ahead)?);
        // The call fails only for a socket that is gone already, which the first read tells.
        let _ = socket.configure(&options.connection);
        let peer = socket.ends().1.map(|peer| peer.ip());
        let connection = self.begin(&options, peer)?;
        let id = connection.id;
        let greeting = Greeting::connected(socket.addresses());
        runtime.spawn(async move {
            task::attach(&connection, &socket, greeting);
            refuse(&connection, options.refusal);
            task::run(connection, socket).await;
        });
        Ok(id)
    }

    /// A connection that has no socket yet, encrypted as its server or its client says.
    fn begin(&self, options: &HandedOptions, peer: Option<IpAddr>) -> io::Result<Arc<Connection>> {
        let start = self.contexts.start_handed(options)?;
        let side = match options.server {
            Some(_) => Side::Listening,
            None => Side::Connecting,
        };
        let connection = self.env.open(side, options.connection.clone());
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        Contexts::encrypt(&connection, start);
        if let Some(server) = options.server {
            self.prepare(server, &connection, options.asks_for_names, peer);
        }
        Ok(connection)
    }
}

/// Does not let a connection in after all, and tells the peer why.
fn refuse(connection: &Connection, refusal: Option<Refusal>) {
    if let Some(refusal) = refusal {
        connection.close(&refusal);
    }
}
