//! What rustls tells in the middle of a call, kept until the call returns.
//!
//! A configuration is shared by many connections, so its verifier and its key log do not know for which one they are
//! called. But each call of rustls is made with one connection at hand, on one thread, and returns before the next one.
//!
//! May not keep anything beyond a call: [`take`] empties it.

use rustls::KeyLog;
use std::cell::RefCell;
use std::fmt::Write;

/// What was told.
#[derive(Debug, Default)]
pub struct Notes {
    /// Why the peer's certificate is not to be trusted.
    pub verification: Option<&'static str>,
    /// The name of the server that a client wants.
    pub servername: Option<String>,
    /// Lines for a key log, in the format of NSS, without the line's end.
    pub lines: Vec<String>,
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// Takes what was told since the last call.
pub fn take() -> Notes {
    NOTES.take()
}

/// Notes why the peer's certificate is not to be trusted.
pub fn set_verification(code: &'static str) {
    NOTES.with_borrow_mut(|notes| notes.verification = Some(code));
}

/// Notes the name of the server that a client wants.
pub fn set_servername(name: &str) {
    NOTES.with_borrow_mut(|notes| notes.servername = Some(name.to_owned()));
}

/// Notes each secret as a line.
#[derive(Debug)]
pub struct Lines;

impl KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}", hex(client_random), hex(secret));
        NOTES.with_borrow_mut(|notes| notes.lines.push(line));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_taken_once() {
        set_verification("CERT_HAS_EXPIRED");
        Lines.log("CLIENT_RANDOM", &[1, 0xab], &[0xff]);
        let notes = take();
        assert_eq!(notes.verification, Some("CERT_HAS_EXPIRED"));
        assert_eq!(notes.lines, ["CLIENT_RANDOM 01ab ff"]);
        assert!(take().lines.is_empty() && take().verification.is_none());
    }
}
