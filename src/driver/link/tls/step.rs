//! One step of rustls', of either end: what it came to, and what it wants sent.
//!
//! May not keep anything.

use rustls::Error;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

/// What one step of rustls' came to.
pub enum Progress {
    Read(usize),
    Wrote,
    PeerClosed,
    Waits,
    Failed(Error),
}

/// What writes on an open connection, of either end.
pub trait Write {
    fn encrypt(&mut self, plain: &[u8], into: &mut [u8]) -> Result<usize, EncryptError>;
    fn close(&mut self, into: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Write for rustls::unbuffered::WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plain: &[u8], into: &mut [u8]) -> Result<usize, EncryptError> {
        rustls::unbuffered::WriteTraffic::encrypt(self, plain, into)
    }

    fn close(&mut self, into: &mut [u8]) -> Result<usize, EncryptError> {
        self.queue_close_notify(into)
    }
}

/// What a step came to. Plain bytes go into `plain`, and records of TLS's own behind `own`.
pub fn progress<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &mut [u8],
    own: &mut Vec<u8>,
) -> (usize, Progress) {
    let UnbufferedStatus { mut discard, state } = status;
    let progress = match state {
        Err(error) => Progress::Failed(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut length = 0;
            let mut failure = None;
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => match plain.get_mut(length..length + record.payload.len()) {
                        Some(room) => {
                            room.copy_from_slice(record.payload);
                            length += record.payload.len();
                            discard += record.discard;
                        }
                        None => failure = Some(Error::PeerSentOversizedRecord),
                    },
                    Err(error) => failure = Some(error),
                }
            }
            failure.map_or(Progress::Read(length), Progress::Failed)
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let end = own.len();
            if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                data.encode(&mut [])
            {
                own.resize(end + required_size, 0);
                // There is as much room as it wants.
                let written = data.encode(&mut own[end..]).unwrap_or(0);
                own.truncate(end + written);
            }
            Progress::Wrote
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Progress::Wrote
        }
        Ok(ConnectionState::PeerClosed) => Progress::PeerClosed,
        // Early data is not accepted.
        Ok(_) => Progress::Waits,
    };
    (discard, progress)
}
