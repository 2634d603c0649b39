//! Streams that the other end opened. Each is told about twice: how its bytes ended (`read`) and how ours (`written`).

use bytes::{Bytes, BytesMut};
use qmux::{Error, RecvStream, SendStream};
use tokio::sync::watch;
use web_transport_trait::{RecvStream as _, SendStream as _};

use crate::options::Accept;
use crate::pattern::Pattern;
use crate::report::report;

/// More than a record of default size holds: what came in one frame is one chunk.
pub const CHUNK: usize = 65_536;

/// What came on a stream so far. It counts as intact if it is the pattern of seed 0.
struct Input {
    recv: RecvStream,
    bytes: u64,
    pattern: Pattern,
    is_intact: bool,
}

impl Input {
    fn new(recv: RecvStream) -> Self {
        Self {
            recv,
            bytes: 0,
            pattern: Pattern::new(0),
            is_intact: true,
        }
    }

    /// Can be given up and called again without losing anything.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.recv.read_chunk(CHUNK).await?;
        if let Some(bytes) = &chunk {
            self.bytes += bytes.len() as u64;
            self.is_intact &= self.pattern.is_next(bytes);
        }
        Ok(chunk)
    }

    async fn rest(&mut self, mut keep: impl FnMut(Bytes)) -> Result<(), Error> {
        while let Some(bytes) = self.chunk().await? {
            keep(bytes);
        }
        Ok(())
    }

    fn tell(&self, index: u64, outcome: &Result<(), Error>) {
        report("read")
            .number("stream", index)
            .number("bytes", self.bytes)
            .flag("intact", self.is_intact)
            .end(outcome.as_ref().copied())
            .print();
    }
}

fn tell_written(index: u64, outcome: &Result<(), Error>) {
    report("written")
        .number("stream", index)
        .end(outcome.as_ref().copied())
        .print();
}

async fn finish(send: &mut SendStream) -> Result<(), Error> {
    send.finish()?;
    send.closed().await
}

/// Echoes as it comes. A stop is told when it comes: the other end may go on sending for long after it.
async fn echo(input: &mut Input, send: &mut SendStream, index: u64) {
    let mut is_open = true;
    let read = loop {
        let written = tokio::select! {
            chunk = input.chunk() => match chunk {
                Ok(Some(bytes)) if is_open => send.write_chunk(bytes).await,
                Ok(Some(_)) => Ok(()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            },
            // Not by an end of ours: it is STOP_SENDING, or the end of the connection.
            outcome = send.closed(), if is_open => outcome,
        };
        if written.is_err() {
            is_open = false;
            tell_written(index, &written);
        }
    };
    input.tell(index, &read);
    if is_open {
        tell_written(index, &finish(send).await);
    }
}

/// Sends the first chunk back and resets at the second: the other end has what came before by then. Returns how that
/// half ended, whatever kept it from being reset included.
async fn reset(input: &mut Input, send: &mut SendStream, code: u32) -> Result<(), Error> {
    if let Some(first) = input.chunk().await? {
        send.write_chunk(first).await?;
    }
    input.chunk().await?;
    send.reset(code);
    send.closed().await
}

pub async fn serve(
    accept: Accept,
    index: u64,
    mut send: SendStream,
    recv: RecvStream,
    mut go: watch::Receiver<bool>,
) {
    let mut input = Input::new(recv);
    match accept {
        Accept::Echo => echo(&mut input, &mut send, index).await,
        Accept::Late => {
            let mut all = BytesMut::new();
            let read = input.rest(|bytes| all.extend_from_slice(&bytes)).await;
            input.tell(index, &read);
            let written = match send.write_chunk(all.freeze()).await {
                Ok(()) => finish(&mut send).await,
                Err(error) => Err(error),
            };
            tell_written(index, &written);
        }
        Accept::Hush => {
            tell_written(index, &finish(&mut send).await);
            let read = input.rest(drop).await;
            input.tell(index, &read);
        }
        Accept::Hold => {
            if go.wait_for(|&go| go).await.is_err() {
                return;
            }
            let read = input.rest(drop).await;
            input.tell(index, &read);
            tell_written(index, &finish(&mut send).await);
        }
        Accept::Stop(code) => {
            let first = input.chunk().await.map(drop);
            if first.is_ok() {
                input.recv.stop(code);
            }
            input.tell(index, &first);
            let written = match send.write_all(b"thanks").await {
                Ok(()) => finish(&mut send).await,
                Err(error) => Err(error),
            };
            tell_written(index, &written);
        }
        Accept::Reset(code) => {
            let written = reset(&mut input, &mut send, code).await;
            tell_written(index, &written);
            let read = input.rest(drop).await;
            input.tell(index, &read);
        }
    }
}
