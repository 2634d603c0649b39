//! What JavaScript is told of a handshake.
//!
//! May not change anything.

use super::Tls;
use crate::driver::tls::base64;
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};
use serde_json::{Value, json};

impl Tls {
    /// The application protocol that both ends agreed on.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.common()?.alpn_protocol()
    }

    /// What was agreed on, and who the peer is.
    pub fn describe(&self) -> Value {
        let Some(common) = self.common() else {
            return Value::Null;
        };
        let cipher = common.negotiated_cipher_suite().map(|suite| {
            let (name, standard) = names(suite.suite());
            json!({ "name": name, "standardName": standard, "version": version(suite.version().version) })
        });
        let certificates = common.peer_certificates().unwrap_or_default();
        json!({
            "protocol": common.protocol_version().map(version),
            "cipher": cipher,
            "alpn": common.alpn_protocol().map(String::from_utf8_lossy),
            "servername": self.servername,
            "peerCertificates": certificates.iter().map(|der| base64(der)).collect::<Vec<_>>(),
            "authorizationError": self.verification,
            "resumed": common.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "unknown",
    }
}

/// The names of a cipher suite: OpenSSL's and IANA's.
fn names(suite: CipherSuite) -> (&'static str, &'static str) {
    use CipherSuite as Suite;
    let same = |name| (name, name);
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => same("TLS_AES_128_GCM_SHA256"),
        Suite::TLS13_AES_256_GCM_SHA384 => same("TLS_AES_256_GCM_SHA384"),
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => same("TLS_CHACHA20_POLY1305_SHA256"),
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => (
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ),
        Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => (
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => (
            "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ),
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => (
            "ECDHE-RSA-AES256-GCM-SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        ),
        Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => (
            "ECDHE-RSA-CHACHA20-POLY1305",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
        _ => same("unknown"),
    }
}
