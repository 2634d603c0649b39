//! The options of TLS, as JSON text gives them. JavaScript has checked them, has read files and has decrypted keys: here all
//! certificates and keys are PEM texts.
//!
//! May not validate but for the shape.

use serde::Deserialize;

/// A version of TLS.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

/// A private key, and the certificates that speak for it.
#[derive(Clone, Deserialize, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
pub struct IdentityText {
    /// The certificate and those that lead to an authority, as PEM text.
    pub cert: String,
    /// The private key, as PEM text that is not encrypted: PKCS#8, PKCS#1 or SEC1.
    pub key: String,
}

/// A key must not get into a log.
impl std::fmt::Debug for IdentityText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityText")
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// What both ends can choose.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsOptions {
    /// The identities of this end. The first one with which the peer can do is used.
    pub identities: Vec<IdentityText>,
    /// The authorities that may vouch for the peer, as PEM texts.
    pub ca: Vec<String>,
    /// Trusts the authorities that JavaScript has handed over for all, instead of those.
    pub trusts_roots: bool,
    /// For a server: asks the client for a certificate. A client always asks.
    pub request_cert: bool,
    /// Refuses a peer whose certificate cannot be trusted, and a client without one.
    pub reject_unauthorized: bool,
    /// The application protocols to offer or to choose from, the most wanted first.
    pub alpn: Vec<String>,
    /// The oldest version to speak.
    pub min_version: Version,
    /// The newest version to speak.
    pub max_version: Version,
    /// Resumes earlier sessions, and lets them be resumed.
    pub resumption: bool,
    /// Tells JavaScript the secrets of each connection.
    pub keylog: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            ca: Vec::new(),
            trusts_roots: false,
            request_cert: false,
            reject_unauthorized: true,
            alpn: vec![String::from_utf8_lossy(super::ALPN).into_owned()],
            min_version: Version::Tls12,
            max_version: Version::Tls13,
            resumption: true,
            keylog: false,
        }
    }
}

/// What a client chooses.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTlsOptions {
    /// The server's name or address, which its certificate must have. A name is sent to the server as well.
    pub servername: String,
    /// Everything else.
    pub context: ClientContext,
}

/// What several connections of a client have alike. Connections of one context resume each other's sessions.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientContext {
    /// Leaves it to JavaScript to compare the server's name with its certificate.
    pub ignore_name: bool,
    /// What a server could choose as well.
    pub options: TlsOptions,
}
