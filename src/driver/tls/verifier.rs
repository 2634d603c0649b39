//! Verifies the peer's certificate as webpki does, names what is wrong as OpenSSL does, and accepts it all the same if the
//! program wants that.
//!
//! Three differences from webpki are on purpose, because programs of `tls` rely on them. A certificate that nobody else has
//! signed and that is itself in the list of authorities is trusted, although it may be that of an authority. One of the list
//! that somebody else has signed is not trusted, and only helps to find who that is. And a program may accept any
//! certificate, and look at what was found wrong.
//!
//! May not keep anything of a connection: what is found is a note (`notes`).

use super::{certificate::Fields, codes, notes};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::borrow::Cow;
use std::sync::Arc;

/// The authorities that may vouch for a peer, read once for all who trust them.
#[derive(Debug)]
pub struct Authorities {
    /// Those that nobody vouches for but themselves. As for OpenSSL, only these are trusted.
    certificates: Vec<CertificateDer<'static>>,
    /// Those that may stand between one of them and the peer, if the peer does not show them.
    between: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

impl Authorities {
    pub fn new(all: Vec<CertificateDer<'static>>) -> Self {
        let (certificates, between): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|der| Fields::of(der).is_some_and(|fields| fields.is_self_issued()));
        let mut roots = RootCertStore::empty();
        // One that webpki cannot read vouches for nobody.
        roots.add_parsable_certificates(certificates.iter().cloned());
        Self {
            certificates,
            between,
            roots: Arc::new(roots),
        }
    }

    /// The certificates between the peer and an authority: those that the peer shows, and our own.
    fn between<'a>(&'a self, sent: &'a [CertificateDer<'a>]) -> Cow<'a, [CertificateDer<'a>]> {
        if self.between.is_empty() {
            return Cow::Borrowed(sent);
        }
        let own = self
            .between
            .iter()
            .map(|der| CertificateDer::from(der.as_ref()));
        Cow::Owned(sent.iter().cloned().chain(own).collect())
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.certificates.len()
    }
}

impl Default for Authorities {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Whom to trust.
#[derive(Debug)]
pub struct Trust {
    /// The authorities.
    pub authorities: Arc<Authorities>,
    /// Whether a peer that cannot be trusted is refused.
    pub refuses: bool,
    /// Whether the name in a server's certificate is left to JavaScript.
    pub ignores_name: bool,
    /// The cryptography.
    pub provider: Arc<CryptoProvider>,
}

impl Trust {
    fn roots(&self) -> Arc<RootCertStore> {
        self.authorities.roots.clone()
    }

    /// Whether a certificate is trusted because it is one of the authorities'. It leads nowhere, but its time counts.
    fn trusts_itself(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<bool, Error> {
        if !self.authorities.certificates.contains(leaf) {
            return Ok(false);
        }
        let now = now.as_secs();
        match Fields::of(leaf) {
            Some(fields) if fields.is_early(now) => Err(CertificateError::NotValidYet.into()),
            Some(fields) if fields.is_late(now) => Err(CertificateError::Expired.into()),
            fields => Ok(fields.is_some()),
        }
    }

    /// The judgement of a chain. `error` is what webpki found.
    fn judge(
        &self,
        error: Error,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let Error::InvalidCertificate(invalid) = &error else {
            return Err(error);
        };
        let code = match invalid {
            // That it is an authority's certificate is no matter; that nobody vouches for it is, and the peer is told that.
            CertificateError::UnknownIssuer | CertificateError::Other(_) => {
                codes::unknown_issuer(leaf, others, &self.authorities.between)
            }
            invalid => codes::certificate(invalid),
        };
        let error = match invalid {
            CertificateError::Other(_) => CertificateError::UnknownIssuer.into(),
            _ => error,
        };
        notes::set_verification(code);
        match self.refuses {
            true => Err(error),
            false => Ok(()),
        }
    }

    fn check_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn check_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Verifies servers.
#[derive(Debug)]
pub struct OfServers {
    trust: Trust,
    /// `None` if no authority is trusted.
    webpki: Option<Arc<WebPkiServerVerifier>>,
}

impl OfServers {
    pub fn new(trust: Trust) -> Self {
        let builder =
            WebPkiServerVerifier::builder_with_provider(trust.roots(), trust.provider.clone());
        let webpki = builder.build().ok();
        Self { trust, webpki }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.trust.trusts_itself(leaf, now)? {
            if self.trust.ignores_name {
                return Ok(());
            }
            let parsed = rustls::server::ParsedCertificate::try_from(leaf)?;
            return rustls::client::verify_server_name(&parsed, name);
        }
        let Some(webpki) = &self.webpki else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let between = self.trust.authorities.between(others);
        match webpki.verify_server_cert(leaf, &between, name, &[], now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.trust.ignores_name => Ok(()),
            result => result.map(drop),
        }
    }
}

impl ServerCertVerifier for OfServers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Err(error) = self.verify(leaf, others, name, now) {
            self.trust.judge(error, leaf, others)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.schemes()
    }
}

/// Verifies clients, which are asked for a certificate.
#[derive(Debug)]
pub struct OfClients {
    trust: Trust,
    /// `None` if no authority is trusted.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    hints: Vec<DistinguishedName>,
}

impl OfClients {
    pub fn new(trust: Trust) -> Self {
        let roots = trust.roots();
        let hints = roots.subjects();
        let provider = trust.provider.clone();
        let webpki = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()
            .ok();
        Self {
            trust,
            webpki,
            hints,
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.trust.trusts_itself(leaf, now)? {
            return Ok(());
        }
        match &self.webpki {
            Some(webpki) => {
                let between = self.trust.authorities.between(others);
                webpki.verify_client_cert(leaf, &between, now).map(drop)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

impl ClientCertVerifier for OfClients {
    fn client_auth_mandatory(&self) -> bool {
        self.trust.refuses
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Err(error) = self.verify(leaf, others, now) {
            self.trust.judge(error, leaf, others)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.schemes()
    }
}
