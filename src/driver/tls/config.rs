//! rustls' configurations, made of the options.
//!
//! May not be called for each connection of a server: reading certificates and keys takes longer than a handshake.

use super::codes;
use super::notes::{self, Lines};
use super::options::{ClientContext, IdentityText, TlsOptions, Version};
use super::verifier::{Authorities, OfClients, OfServers, Trust};
use crate::driver::link::channel::TlsError;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, Error, InconsistentKeys, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    version,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// The sessions that a client remembers for each context, of as many servers.
const SESSIONS: usize = 256;

/// The contexts whose configurations a client keeps. A program has few, and a configuration with the roots of all
/// authorities takes some 300 KB.
const CONTEXTS: usize = 16;

/// The first ends of handshakes that are about to begin.
#[derive(Clone, Debug)]
pub enum Start {
    /// A client's, towards a server of this name.
    Client(Arc<ClientConfig>, ServerName<'static>),
    /// A server's.
    Server(Arc<ServerConfig>),
    /// A server's that may choose another configuration by the name that the client asks for.
    Asking(Arc<ServerConfig>),
}

/// What a server goes on with that has asked JavaScript about a name.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Its own configuration.
    Own,
    /// Another one.
    Other(Arc<ServerConfig>),
    /// The handshake fails.
    Nobody,
}

/// The configuration of a server.
pub fn server(
    options: &TlsOptions,
    roots: &Arc<Authorities>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(options)?)
        .map_err(invalid)?;
    let builder = match options.request_cert {
        true => {
            let trust = trust(options, roots, false, provider.clone())?;
            builder.with_client_cert_verifier(Arc::new(OfClients::new(trust)))
        }
        false => builder.with_no_client_auth(),
    };
    let identities = Identities::new(&options.identities, &provider)?;
    if identities.0.is_empty() {
        let message = "a server needs a certificate and its key";
        return Err(codes::error("ERR_TLS_INVALID_CONTEXT", message));
    }
    let mut config = builder.with_cert_resolver(Arc::new(identities));
    config.alpn_protocols = protocols(options);
    if options.keylog {
        config.key_log = Arc::new(Lines);
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match resumes(options) {
        true => config.ticketer = aws_lc_rs::Ticketer::new().map_err(invalid)?,
        false => config.send_tls13_tickets = 0,
    }
    Ok(Arc::new(config))
}

/// The configuration of a client's context.
fn client(
    context: &ClientContext,
    roots: &Arc<Authorities>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let ClientContext {
        ignore_name,
        options,
    } = context;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trust = trust(options, roots, *ignore_name, provider.clone())?;
    let identities = Identities::new(&options.identities, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(options)?)
        .map_err(invalid)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OfServers::new(trust)))
        .with_client_cert_resolver(Arc::new(identities));
    config.alpn_protocols = protocols(options);
    if options.keylog {
        config.key_log = Arc::new(Lines);
    }
    config.resumption = match resumes(options) {
        true => Resumption::in_memory_sessions(SESSIONS),
        false => Resumption::disabled(),
    };
    Ok(Arc::new(config))
}

/// Whether sessions are resumed. A certificate is not verified again when its session is, so if an end accepts whatever
/// certificate it is shown, it would not know any more what was wrong with it.
fn resumes(options: &TlsOptions) -> bool {
    options.resumption && options.reject_unauthorized
}

/// The configurations of a client, by its contexts, and the authorities that options need not name.
#[derive(Debug, Default)]
pub struct Contexts {
    /// The one that was used last is the first.
    clients: VecDeque<(ClientContext, Arc<ClientConfig>)>,
    roots: Arc<Authorities>,
}

impl Contexts {
    /// Takes the authorities that are trusted by options that say so. What is no certificate vouches for nobody.
    pub fn trust(&mut self, roots: &str) {
        let all = CertificateDer::pem_slice_iter(roots.as_bytes()).flatten();
        self.roots = Arc::new(Authorities::new(all.collect()));
        self.clients
            .retain(|(context, _)| !context.options.trusts_roots);
    }

    /// The authorities that are trusted by options that say so.
    pub fn roots(&self) -> Arc<Authorities> {
        self.roots.clone()
    }

    /// The configuration of a context, made if there is none yet.
    pub fn get(&mut self, context: &ClientContext) -> Result<Arc<ClientConfig>, TlsError> {
        let place = self.clients.iter().position(|(known, _)| known == context);
        let found = match place.and_then(|place| self.clients.remove(place)) {
            Some(found) => found,
            None => (context.clone(), client(context, &self.roots)?),
        };
        let config = found.1.clone();
        self.clients.truncate(CONTEXTS - 1);
        self.clients.push_front(found);
        Ok(config)
    }
}

/// The name of a server, as its certificate is to have it.
pub fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        let message = format!("{name:?} is neither a host name nor an address");
        codes::error("ERR_TLS_INVALID_SERVERNAME", message)
    })
}

fn trust(
    options: &TlsOptions,
    roots: &Arc<Authorities>,
    ignores_name: bool,
    provider: Arc<CryptoProvider>,
) -> Result<Trust, TlsError> {
    let authorities = match options.trusts_roots {
        true => roots.clone(),
        false => {
            let mut all = Vec::new();
            for text in &options.ca {
                all.extend(certificates(text)?);
            }
            Arc::new(Authorities::new(all))
        }
    };
    Ok(Trust {
        authorities,
        refuses: options.reject_unauthorized,
        ignores_name,
        provider,
    })
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let all = [
        (Version::Tls13, &version::TLS13),
        (Version::Tls12, &version::TLS12),
    ];
    let range = options.min_version..=options.max_version;
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|(version, _)| range.contains(version))
        .map(|(_, version)| version)
        .collect();
    match chosen.is_empty() {
        true => Err(codes::error(
            "ERR_TLS_INVALID_PROTOCOL_VERSION",
            "the oldest version to speak is newer than the newest",
        )),
        false => Ok(chosen),
    }
}

fn protocols(options: &TlsOptions) -> Vec<Vec<u8>> {
    options
        .alpn
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect()
}

/// The certificates of a PEM text, of which there must be some.
fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| {
        let message = "there is no certificate in a text that must have one in PEM";
        codes::error("ERR_OSSL_PEM_NO_START_LINE", message)
    })
}

/// An error of rustls' about what it is given.
fn invalid(error: Error) -> TlsError {
    let code = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "ERR_OSSL_X509_KEY_VALUES_MISMATCH"
        }
        _ => "ERR_TLS_INVALID_CONTEXT",
    };
    codes::error(code, error.to_string())
}

/// The identities of an end, the most wanted first.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

impl Identities {
    fn new(texts: &[IdentityText], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let identity = |IdentityText { cert, key }: &IdentityText| {
            let chain = certificates(cert)?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
                let message = "there is no private key in a text that must have one in PEM";
                codes::error("ERR_OSSL_PEM_NO_START_LINE", message)
            })?;
            let certified = CertifiedKey::from_der(chain, key, provider);
            certified.map(Arc::new).map_err(invalid)
        };
        texts
            .iter()
            .map(identity)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The first identity that can sign as the peer wants it; else the first, with which the handshake says why it fails.
    fn choose(&self, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let fits = |identity: &&Arc<CertifiedKey>| identity.key.choose_scheme(schemes).is_some();
        self.0.iter().find(fits).or(self.0.first())
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            notes::set_servername(name);
        }
        self.choose(hello.signature_schemes()).cloned()
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.choose(schemes).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Dates};
    use super::*;

    fn code<T>(result: Result<T, TlsError>) -> Option<&'static str> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn a_context_is_read_once_and_few_are_kept() {
        let mut contexts = Contexts::default();
        let context = |name: &str| {
            let mut context = ClientContext::default();
            context.options.alpn = vec![name.to_owned()];
            context
        };
        let first = contexts.get(&context("first")).expect("valid");
        let again = contexts.get(&context("first")).expect("valid");
        assert!(Arc::ptr_eq(&first, &again));
        for index in 0..2 * CONTEXTS {
            assert!(contexts.get(&context(&index.to_string())).is_ok());
        }
        assert_eq!(contexts.clients.len(), CONTEXTS);
        let last = (2 * CONTEXTS - 1).to_string();
        let kept = contexts.get(&context(&last)).expect("valid");
        for index in 0..4 * CONTEXTS {
            // What is in use is not what has to go.
            let again = contexts.get(&context(&last)).expect("valid");
            assert!(Arc::ptr_eq(&kept, &again));
            assert!(contexts.get(&context(&format!("other {index}"))).is_ok());
        }
        assert_eq!(contexts.clients.len(), CONTEXTS);
    }

    #[test]
    fn authorities_that_are_handed_over_once_serve_all_who_name_none() {
        let mut contexts = Contexts::default();
        let mut context = ClientContext::default();
        context.options.trusts_roots = true;
        let nobody = contexts.get(&context).expect("valid");
        let authority = Authority::new("authority");
        contexts.trust(&format!("{}\nno certificate\n", authority.text()));
        assert_eq!(contexts.roots().len(), 1);
        let somebody = contexts.get(&context).expect("valid");
        assert!(
            !Arc::ptr_eq(&nobody, &somebody),
            "trust is never of yesterday"
        );
        let again = contexts.get(&context).expect("valid");
        assert!(Arc::ptr_eq(&again, &somebody));
    }

    #[test]
    fn no_key_is_shown() {
        let identity = Authority::new("authority")
            .issue(&["localhost"], Dates::Now)
            .text();
        let mut options = TlsOptions::default();
        options.identities.push(identity.clone());
        let context = ClientContext {
            options: options.clone(),
            ..ClientContext::default()
        };
        let mut contexts = Contexts::default();
        let client = contexts.get(&context).expect("valid");
        let server = server(&options, &contexts.roots()).expect("valid");
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
        // A part of the seed: the public key stands behind it.
        let key = &key.secret_der()[16..32];
        let listed = format!("{key:?}");
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = identity.key.lines().nth(1).expect("base64");
        let listen = crate::driver::ListenOptions {
            tls: Some(options.clone()),
            ..Default::default()
        };
        for shown in [
            format!("{listen:?}"),
            format!("{context:#?}"),
            format!("{contexts:?}"),
            format!("{client:?} {server:?}"),
            format!("{:?}", Start::Server(server.clone())),
        ] {
            for secret in [line, listed.trim_matches(['[', ']']), &hex] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn what_cannot_be_used_has_a_code() {
        let roots = Arc::default();
        let authority = Authority::new("authority");
        let good = authority.issue(&["localhost"], Dates::Now).text();
        let other = authority.issue(&["localhost"], Dates::Now).text();
        let with = |cert: &str, key: &str| {
            let mut options = TlsOptions::default();
            let (cert, key) = (cert.to_owned(), key.to_owned());
            options.identities.push(IdentityText { cert, key });
            options
        };
        assert!(server(&with(&good.cert, &good.key), &roots).is_ok());
        for (options, expected) in [
            (with("", &good.key), "ERR_OSSL_PEM_NO_START_LINE"),
            (with(&good.cert, "key"), "ERR_OSSL_PEM_NO_START_LINE"),
            (
                with(&good.cert, &other.key),
                "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
            ),
            (TlsOptions::default(), "ERR_TLS_INVALID_CONTEXT"),
        ] {
            assert_eq!(code(server(&options, &roots)), Some(expected));
        }
        let mut options = with(&good.cert, &good.key);
        options.min_version = Version::Tls13;
        options.max_version = Version::Tls12;
        let expected = Some("ERR_TLS_INVALID_PROTOCOL_VERSION");
        assert_eq!(code(server(&options, &roots)), expected);
        let expected = Some("ERR_TLS_INVALID_SERVERNAME");
        assert_eq!(code(server_name("not a name")), expected);
        assert!(server_name("::1").is_ok() && server_name("example.org").is_ok());
    }
}
