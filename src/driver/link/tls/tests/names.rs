//! A server that asks which name its client wants, however the ClientHello is cut.

use super::*;
use crate::driver::tls::config::Choice;

/// Both ends, of which the server asks.
fn asking(setup: &Setup) -> Pair {
    let mut pair = setup.begin();
    let start = Start::Server(server(&setup.server, &Arc::default()).expect("valid"));
    let mut tls = Tls::new(start);
    tls.ask_for_name();
    tls.begin().expect("it can begin");
    pair.ends[1].tls = tls;
    pair
}

fn other(setup: &Setup) -> Arc<rustls::ServerConfig> {
    let mut options = setup.server.clone();
    options.identities = vec![
        setup
            .authority
            .issue(&["localhost", "other"], Dates::Now)
            .text(),
    ];
    server(&options, &Arc::default()).expect("valid")
}

#[test]
fn the_name_is_asked_about_once_and_the_answer_is_what_the_client_meets() {
    for version in VERSIONS {
        let setup = with_version(version);
        for cut in [1, 7, 100, usize::MAX] {
            for choice in [Choice::Own, Choice::Other(other(&setup))] {
                let mut pair = asking(&setup);
                pair.talk(|| cut);
                let server = &mut pair.ends[1];
                assert!(
                    server.error.is_none() && !server.tls.is_open() && !server.tls.wants_write()
                );
                assert_eq!(server.tls.take_name().as_deref(), Some("localhost"));
                assert_eq!(server.tls.take_name(), None);
                assert_eq!(server.tls.go_on(), Ok(()), "nobody has chosen");
                assert!(!server.tls.wants_write());
                server.tls.choose(choice.clone());
                assert_eq!(server.tls.go_on(), Ok(()));
                let is_own = matches!(choice, Choice::Own);
                let pair = pair.open();
                let told = pair.ends[0].tls.describe();
                let own = setup.begin().open().ends[0].tls.describe();
                assert_eq!(told["peerCertificates"] == own["peerCertificates"], is_own);
            }
        }
    }
}

#[test]
fn without_a_name_nobody_is_asked() {
    let mut setup = Setup::new();
    setup.name = "127.0.0.1";
    setup.server.identities = vec![setup.authority.issue(&["127.0.0.1"], Dates::Now).text()];
    for cut in [1, usize::MAX] {
        let mut pair = asking(&setup);
        pair.talk(|| cut);
        assert_eq!(pair.ends[1].tls.take_name(), None);
        pair.open();
    }
}

#[test]
fn a_name_that_nobody_is_ends_both() {
    let mut pair = asking(&Setup::new());
    pair.talk(|| usize::MAX);
    pair.ends[1].tls.choose(Choice::Nobody);
    let error = pair.ends[1].tls.go_on().expect_err("nobody");
    let alert = pair.ends[1].take();
    pair.ends[0].read(&alert);
    assert_eq!(error.code, "ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    assert_eq!(pair.codes()[0], Some(error.code));
}

#[test]
fn what_is_wrong_is_called_as_without_asking() {
    let hello = flights(&Setup::new())[0].clone();
    for at in 0..hello.len() {
        let mut wrong = hello.clone();
        wrong[at] ^= 0x40;
        let codes = [Setup::new_cached().begin(), asking(Setup::new_cached())].map(|mut pair| {
            let server = &mut pair.ends[1];
            server.read(&wrong);
            if server.tls.take_name().is_some() {
                server.tls.choose(Choice::Own);
                server.error = server.tls.go_on().err();
            }
            pair.codes()[1]
        });
        assert_eq!(codes[0], codes[1], "{at}");
    }
    // A peer that goes on without waiting is not kept for ever.
    let mut pair = asking(&Setup::new());
    pair.talk(|| usize::MAX);
    for _ in 0..MAX_KEPT / 1000 + 1 {
        pair.ends[1].read(&[0; 1000]);
    }
    assert_eq!(pair.codes()[1], Some("ERR_SSL_EXCESSIVE_MESSAGE_SIZE"));
}
