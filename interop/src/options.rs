//! The arguments of the command line behind the role.

use std::time::Duration;

use qmux::{Config, Version};

/// What is done with a stream that the other end opens; the number is a code.
#[derive(Clone, Copy)]
pub enum Accept {
    /// Sends everything back as it comes, then its end.
    Echo,
    /// Reads to the end first, then sends everything back.
    Late,
    /// Ends its own half at once and reads to the end.
    Hush,
    /// Reads nothing until the command `go`, then to the end.
    Hold,
    /// Wants no more after the first bytes, and says so; sends `thanks`, then its end.
    Stop(u32),
    /// Sends the first bytes back, resets its half when more come; reads to the end.
    Reset(u32),
}

pub struct Options {
    pub accept: Accept,
    pub config: Config,
}

impl Options {
    /// `window`, `connection-window`, `record`: bytes; `streams`: how many the other end may open; `idle`, `ping`:
    /// milliseconds, 0 is never; `accept`: echo, late, hush, hold, stop:CODE, reset:CODE.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut config = Config::new(Version::QMux02);
        let mut accept = Accept::Echo;
        for arg in args {
            let (key, value) = arg
                .split_once('=')
                .ok_or_else(|| format!("not KEY=VALUE: {arg}"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|_| format!("not a number: {arg}"))
            };
            match key {
                "window" => {
                    config.max_stream_data_bidi_local = number()?;
                    config.max_stream_data_bidi_remote = number()?;
                }
                "connection-window" => config.max_data = number()?,
                "record" => config.max_record_size = number()?,
                "streams" => config.max_streams_bidi = number()?,
                "idle" => config.max_idle_timeout = number()?,
                "ping" => config.rtt_interval = Duration::from_millis(number()?),
                "accept" => accept = parse_accept(value)?,
                _ => return Err(format!("unknown option: {arg}")),
            }
        }
        Ok(Self { accept, config })
    }
}

fn parse_accept(value: &str) -> Result<Accept, String> {
    let (what, code) = value.split_once(':').unwrap_or((value, ""));
    let code = || {
        code.parse()
            .map_err(|_| format!("a code is missing: {value}"))
    };
    Ok(match what {
        "echo" => Accept::Echo,
        "late" => Accept::Late,
        "hush" => Accept::Hush,
        "hold" => Accept::Hold,
        "stop" => Accept::Stop(code()?),
        "reset" => Accept::Reset(code()?),
        _ => return Err(format!("unknown way to accept: {value}")),
    })
}
