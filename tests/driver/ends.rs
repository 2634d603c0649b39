//! How connections end on any wire, and what is sent before.

use super::*;

both_ways! {
    what_was_written_is_sent_before_a_close
    a_close_with_a_code_is_an_orderly_end_behind_what_was_written
    what_is_commanded_behind_the_end_counts_for_nothing
}

fn what_was_written_is_sent_before_a_close() {
    for _ in 0..50 {
        let (mut server, _, mut client, near) = joined();
        client.put(op::DATA, near, 0, 60_000, &[7; 60_000]);
        client.put(op::DATA, near, 0, 40_000, &[7; 40_000]);
        client.flush();
        client
            .engine
            .env
            .connection(near)
            .expect("open")
            .stop(Stop::Close);
        assert_eq!(data_until_the_end(&mut server), 100_000);
    }
}

/// Bytes of data that come before the connection's end.
fn data_until_the_end(application: &mut Application) -> usize {
    let mut got = 0;
    loop {
        let record = application.next();
        match record.kind {
            kind::DATA => got += record.bytes.len(),
            kind::CONN_END => return got,
            _ => {}
        }
    }
}

fn a_close_with_a_code_is_an_orderly_end_behind_what_was_written() {
    let (mut server, _, mut client, near) = joined_by(&legacy());
    client.put(op::DATA, near, 0, 30_000, &[7; 30_000]);
    let mut payload = 5_u64.to_le_bytes().to_vec();
    payload.extend(b"enough");
    client.put(op::CLOSE, near, 0, payload.len() as u32, &payload);
    // Nothing follows a close.
    client.put(op::DATA, near, 0, 5, b"hello");
    client.flush();
    loop {
        let record = client.next();
        assert_ne!(record.kind, kind::CONN_ERROR, "{}", record.text());
        if record.kind == kind::CONN_CLOSE {
            assert_eq!(record.aux, 0);
            break;
        }
    }
    assert_eq!(data_until_the_end(&mut server), 30_000);
}

fn what_is_commanded_behind_the_end_counts_for_nothing() {
    let (mut server, far, mut client, near) = joined();
    client
        .engine
        .env
        .connection(near)
        .expect("open")
        .stop(Stop::Reset);
    server.wait_for(kind::CONN_CLOSE);
    client.wait_for(kind::CONN_CLOSE);
    for (application, connection) in [(&mut server, far), (&mut client, near)] {
        application.put(op::DATA, connection, 0, 5, b"hello");
        assert_eq!(application.flush(), 0);
        let open = application
            .engine
            .env
            .connection(connection)
            .expect("not released");
        assert_eq!(open.totals().queued, 0);
        application.engine.env.release(connection);
        // What was told of it is all that is held.
        application.next_within(Duration::from_millis(10));
        assert_eq!(application.engine.env.inbox.held(), 0);
    }
}
