//! What standard input can ask for, a line each. Every command answers with a report of its own name.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use qmux::{Error, RecvStream, SendStream, Session};
use tokio::sync::Barrier;
use web_transport_trait::{RecvStream as _, SendStream as _, Session as _, Stats as _};

use crate::accepted::CHUNK;
use crate::pattern::Pattern;
use crate::report::report;

/// How long a write may wait before it counts as stalled. Far above what a loopback connection needs for a window.
const STALL: Duration = Duration::from_millis(300);
/// How often is looked whether a ping has been answered.
const LOOK: Duration = Duration::from_millis(2);

/// | command | |
/// |---|---|
/// | `exchange COUNT BYTES` | opens COUNT streams as the limit lets it, sends BYTES on each and checks their echo |
/// | `together COUNT BYTES` | the same with all of them open, and half of all echoed, before any goes on |
/// | `send BYTES` | one stream; `stalled` tells how far it got when it had to wait |
/// | `ask TEXT` | sends TEXT and its end, then reads the answer |
/// | `reset CODE` | sends `hello`, reads as much, then gives up sending |
/// | `stop CODE` | sends `hello`, reads as much, then gives up reading; sends `more` |
/// | `close CODE REASON` | closes the connection |
/// | `rtt` | waits until a ping has been answered |
/// | `go` | lets `accept=hold` read |
pub async fn run(session: Session, line: String) {
    let (name, rest) = line.split_once(' ').unwrap_or((&line, ""));
    if let Err(error) = dispatch(&session, name, rest).await {
        report("failed")
            .text("command", &line)
            .end(Err(&error))
            .print();
    }
}

async fn dispatch(session: &Session, name: &str, rest: &str) -> Result<(), Error> {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    // Whoever types it sees the failure: no command has a number that may be left out.
    let number = |text: &str| {
        text.parse::<u32>()
            .unwrap_or_else(|_| panic!("not a number: {text}"))
    };
    match name {
        "exchange" => exchange(session, number(first), number(second) as usize, false).await,
        "together" => exchange(session, number(first), number(second) as usize, true).await,
        "send" => send(session, number(first) as usize).await?,
        "ask" => ask(session, rest).await?,
        "reset" => reset(session, number(first)).await?,
        "stop" => stop(session, number(first)).await?,
        "close" => session.close(number(first), second),
        "rtt" => rtt(session).await,
        _ => panic!("unknown command: {name}"),
    }
    Ok(())
}

async fn exchange(session: &Session, count: u32, length: usize, is_together: bool) {
    // Both halves of every stream meet there.
    let barrier = Arc::new(Barrier::new(if is_together {
        2 * count as usize
    } else {
        1
    }));
    let tasks: Vec<_> = (0..count)
        .map(|seed| tokio::spawn(exchange_one(session.clone(), seed, length, barrier.clone())))
        .collect();
    let (mut intact, mut failure) = (0, String::new());
    for task in tasks {
        match task.await.expect("an exchange does not panic") {
            Ok(true) => intact += 1,
            Ok(false) => failure = String::from("the echo differs"),
            Err(error) => failure = error.to_string(),
        }
    }
    report(if is_together { "together" } else { "exchange" })
        .number("streams", count.into())
        .number("intact", intact)
        .text("failure", &failure)
        .print();
}

/// Whether what came back is what was sent.
async fn exchange_one(
    session: Session,
    seed: u32,
    length: usize,
    barrier: Arc<Barrier>,
) -> Result<bool, Error> {
    let (mut send, mut recv) = session.open_bi().await?;
    let (mut out, mut back) = (Pattern::new(seed), Pattern::new(seed));
    let first = out.take(length / 2);
    let second = out.take(length - first.len());
    let halfway = first.len();
    let write = async {
        send.write_chunk(first).await?;
        barrier.wait().await;
        send.write_chunk(second).await?;
        send.finish()?;
        send.closed().await
    };
    let read = async {
        let (mut bytes, mut is_intact, mut is_waiting) = (0, true, true);
        loop {
            // Only when half is back is this stream known to live at the other end, too.
            if is_waiting && bytes >= halfway {
                is_waiting = false;
                barrier.wait().await;
            }
            let Some(chunk) = recv.read_chunk(CHUNK).await? else {
                return Ok(is_intact && bytes == length);
            };
            bytes += chunk.len();
            is_intact &= back.is_next(&chunk);
        }
    };
    let (written, read): (Result<(), Error>, Result<bool, Error>) = tokio::join!(write, read);
    written.and(read)
}

async fn read_all(recv: &mut RecvStream) -> Result<Bytes, Error> {
    let mut all = BytesMut::new();
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

async fn send(session: &Session, length: usize) -> Result<(), Error> {
    /// Small against any window, so that little of what was counted is not what was sent.
    const STEP: usize = 1024;
    let (mut send, mut recv) = session.open_bi().await?;
    let mut pattern = Pattern::new(0);
    let (mut sent, mut stalls) = (0, 0);
    while sent < length {
        let step = STEP.min(length - sent);
        let mut bytes = pattern.take(step);
        let mut write = std::pin::pin!(send.write_all_buf(&mut bytes));
        match tokio::time::timeout(STALL, &mut write).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                stalls += 1;
                report("stalled").number("bytes", sent as u64).print();
                write.await?;
            }
        }
        sent += step;
    }
    send.finish()?;
    send.closed().await?;
    let answer = read_all(&mut recv).await?;
    report("send")
        .number("bytes", sent as u64)
        .number("stalls", stalls)
        .number("answer", answer.len() as u64)
        .print();
    Ok(())
}

async fn ask(session: &Session, text: &str) -> Result<(), Error> {
    let (mut send, mut recv) = session.open_bi().await?;
    send.write_all(text.as_bytes()).await?;
    send.finish()?;
    let answer = read_all(&mut recv).await?;
    report("ask")
        .text("answer", &String::from_utf8_lossy(&answer))
        .print();
    Ok(())
}

/// A stream that the other end has accepted and answered.
async fn greet(session: &Session) -> Result<(SendStream, RecvStream), Error> {
    let (mut send, mut recv) = session.open_bi().await?;
    send.write_all(b"hello").await?;
    let mut answer = 0;
    while answer < b"hello".len() {
        answer += recv
            .read_chunk(CHUNK)
            .await?
            .ok_or(Error::StreamClosed)?
            .len();
    }
    Ok((send, recv))
}

async fn reset(session: &Session, code: u32) -> Result<(), Error> {
    let (mut send, mut recv) = greet(session).await?;
    send.reset(code);
    let answer = read_all(&mut recv).await.map(drop);
    report("reset").end(answer.as_ref().copied()).print();
    Ok(())
}

async fn stop(session: &Session, code: u32) -> Result<(), Error> {
    let (mut send, mut recv) = greet(session).await?;
    recv.stop(code);
    send.write_all(b"more").await?;
    send.finish()?;
    let written = send.closed().await;
    report("stop").end(written.as_ref().copied()).print();
    Ok(())
}

async fn rtt(session: &Session) {
    let rtt = loop {
        // The statistics may not be kept while waiting: they borrow the session in a way no other thread may see.
        let rtt = session.stats().rtt();
        match rtt {
            Some(rtt) => break rtt,
            None => tokio::time::sleep(LOOK).await,
        }
    };
    report("rtt")
        .number("us", u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX))
        .print();
}
