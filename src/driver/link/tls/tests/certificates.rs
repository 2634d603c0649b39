//! Whom each end trusts, what it calls whom it does not, and what both are told.

use super::*;
use crate::driver::tls::options::IdentityText;
use crate::driver::tls::testing::self_signed;
use serde_json::{Value, json};

impl Setup {
    fn identity(mut self, identity: IdentityText) -> Self {
        self.server.identities = vec![identity];
        self
    }

    fn trusting(mut self, ca: &[String]) -> Self {
        self.context.options.ca = ca.to_vec();
        self
    }

    /// The codes of both ends behind the handshake.
    fn outcome(&self) -> [Option<&'static str>; 2] {
        let mut pair = self.begin();
        pair.talk(|| usize::MAX);
        pair.codes()
    }

    /// What both ends are told of each other.
    fn told(&self) -> [Value; 2] {
        self.begin().open().told()
    }
}

impl Pair {
    fn told(&self) -> [Value; 2] {
        self.ends.each_ref().map(|end| end.tls.describe())
    }
}

/// Servers that a client does not trust: how each end calls it.
fn untrusted() -> Vec<(Setup, &'static str, &'static str)> {
    let setup = Setup::new();
    let authority = setup.authority.clone();
    let other = Authority::new("other");
    let issue = |names: &[&str], dates| authority.issue(names, dates).text();
    let chain = {
        let mut text = other.issue(&["localhost"], Dates::Now).text();
        text.cert += &other.text();
        text
    };
    let unknown = "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA";
    vec![
        (
            setup.clone().identity(issue(&["localhost"], Dates::Past)),
            "CERT_HAS_EXPIRED",
            "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
        ),
        (
            setup.clone().identity(issue(&["localhost"], Dates::Future)),
            "CERT_NOT_YET_VALID",
            "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
        ),
        (
            setup.clone().identity(issue(&["example.org"], Dates::Now)),
            "ERR_TLS_CERT_ALTNAME_INVALID",
            "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
        ),
        (
            setup.clone().identity(self_signed(&["localhost"]).text()),
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            unknown,
        ),
        (
            setup.clone().trusting(&[other.text()]),
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            unknown,
        ),
        (
            setup.clone().trusting(&[]),
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            unknown,
        ),
        (
            setup.clone().identity(chain),
            "SELF_SIGNED_CERT_IN_CHAIN",
            unknown,
        ),
    ]
}

#[test]
fn a_server_that_cannot_be_trusted_is_refused_and_told_why() {
    for (mut setup, code, alert) in untrusted() {
        for version in VERSIONS {
            setup.server.max_version = version;
            assert_eq!(setup.outcome(), [Some(code), Some(alert)]);
        }
    }
}

#[test]
fn a_server_that_cannot_be_trusted_is_spoken_to_if_the_program_wants_that() {
    for (mut setup, code, _) in untrusted() {
        setup.context.options.reject_unauthorized = false;
        let [client, server] = setup.told();
        assert_eq!(client["authorizationError"], code);
        assert_eq!(server["authorizationError"], Value::Null);
        // It would not be known any more.
        let mut contexts = Contexts::default();
        for _ in 0..2 {
            let [client, _] = setup.begin_with(&mut contexts).open().told();
            assert_eq!(
                (&client["resumed"], &client["authorizationError"]),
                (&json!(false), &json!(code))
            );
        }
    }
}

#[test]
fn the_name_can_be_left_to_the_program_but_nothing_else() {
    for (mut setup, code, alert) in untrusted() {
        setup.context.ignore_name = true;
        let expected = match code {
            "ERR_TLS_CERT_ALTNAME_INVALID" => [None, None],
            _ => [Some(code), Some(alert)],
        };
        assert_eq!(setup.outcome(), expected);
    }
}

#[test]
fn a_certificate_that_is_in_the_list_of_authorities_is_trusted() {
    let setup = Setup::new();
    let own = self_signed(&["localhost"]).text();
    let trusting = setup.clone().identity(own.clone()).trusting(&[own.cert]);
    assert_eq!(trusting.outcome(), [None, None]);
    // As `openssl req -x509` makes them: an authority that is a server.
    let authority = Authority::named("localhost", &["localhost"]);
    let identity = authority.identity().text();
    let setup = setup.identity(identity).trusting(&[authority.text()]);
    assert_eq!(setup.outcome(), [None, None]);
    let wrong = Setup {
        name: "example.org",
        ..setup
    };
    assert_eq!(wrong.outcome()[0], Some("ERR_TLS_CERT_ALTNAME_INVALID"));
}

#[test]
fn a_client_is_asked_who_it_is() {
    let mut setup = Setup::new();
    setup.server.request_cert = true;
    let outcome = |setup: &Setup| {
        let mut pair = setup.begin();
        pair.talk(|| usize::MAX);
        pair.codes()
    };
    assert_eq!(
        outcome(&setup),
        [
            Some("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            Some("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE")
        ]
    );
    let good = setup.authority.issue(&["somebody"], Dates::Now).text();
    setup.context.options.identities = vec![good];
    let [client, server] = setup.told();
    assert_eq!(server["authorizationError"], Value::Null);
    let certificates = |told: &Value| told["peerCertificates"].as_array().map(Vec::len);
    assert_eq!(
        [certificates(&client), certificates(&server)],
        [Some(1), Some(1)]
    );
    for (identity, code, alert) in [
        (
            setup.authority.issue(&["somebody"], Dates::Past),
            "CERT_HAS_EXPIRED",
            "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
        ),
        (
            self_signed(&["somebody"]),
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
        ),
    ] {
        setup.context.options.identities = vec![identity.text()];
        setup.server.reject_unauthorized = true;
        assert_eq!(outcome(&setup), [Some(alert), Some(code)]);
        setup.server.reject_unauthorized = false;
        let [_, server] = setup.told();
        assert_eq!(server["authorizationError"], code);
    }
    // A client that has none may come in as well, if the server does not insist.
    setup.context.options.identities.clear();
    let [_, server] = setup.told();
    assert_eq!(certificates(&server), Some(0));
}

#[test]
fn ends_that_have_nothing_in_common_tell_each_other() {
    let mut setup = Setup::new();
    setup.server.alpn = vec!["other".to_owned()];
    assert_eq!(
        setup.outcome(),
        [
            Some("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"),
            Some("ERR_SSL_NO_APPLICATION_PROTOCOL")
        ]
    );
    let mut setup = Setup::new();
    setup.context.options.min_version = Version::Tls13;
    setup.server.max_version = Version::Tls12;
    assert_eq!(
        setup.outcome(),
        [
            Some("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"),
            Some("ERR_SSL_UNSUPPORTED_PROTOCOL")
        ]
    );
}

#[test]
fn what_was_agreed_on_is_told_as_node_does() {
    let mut setup = Setup::new();
    let [client, server] = setup.told();
    assert_eq!(client["protocol"], "TLSv1.3");
    let suite = json!({
        "name": "TLS_AES_256_GCM_SHA384", "standardName": "TLS_AES_256_GCM_SHA384", "version": "TLSv1.3"
    });
    assert_eq!((&client["cipher"], &server["cipher"]), (&suite, &suite));
    assert_eq!(client["alpn"], "tcp-stream-muxer/1");
    assert_eq!(
        (&client["servername"], &server["servername"]),
        (&Value::Null, &json!("localhost"))
    );
    setup.server.max_version = Version::Tls12;
    setup.server.alpn.clear();
    let [client, _] = setup.told();
    assert_eq!(client["protocol"], "TLSv1.2");
    assert_eq!(client["cipher"]["name"], "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert_eq!(client["alpn"], Value::Null);
}

#[test]
fn a_session_is_resumed_unless_the_options_forbid_it() {
    for (resumption, version) in [
        (true, Version::Tls13),
        (true, Version::Tls12),
        (false, Version::Tls13),
    ] {
        let mut setup = with_version(version);
        setup.context.options.resumption = resumption;
        let mut contexts = Contexts::default();
        let config = contexts.get(&setup.context).expect("valid");
        let server = server(&setup.server, &Arc::default()).expect("valid");
        let resumed: Vec<Value> = (0..2)
            .map(|_| {
                let name = server_name("localhost").expect("valid");
                let client = Start::Client(config.clone(), name);
                let [client, _] = Pair::new([client, Start::Server(server.clone())])
                    .open()
                    .told();
                assert_eq!(client["peerCertificates"].as_array().map(Vec::len), Some(1));
                client["resumed"].clone()
            })
            .collect();
        assert_eq!(resumed, [json!(false), json!(resumption)]);
    }
}

#[test]
fn secrets_are_told_if_the_options_say_so() {
    let mut setup = Setup::new();
    setup.server.keylog = true;
    let mut pair = setup.begin().open();
    let lines = pair.ends[1].tls.take_lines();
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"] {
        let found = lines.iter().find(|line| line.starts_with(label));
        let words = found.map(|line| line.split(' ').map(str::len).collect::<Vec<_>>());
        assert_eq!(words, Some(vec![label.len(), 64, 96]));
    }
    assert!(pair.ends[0].tls.take_lines().is_empty());
    assert!(pair.ends[1].tls.take_lines().is_empty(), "once");
}
