//! Certificates for tests.

use super::options::IdentityText;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub enum Dates {
    Past,
    Now,
    Future,
}

/// An authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
}

/// A certificate with its chain, and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
    text: String,
}

impl Identity {
    /// The identity as options have it.
    pub fn text(&self) -> IdentityText {
        IdentityText {
            cert: self.text.clone(),
            key: self.key.serialize_pem(),
        }
    }
}

/// Keys whose signatures are all of one length: tests cut what is sent into pieces, by a seed.
fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("a key")
}

fn params(name: &str, names: &[&str], dates: Dates) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(77_u64));
    let (from, to) = match dates {
        Dates::Past => (2000, 2001),
        Dates::Now => (2000, 4000),
        Dates::Future => (3000, 4000),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::named(name, &[])
    }

    /// An authority that is a server with these names as well.
    pub fn named(name: &str, names: &[&str]) -> Self {
        let mut params = params(name, names, Dates::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let certificate = issuer.der().clone();
        Self {
            issuer,
            certificate,
        }
    }

    /// The authority's certificate, as options have it.
    pub fn text(&self) -> String {
        self.issuer.pem()
    }

    /// The authority as somebody that proves to be it.
    pub fn identity(&self) -> Identity {
        let pem = self.issuer.key().serialize_pem();
        Identity {
            chain: vec![self.certificate.clone()],
            key: KeyPair::from_pem(&pem).expect("its own"),
            text: self.text(),
        }
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str], dates: Dates) -> Identity {
        let key = key();
        let certificate = params("leaf", names, dates)
            .signed_by(&key, &self.issuer)
            .expect("a certificate");
        Identity {
            chain: vec![certificate.der().clone()],
            key,
            text: certificate.pem(),
        }
    }
}

/// A certificate that nobody else has signed.
pub fn self_signed(names: &[&str]) -> Identity {
    let key = key();
    let certificate = params("self", names, Dates::Now)
        .self_signed(&key)
        .expect("a certificate");
    Identity {
        chain: vec![certificate.der().clone()],
        key,
        text: certificate.pem(),
    }
}
