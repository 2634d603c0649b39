//! The end of a connection, as its task brings it about.
//!
//! May not wait, nor touch the connection behind its last event.

use crate::driver::connection::Connection;
use crate::driver::io::Io;
use crate::driver::last_events;
use crate::driver::link::farewell::Linger;
use crate::driver::link::life::{Failure, Stop};
use crate::driver::thread::with_collector;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Ends a connection: its last words, and the application's last events of it. Returns what is left to be done with the
/// socket. The connection may not be touched any more: its number may be another's by then.
pub fn end(connection: &Connection, io: &dyn Io) -> Option<Linger> {
    let last_words = || {
        with_collector(connection, |collector| {
            let mut guarded = connection.lock();
            let send_rest =
                |link: &mut _, collector: &mut _| connection.send_rest(link, io, collector);
            let last = guarded.link.say_farewell(send_rest, collector);
            // What was asked to be told when the last bytes are sent.
            connection.tell(collector);
            last
        })
    };
    // Whatever happens, the application is told.
    let last = catch_unwind(AssertUnwindSafe(last_words));
    let (failure, lingers) = last.unwrap_or((Some(Failure::Defect), None));
    if matches!(failure, Some(Failure::Stopped(Stop::Reset))) {
        // A socket that cannot be reset any more is closed all the same.
        let _ = io.reset_on_close();
    }
    connection.end();
    // Told before the socket closes: whoever sees that at the other end finds that we know it too.
    last_events::tell(connection, failure);
    lingers
}
