//! The names of failures of TLS: Node's and OpenSSL's where they have one, so that programs find the codes that they know.
//!
//! | where a failure comes from | codes |
//! |---|---|
//! | the peer's certificate | those of OpenSSL's verification, as `tls` shows them: `CERT_HAS_EXPIRED` … |
//! | an alert of the peer's | `ERR_SSL_…ALERT_…`, as OpenSSL names its reasons |
//! | what the peer sent | `ERR_SSL_…`, as OpenSSL would name it |
//! | a configuration | `ERR_OSSL_…`, or `ERR_TLS_INVALID_CONTEXT` |
//!
//! May not decide whether something is a failure.

use super::certificate::Fields;
use crate::driver::link::channel::TlsError;
use rustls::pki_types::CertificateDer;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved,
};

/// The peer is a client and sent no certificate.
const NO_CERTIFICATE: &str = "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE";

/// A failure with a code and a message of its own.
pub fn error(code: &'static str, message: impl Into<String>) -> TlsError {
    let message = message.into();
    TlsError { code, message }
}

/// The peer's first bytes are those of another protocol, which has this name if it is known.
pub fn not_tls(name: Option<&'static str>) -> TlsError {
    match name {
        Some("HTTP") => error("ERR_SSL_HTTP_REQUEST", "the peer speaks HTTP and not TLS"),
        Some(name) => error(
            "ERR_SSL_WRONG_VERSION_NUMBER",
            format!("the peer speaks {name} and not TLS"),
        ),
        None => error(
            "ERR_SSL_WRONG_VERSION_NUMBER",
            "the peer does not speak TLS",
        ),
    }
}

/// An incomplete record or message is longer than any can be.
pub fn too_long() -> TlsError {
    error(
        "ERR_SSL_EXCESSIVE_MESSAGE_SIZE",
        "the peer sent a TLS message that is too long",
    )
}

/// The server is nobody of the name that the client asks for.
pub fn nobody() -> TlsError {
    error(
        "ERR_SSL_TLSV1_UNRECOGNIZED_NAME",
        "the server has no certificate for the name that the client asks for",
    )
}

/// An error of rustls'. `verification` is what was found wrong with the peer's certificate.
pub fn of(rustls: &Error, verification: Option<&'static str>) -> TlsError {
    let code = match rustls {
        Error::InvalidCertificate(invalid) => verification.unwrap_or(certificate(invalid)),
        Error::AlertReceived(alert) => self::alert(*alert),
        Error::NoCertificatesPresented => NO_CERTIFICATE,
        Error::NoApplicationProtocol => "ERR_SSL_NO_APPLICATION_PROTOCOL",
        Error::PeerSentOversizedRecord => "ERR_SSL_DATA_LENGTH_TOO_LONG",
        Error::DecryptError => "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "ERR_SSL_UNEXPECTED_MESSAGE"
        }
        Error::InvalidMessage(message) => invalid_message(message),
        Error::PeerIncompatible(reason) => incompatible(reason),
        Error::PeerMisbehaved(reason) => misbehaved(reason),
        _ => "ERR_SSL_INTERNAL_ERROR",
    };
    let message = match (rustls, verification) {
        (Error::InvalidCertificate(_), Some(code)) => verification_message(code).to_owned(),
        (Error::AlertReceived(alert), _) => format!("the peer sent the TLS alert {alert:?}"),
        (other, _) => other.to_string(),
    };
    TlsError { code, message }
}

/// The code of a certificate that cannot be trusted.
pub fn certificate(invalid: &CertificateError) -> &'static str {
    use CertificateError as Invalid;
    match invalid {
        Invalid::Expired | Invalid::ExpiredContext { .. } => "CERT_HAS_EXPIRED",
        Invalid::NotValidYet | Invalid::NotValidYetContext { .. } => "CERT_NOT_YET_VALID",
        Invalid::NotValidForName | Invalid::NotValidForNameContext { .. } => {
            "ERR_TLS_CERT_ALTNAME_INVALID"
        }
        Invalid::UnknownIssuer => "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        Invalid::Revoked => "CERT_REVOKED",
        Invalid::InvalidPurpose | Invalid::InvalidPurposeContext { .. } => "INVALID_PURPOSE",
        Invalid::BadEncoding => "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
        _ => "CERT_SIGNATURE_FAILURE",
    }
}

/// The code of a chain that leads to no authority that is trusted, as OpenSSL tells the cases apart. `given` are certificates of
/// authorities between, of which the program has some itself.
pub fn unknown_issuer(
    leaf: &CertificateDer<'_>,
    sent: &[CertificateDer<'_>],
    given: &[CertificateDer<'_>],
) -> &'static str {
    let Some(mut last) = Fields::of(leaf) else {
        return "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    };
    let (mut length, mut is_given) = (1, false);
    // Certificates may name each other in a circle.
    while !last.is_self_issued() && length <= sent.len() + given.len() {
        let issuer_in = |all: &[CertificateDer<'_>]| {
            let place = all
                .iter()
                .position(|der| Fields::of(der).is_some_and(|fields| fields.has_issued(&last)))?;
            Some(place)
        };
        // As OpenSSL does, the program's own are looked at first.
        let found = match (issuer_in(given), issuer_in(sent)) {
            (Some(place), _) => Some((&given[place], true)),
            (None, Some(place)) => Some((&sent[place], false)),
            (None, None) => None,
        };
        let Some((der, is_ours)) = found else {
            break;
        };
        let Some(fields) = Fields::of(der) else {
            break;
        };
        (last, length, is_given) = (fields, length + 1, is_ours);
    }
    match (length, last.is_self_issued()) {
        (1, true) => "DEPTH_ZERO_SELF_SIGNED_CERT",
        (1, false) => "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        (_, true) => "SELF_SIGNED_CERT_IN_CHAIN",
        (_, false) if is_given => "UNABLE_TO_GET_ISSUER_CERT",
        (_, false) => "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    }
}

/// What OpenSSL says of a certificate; for a name that does not fit, what Node says.
fn verification_message(code: &str) -> &'static str {
    match code {
        "CERT_HAS_EXPIRED" => "certificate has expired",
        "CERT_NOT_YET_VALID" => "certificate is not yet valid",
        "CERT_REVOKED" => "certificate revoked",
        "CERT_SIGNATURE_FAILURE" => "certificate signature failure",
        "DEPTH_ZERO_SELF_SIGNED_CERT" => "self-signed certificate",
        "ERR_TLS_CERT_ALTNAME_INVALID" => {
            "hostname/IP does not match the certificate's alternative names"
        }
        "INVALID_PURPOSE" => "unsuitable certificate purpose",
        "SELF_SIGNED_CERT_IN_CHAIN" => "self-signed certificate in certificate chain",
        "UNABLE_TO_GET_ISSUER_CERT" => "unable to get issuer certificate",
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY" => "unable to get local issuer certificate",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE" => "unable to verify the first certificate",
        _ => "the certificate cannot be trusted",
    }
}

fn invalid_message(message: &InvalidMessage) -> &'static str {
    match message {
        InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion => {
            "ERR_SSL_WRONG_VERSION_NUMBER"
        }
        InvalidMessage::MessageTooLarge => "ERR_SSL_DATA_LENGTH_TOO_LONG",
        InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge => {
            "ERR_SSL_EXCESSIVE_MESSAGE_SIZE"
        }
        InvalidMessage::UnexpectedMessage(_) => "ERR_SSL_UNEXPECTED_MESSAGE",
        _ => "ERR_SSL_BAD_LENGTH",
    }
}

fn incompatible(reason: &PeerIncompatible) -> &'static str {
    use PeerIncompatible as Lacks;
    match reason {
        Lacks::Tls12NotOffered
        | Lacks::Tls12NotOfferedOrEnabled
        | Lacks::Tls13RequiredForQuic
        | Lacks::SupportedVersionsExtensionRequired
        | Lacks::ServerDoesNotSupportTls12Or13
        | Lacks::ServerTlsVersionIsDisabledByOurConfig => "ERR_SSL_UNSUPPORTED_PROTOCOL",
        Lacks::NoCipherSuitesInCommon => "ERR_SSL_NO_SHARED_CIPHER",
        Lacks::NoSignatureSchemesInCommon | Lacks::NoCertificateRequestSignatureSchemesInCommon => {
            "ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS"
        }
        Lacks::NoKxGroupsInCommon | Lacks::KeyShareExtensionRequired => {
            "ERR_SSL_NO_SUITABLE_KEY_SHARE"
        }
        _ => "ERR_SSL_NO_SHARED_CIPHER",
    }
}

fn misbehaved(reason: &PeerMisbehaved) -> &'static str {
    match reason {
        PeerMisbehaved::BadCertChainExtensions
        | PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme => "ERR_SSL_BAD_SIGNATURE",
        _ => "ERR_SSL_UNEXPECTED_MESSAGE",
    }
}

/// The code of an alert that the peer sent, by the names of OpenSSL's reasons.
pub fn alert(alert: AlertDescription) -> &'static str {
    use AlertDescription as Alert;
    match alert {
        Alert::CloseNotify => "ERR_SSL_UNEXPECTED_EOF_WHILE_READING",
        Alert::UnexpectedMessage => "ERR_SSL_SSLV3_ALERT_UNEXPECTED_MESSAGE",
        Alert::BadRecordMac => "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC",
        Alert::DecryptionFailed => "ERR_SSL_TLSV1_ALERT_DECRYPTION_FAILED",
        Alert::RecordOverflow => "ERR_SSL_TLSV1_ALERT_RECORD_OVERFLOW",
        Alert::DecompressionFailure => "ERR_SSL_SSLV3_ALERT_DECOMPRESSION_FAILURE",
        Alert::HandshakeFailure => "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
        Alert::NoCertificate => "ERR_SSL_SSLV3_ALERT_NO_CERTIFICATE",
        Alert::BadCertificate => "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
        Alert::UnsupportedCertificate => "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        Alert::CertificateRevoked => "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
        Alert::CertificateExpired => "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
        Alert::CertificateUnknown => "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        Alert::IllegalParameter => "ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER",
        Alert::UnknownCA => "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
        Alert::AccessDenied => "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED",
        Alert::DecodeError => "ERR_SSL_TLSV1_ALERT_DECODE_ERROR",
        Alert::DecryptError => "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
        Alert::ExportRestriction => "ERR_SSL_TLSV1_ALERT_EXPORT_RESTRICTION",
        Alert::ProtocolVersion => "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
        Alert::InsufficientSecurity => "ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY",
        Alert::InternalError => "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
        Alert::InappropriateFallback => "ERR_SSL_TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        Alert::UserCanceled => "ERR_SSL_TLSV1_ALERT_USER_CANCELLED",
        Alert::NoRenegotiation => "ERR_SSL_TLSV1_ALERT_NO_RENEGOTIATION",
        Alert::MissingExtension => "ERR_SSL_TLSV13_ALERT_MISSING_EXTENSION",
        Alert::UnsupportedExtension => "ERR_SSL_TLSV1_UNSUPPORTED_EXTENSION",
        Alert::CertificateUnobtainable => "ERR_SSL_TLSV1_CERTIFICATE_UNOBTAINABLE",
        Alert::UnrecognisedName => "ERR_SSL_TLSV1_UNRECOGNIZED_NAME",
        Alert::BadCertificateStatusResponse => "ERR_SSL_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
        Alert::BadCertificateHashValue => "ERR_SSL_TLSV1_BAD_CERTIFICATE_HASH_VALUE",
        Alert::CertificateRequired => "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
        Alert::NoApplicationProtocol => "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        _ => "ERR_SSL_UNKNOWN_ALERT_TYPE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_called_what_was_found_wrong_with_it() {
        let invalid = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let found = of(&invalid, Some("DEPTH_ZERO_SELF_SIGNED_CERT"));
        assert_eq!(found.code, "DEPTH_ZERO_SELF_SIGNED_CERT");
        assert_eq!(found.message, "self-signed certificate");
        assert_eq!(of(&invalid, None).code, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
    }

    #[test]
    fn alerts_have_the_names_of_openssls_reasons() {
        for (number, code) in [
            (40, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE"),
            (48, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
            (70, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"),
            (116, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            (120, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"),
            (200, "ERR_SSL_UNKNOWN_ALERT_TYPE"),
        ] {
            assert_eq!(alert(AlertDescription::from(number)), code);
        }
    }
}
