//! One JSON object per line on standard output: all that the tests learn from this end.

use std::fmt::Write as _;
use std::io::Write as _;

use qmux::Error;

pub struct Report(String);

pub fn report(event: &str) -> Report {
    Report(String::from("{")).text("event", event)
}

impl Report {
    fn key(mut self, name: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        write!(self.0, "\"{name}\":").expect("a String takes all that is written to it");
        self
    }

    pub fn number(self, name: &str, value: u64) -> Self {
        let mut this = self.key(name);
        write!(this.0, "{value}").expect("a String takes all that is written to it");
        this
    }

    pub fn flag(self, name: &str, value: bool) -> Self {
        let mut this = self.key(name);
        this.0.push_str(if value { "true" } else { "false" });
        this
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        let mut this = self.key(name);
        this.0.push('"');
        for char in value.chars() {
            match char {
                '"' | '\\' => this.0.extend(['\\', char]),
                '\0'..='\u{1f}' => write!(this.0, "\\u{:04x}", u32::from(char))
                    .expect("a String takes all that is written to it"),
                _ => this.0.push(char),
            }
        }
        this.0.push('"');
        this
    }

    pub fn hex(self, name: &str, bytes: &[u8]) -> Self {
        let mut digits = String::new();
        for byte in bytes {
            write!(digits, "{byte:02x}").expect("a String takes all that is written to it");
        }
        self.text(name, &digits)
    }

    /// How one half of a stream, or the session, came to its end.
    pub fn end(self, outcome: Result<(), &Error>) -> Self {
        let (end, code) = match outcome {
            Ok(()) => ("fin", None),
            Err(Error::StreamReset(code)) => ("reset", Some(code)),
            Err(Error::StreamStop(code)) => ("stop", Some(code)),
            Err(Error::ConnectionClosed { code, .. }) => ("application-close", Some(code)),
            Err(Error::ConnectionReset { code, .. }) => ("transport-close", Some(code)),
            Err(Error::Closed) => ("closed", None),
            Err(Error::IdleTimeout) => ("idle", None),
            Err(Error::Io(_)) => ("io", None),
            Err(_) => ("violation", None),
        };
        let mut this = self.text("end", end);
        if let Some(code) = code {
            this = this.number("code", code.into_inner());
        }
        match outcome {
            Ok(()) => this,
            Err(Error::ConnectionClosed { reason, .. } | Error::ConnectionReset { reason, .. }) => {
                this.text("reason", reason)
            }
            Err(error) => this.text("message", &error.to_string()),
        }
    }

    pub fn print(mut self) {
        self.0.push_str("}\n");
        // A test that has gone reads no more: standard input has ended too then, and with it this process.
        let _ = std::io::stdout().lock().write_all(self.0.as_bytes());
    }
}
