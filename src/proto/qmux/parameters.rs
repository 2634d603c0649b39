//! Transport parameters: what each end first tells the other, in QX_TRANSPORT_PARAMETERS or within an offer.
//!
//! May not keep what it does not know.

use super::super::config::Config;
use super::super::error::{ProtocolError, Violation};
use super::super::varint;
use super::frame::MAX_STREAMS;
use std::time::Duration;

const MAX_IDLE_TIMEOUT: u64 = 0x01;
const INITIAL_MAX_DATA: u64 = 0x04;
const INITIAL_MAX_STREAM_DATA_BIDI_LOCAL: u64 = 0x05;
const INITIAL_MAX_STREAM_DATA_BIDI_REMOTE: u64 = 0x06;
const INITIAL_MAX_STREAM_DATA_UNI: u64 = 0x07;
const INITIAL_MAX_STREAMS_BIDI: u64 = 0x08;
const INITIAL_MAX_STREAMS_UNI: u64 = 0x09;
const MAX_DATAGRAM_FRAME_SIZE: u64 = 0x20;
const MAX_RECORD_SIZE: u64 = 0x0571_c594_29cd_0845;
/// Ours: the sender speaks our mapping, if its value is 1.
const MAPPING: u64 = 0x3254_534d_5800_0001;
/// Ours: the sender understands [`super::frame::UNREAD`], if its value is 1.
const HEARS_UNREAD: u64 = 0x3254_534d_5800_0002;

/// The longest record of a peer that declares none, and the least that it may declare.
pub const DEFAULT_RECORD: u64 = 16_382;

/// The parameters that a peer declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Zero means none.
    pub idle_timeout: Duration,
    pub max_data: u64,
    /// The limit on streams that the peer opened.
    pub max_stream_data_local: u64,
    /// The limit on streams that we open.
    pub max_stream_data_remote: u64,
    pub max_streams: u64,
    pub max_record: u64,
    /// The peer speaks our mapping.
    pub is_ours: bool,
    /// The peer understands, and sends, the frame UNREAD.
    pub hears_unread: bool,
}

impl Default for Parameters {
    /// The parameters of a peer that declares nothing.
    fn default() -> Self {
        Self {
            idle_timeout: Duration::ZERO,
            max_data: 0,
            max_stream_data_local: 0,
            max_stream_data_remote: 0,
            max_streams: 0,
            max_record: DEFAULT_RECORD,
            is_ours: false,
            hears_unread: false,
        }
    }
}

fn error(what: &'static str) -> ProtocolError {
    Violation::TransportParameter.error(what)
}

impl Parameters {
    /// Our own parameters, as bytes. One configuration has always the same bytes, because the offer has them too.
    pub fn encode(config: &Config) -> Vec<u8> {
        let qmux = &config.qmux;
        let mut bytes = Vec::with_capacity(64);
        let mut put = |id, value: u64| {
            varint::put(id, &mut bytes);
            varint::put(varint::size(value) as u64, &mut bytes);
            varint::put(value, &mut bytes);
        };
        let idle = qmux.idle_timeout.as_millis() as u64;
        if idle > 0 {
            put(MAX_IDLE_TIMEOUT, idle.min(varint::MAX));
        }
        put(INITIAL_MAX_DATA, qmux.connection_window);
        put(INITIAL_MAX_STREAM_DATA_BIDI_LOCAL, qmux.stream_window);
        put(INITIAL_MAX_STREAM_DATA_BIDI_REMOTE, qmux.stream_window);
        put(
            INITIAL_MAX_STREAMS_BIDI,
            qmux.max_incoming_streams.min(qmux.max_pending_streams),
        );
        put(MAX_RECORD_SIZE, qmux.max_record_size);
        put(MAPPING, 1);
        put(HEARS_UNREAD, 1);
        bytes
    }

    /// Reads what a peer declared.
    pub fn decode(mut input: &[u8]) -> Result<Self, ProtocolError> {
        let mut parameters = Self::default();
        let mut seen = Vec::new();
        while !input.is_empty() {
            let cut_short = || error("cut a parameter short");
            let id = varint::get(&mut input).ok_or_else(cut_short)?;
            let length = varint::get(&mut input).ok_or_else(cut_short)?;
            let value = usize::try_from(length)
                .ok()
                .and_then(|length| input.split_off(..length))
                .ok_or_else(cut_short)?;
            if seen.contains(&id) {
                return Err(error("declared a parameter twice"));
            }
            seen.push(id);
            let number = || match varint::peek(value) {
                Some((number, size)) if size == value.len() => Ok(number),
                _ => Err(error("declared a parameter that is not one number")),
            };
            match id {
                MAX_IDLE_TIMEOUT => parameters.idle_timeout = Duration::from_millis(number()?),
                INITIAL_MAX_DATA => parameters.max_data = number()?,
                INITIAL_MAX_STREAM_DATA_BIDI_LOCAL => parameters.max_stream_data_local = number()?,
                INITIAL_MAX_STREAM_DATA_BIDI_REMOTE => {
                    parameters.max_stream_data_remote = number()?;
                }
                INITIAL_MAX_STREAM_DATA_UNI | MAX_DATAGRAM_FRAME_SIZE => {
                    number()?;
                }
                INITIAL_MAX_STREAMS_BIDI => parameters.max_streams = streams(number()?)?,
                INITIAL_MAX_STREAMS_UNI => {
                    streams(number()?)?;
                }
                MAX_RECORD_SIZE => {
                    parameters.max_record = number()?;
                    if parameters.max_record < DEFAULT_RECORD {
                        return Err(error("declared records shorter than 16382 bytes"));
                    }
                }
                MAPPING => parameters.is_ours = number()? == 1,
                HEARS_UNREAD => parameters.hears_unread = number()? == 1,
                // The other parameters of RFC 9000 concern packets and paths.
                0x00..=0x10 => return Err(error("declared a parameter that QMux does not have")),
                _ => {}
            }
        }
        Ok(parameters)
    }
}

fn streams(count: u64) -> Result<u64, ProtocolError> {
    match count > MAX_STREAMS {
        true => Err(error("allows more streams than there can be")),
        false => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_understood() {
        let mut config = Config::default();
        config.qmux.idle_timeout = Duration::from_secs(30);
        let read = Parameters::decode(&Parameters::encode(&config));
        assert_eq!(
            read,
            Ok(Parameters {
                idle_timeout: Duration::from_secs(30),
                max_data: 1 << 20,
                max_stream_data_local: 256 << 10,
                max_stream_data_remote: 256 << 10,
                max_streams: 256,
                max_record: (64 << 10) + 16,
                is_ours: true,
                hears_unread: true,
            })
        );
    }

    #[test]
    fn unknown_ones_are_ignored_and_wrong_ones_refused() {
        // 31·1 + 27 is reserved for this.
        assert_eq!(
            Parameters::decode(&[58, 3, 1, 2, 3]),
            Ok(Parameters::default())
        );
        for bytes in [
            &[0x04, 1, 5, 0x04, 1, 5][..],                           // twice
            &[0x04, 2, 5],                                           // cut short
            &[0x04, 2, 5, 5],                                        // more than a number
            &[0x00, 0],                            // original_destination_connection_id
            &[0x0a, 1, 3],                         // ack_delay_exponent
            &[0x08, 8, 0xd0, 0, 0, 0, 0, 0, 0, 1], // 2^60 + 1 streams
            &[0xc5, 0x71, 0xc5, 0x94, 0x29, 0xcd, 0x08, 0x45, 1, 5], // records of 5 bytes
        ] {
            assert!(Parameters::decode(bytes).is_err(), "{bytes:x?}");
        }
    }
}
