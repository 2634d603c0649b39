use super::header::{Malformed, Next, next};
use super::*;
use crate::proto::tests::corpus::each_kept;

// What the fuzz target runs is compiled here as well, so that the stable compiler and CI run it.
#[path = "../../../fuzz/bodies/proxy.rs"]
mod body;
use crate::driver;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [V2, &[command, family], &length, rest].concat()
}

/// Reads a header as it allows, at most `most` bytes at a time, with the wire's bytes behind it.
fn read(header: &[u8], most: usize) -> Result<(Option<Ends>, usize), Malformed> {
    let all = [
        header,
        b"\x1a\xffQS0 and more of it, as much as anybody could want to read",
    ]
    .concat();
    let mut read = 0;
    loop {
        match next(&all[..read])? {
            Next::Read(wanted) => read += wanted.min(most),
            Next::Done(ends) => return Ok((ends, read)),
        }
    }
}

fn ends(local: &str, peer: &str) -> Option<Ends> {
    let parse = |text: &str| Some(text.parse().expect("an address"));
    Some((parse(local), parse(peer)))
}

#[test]
fn a_header_is_read_to_its_end_and_no_further_however_it_is_cut() {
    let v4 = [&[10, 0, 0, 1, 10, 0, 0, 2][..], &[0x12, 0x34, 0, 80]].concat();
    let v6 = [&[0x20; 16][..], &[0x21; 16], &[0, 1, 0, 2]].concat();
    let tlvs = [
        &v4[..],
        &[0x01, 0, 2, b'h', b'2', 0xe5, 0, 0, 0x04, 0, 3, 0, 0, 0],
    ]
    .concat();
    let v6_ends = ends(
        "[2121:2121:2121:2121:2121:2121:2121:2121]:2",
        "[2020:2020:2020:2020:2020:2020:2020:2020]:1",
    );
    let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), 107);
    for (header, expected) in [
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65535\r\n".to_vec(),
            ends("5.6.7.8:65535", "1.2.3.4:1"),
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
            ends("[::1]:2", "[2001:db8::1]:1"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN with anything\r\n".to_vec(), None),
        (longest.to_vec(), None),
        (v2(0x21, 0x11, &v4), ends("10.0.0.2:80", "10.0.0.1:4660")),
        (v2(0x21, 0x11, &tlvs), ends("10.0.0.2:80", "10.0.0.1:4660")),
        (v2(0x21, 0x21, &v6), v6_ends),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &v4), None),
        // A health check may say anything else.
        (v2(0x20, 0x77, &[1; 100]), None),
    ] {
        for most in [1, 2, 3, 7, usize::MAX] {
            assert_eq!(
                read(&header, most),
                Ok((expected, header.len())),
                "{header:?} by {most}"
            );
        }
    }
}

#[test]
fn what_is_no_header_is_told_at_once() {
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    for bytes in [
        b"\x1a\xffQS0".to_vec(),
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4\r\n 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN\rx\n".to_vec(),
        long,
        b"\r\n\r\n\0\r\nQUIX".to_vec(),
        v2(0x31, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x31, &[0; 215]),
        v2(0x21, 0x55, &[0; 36]),
        v2(0x21, 0x11, &[0; 4097]),
    ] {
        for most in [1, usize::MAX] {
            assert!(read(&bytes, most).is_err(), "{bytes:?} by {most}");
        }
    }
}

#[test]
fn networks_are_those_of_either_version() {
    let trusted = |networks: &[(&str, u8)], unix| Trusted {
        networks: networks
            .iter()
            .map(|&(address, prefix)| Network {
                address: address.parse().expect("an address"),
                prefix,
            })
            .collect(),
        unix,
    };
    let is_trusted = |trusted: &Trusted, peer: &str| {
        let peer = format!("{peer}:1").parse().expect("an address");
        trusted.includes((Some(peer), Some(peer)))
    };
    let some = trusted(
        &[
            ("10.1.0.0", 16),
            ("192.0.2.7", 32),
            ("2001:db8::", 32),
            ("::1", 128),
        ],
        false,
    );
    for peer in [
        "10.1.255.255",
        "192.0.2.7",
        "[::ffff:10.1.2.3]",
        "[2001:db8:ffff::1]",
        "[::1]",
    ] {
        assert!(is_trusted(&some, peer), "{peer}");
    }
    for peer in [
        "10.2.0.0",
        "192.0.2.6",
        "[::ffff:10.2.0.0]",
        "[2001:db9::]",
        "[::2]",
        "0.0.0.1",
    ] {
        assert!(!is_trusted(&some, peer), "{peer}");
    }
    assert!(!some.includes((None, None)));
    assert!(trusted(&[], true).includes((None, None)));
    let every_v4 = trusted(&[("0.0.0.0", 0)], false);
    assert!(is_trusted(&every_v4, "1.2.3.4") && !is_trusted(&every_v4, "[2001::]"));
    let everybody = trusted(&[("::", 0)], false);
    assert!(is_trusted(&everybody, "1.2.3.4") && is_trusted(&everybody, "[2001::]"));
}

#[test]
fn the_corpus_with_each_of_its_bits_changed() {
    each_kept("proxy", |input| {
        body::proxy(input);
        for at in 0..input.len() {
            for bit in 0..8 {
                let mut changed = input.to_vec();
                changed[at] ^= 1 << bit;
                body::proxy(&changed);
            }
        }
    });
}
