//! The last events of a connection, which tell JavaScript how it ended.
//!
//! May not touch the connection afterwards, because its number may be another's by then.

use super::boundary::kind;
use super::connection::Connection;
use super::inbox::collector::Collector;
use super::link::channel::TlsError;
use super::link::life::Failure;
use super::thread::with_collector;
use crate::proto::ProtocolError;
use crate::sys::errno;
use serde_json::{Value, json};

/// Tells JavaScript why and how a connection ended, by its last events.
pub fn tell(connection: &Connection, failure: Option<Failure>) {
    with_collector(connection, |collector| {
        let error = match failure {
            Some(Failure::Protocol(ProtocolError::ClosedByPeer {
                code: 0, reason, ..
            })) => {
                let told = json!({ "closeCode": 0, "closeReason": reason });
                collector.text(kind::CONN_END, 0, &told.to_string(), 0);
                None
            }
            failure => failure.as_ref().and_then(describe_failure),
        };
        if let Some(error) = &error {
            collector.text(kind::CONN_ERROR, 0, &error.to_string(), 0);
        }
        close(connection, collector, error.is_some());
        connection.tell(collector);
    });
    connection.inbox.notify();
}

/// The text of CONN_ERROR for a failure that JavaScript is told.
fn describe_failure(failure: &Failure) -> Option<Value> {
    match failure {
        Failure::Protocol(error) => Some(describe(error)),
        Failure::System(error, syscall) => {
            Some(json!({ "origin": "system", "errno": errno(error), "syscall": syscall }))
        }
        Failure::Tls(TlsError { code, message }) => {
            Some(json!({ "origin": "tls", "code": code, "message": message }))
        }
        Failure::Defect => Some(json!({ "origin": "internal" })),
        Failure::Stopped(_) | Failure::Closed => None,
    }
}

/// The text of CONN_ERROR for an error of the peer's.
fn describe(error: &ProtocolError) -> Value {
    let mut text = json!({ "origin": "peer", "code": error.code(), "message": error.to_string() });
    if let ProtocolError::ClosedByPeer {
        code,
        application,
        reason,
    } = error
    {
        text["closeCode"] = json!(code);
        text["closeReason"] = json!(reason);
        text["application"] = json!(application);
    }
    text
}

/// Adds the last event of a connection.
pub fn close(connection: &Connection, collector: &mut Collector, had_error: bool) {
    let totals = json!({
        "bytesRead": connection.counters.read.get(),
        "bytesWritten": connection.counters.written.get(),
    });
    collector.text(kind::CONN_CLOSE, 0, &totals.to_string(), had_error.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_said_at_its_end_is_told() {
        let error = ProtocolError::ClosedByPeer {
            code: 1 << 40,
            application: true,
            reason: "enough".into(),
        };
        assert_eq!(
            describe(&error),
            json!({
                "origin": "peer",
                "code": "ERR_MUX_CLOSED_BY_PEER",
                "message": error.to_string(),
                "closeCode": 1_u64 << 40,
                "closeReason": "enough",
                "application": true,
            })
        );
        let error = describe(&ProtocolError::IdleTimeout);
        assert_eq!(error["code"], "ERR_MUX_IDLE_TIMEOUT");
        assert_eq!(error.get("closeCode"), None);
    }
}
