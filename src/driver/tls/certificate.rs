//! The few fields of a certificate that rustls does not tell: who issued it, and when it is valid.
//!
//! May not verify anything. Each certificate here comes from the peer, so nothing is assumed of its form.

/// The fields of a certificate, as they are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    not_before: u64,
    not_after: u64,
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The explicit tag of the version.
const VERSION: u8 = 0xa0;

impl<'a> Fields<'a> {
    /// Reads a certificate; `None` if it is malformed.
    pub fn of(der: &'a [u8]) -> Option<Self> {
        let mut all = der;
        let mut certificate = take(&mut all, SEQUENCE)?;
        let mut rest = take(&mut certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            take(&mut rest, VERSION)?;
        }
        let _serial = take_any(&mut rest)?;
        let _algorithm = take(&mut rest, SEQUENCE)?;
        let issuer = take(&mut rest, SEQUENCE)?;
        let mut validity = take(&mut rest, SEQUENCE)?;
        let not_before = time(take_any(&mut validity)?)?;
        let not_after = time(take_any(&mut validity)?)?;
        let subject = take(&mut rest, SEQUENCE)?;
        Some(Self {
            issuer,
            subject,
            not_before,
            not_after,
        })
    }

    /// Whether the certificate names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether the certificate is of whom another one names as its issuer.
    pub fn has_issued(&self, other: &Fields<'_>) -> bool {
        self.subject == other.issuer
    }

    /// Whether the certificate is not valid yet at a time, in seconds since 1970.
    pub fn is_early(&self, now: u64) -> bool {
        now < self.not_before
    }

    /// Whether the certificate has expired by a time, in seconds since 1970.
    pub fn is_late(&self, now: u64) -> bool {
        now > self.not_after
    }
}

/// Takes the next element, and returns its tag and its contents.
fn take_any<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        // A certificate is far shorter than four bytes can tell.
        0x81..=0x83 => {
            let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = behind;
            digits
                .iter()
                .fold(0, |sum, &digit| sum << 8 | usize::from(digit))
        }
        _ => return None,
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    *input = behind;
    Some((tag, contents))
}

fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, contents) = take_any(input)?;
    (found == tag).then_some(contents)
}

/// A time in seconds since 1970. Times before are 0.
fn time((tag, text): (u8, &[u8])) -> Option<u64> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let year = number(text.get(..2)?)?;
            (year + if year < 50 { 2000 } else { 1900 }, text.get(2..)?)
        }
        GENERALIZED_TIME => (number(text.get(..4)?)?, text.get(4..)?),
        _ => return None,
    };
    if rest.len() != 11 || rest[10] != b'Z' {
        return None;
    }
    let mut parts = rest[..10].chunks(2).map(number);
    let mut part = || parts.next().flatten();
    let (month, day, hour, minute, second) = (part()?, part()?, part()?, part()?, part()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days(year, month, day);
    let seconds = ((days * 24 + hour as i64) * 60 + minute as i64) * 60 + second as i64;
    Some(u64::try_from(seconds).unwrap_or(0))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

/// The days from 1970-01-01 to a date of the Gregorian calendar. A year begins in March here, so that the day that some
/// years have more is their last.
fn days(year: u64, month: u64, day: u64) -> i64 {
    let (year, month) = match month {
        3.. => (year as i64, month as i64 - 3),
        _ => (year as i64 - 1, month as i64 + 9),
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let in_year = (153 * month + 2) / 5 + day as i64 - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + leap_days + in_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Dates};
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000301120000Z", Some(951_912_000)),
            (UTC_TIME, "240229235959Z", Some(1_709_251_199)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "19500101000000Z", Some(0)),
            (UTC_TIME, "241301000000Z", None),
            (UTC_TIME, "2401010000Z", None),
            (UTC_TIME, "24010100000xZ", None),
            (SEQUENCE, "240101000000Z", None),
        ] {
            assert_eq!(time((tag, text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn the_fields_of_a_certificate_are_found_and_no_cut_is_taken_for_one() {
        let authority = Authority::new("authority");
        let identity = authority.issue(&["example.org"], Dates::Now);
        let der = identity.chain[0].as_ref();
        let fields = Fields::of(der).expect("a certificate");
        assert!(!fields.is_self_issued());
        assert!(!fields.is_early(1_800_000_000) && !fields.is_late(1_800_000_000));
        assert!(fields.is_early(1) && fields.is_late(u64::MAX));
        let root = Fields::of(authority.certificate.as_ref()).expect("a certificate");
        assert!(root.is_self_issued());
        assert_eq!(fields.issuer, root.subject);
        for cut in 0..der.len() {
            assert_eq!(Fields::of(&der[..cut]), None, "cut at {cut}");
        }
    }
}
