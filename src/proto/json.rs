//! Checks the peer's JSON before JavaScript sees it, accepting exactly what `JSON.parse` accepts.
//!
//! The texts are never turned into values here: lone surrogates, 1e400 and invalid UTF-8 (which JavaScript's decoder
//! replaces) are all fine for `JSON.parse` and would not survive serde_json's `Value`. `IgnoredAny` accepts them, but
//! has no depth limit. So a scan of the depth comes first.
//!
//! May not turn a text into a value, nor recurse.

use super::error::ProtocolError;
use serde::de::IgnoredAny;

/// Checks that `text` is one JSON value nested at most `max_depth` levels.
pub fn check(text: &[u8], max_depth: usize) -> Result<(), ProtocolError> {
    if text == b"null" {
        return Ok(());
    }
    if depth(text) > max_depth {
        return Err(ProtocolError::JsonTooDeep(max_depth));
    }
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(ProtocolError::JsonInvalid),
    }
}

/// The deepest nesting of brackets outside strings. If the text is not JSON, the number means nothing, and the parse
/// that follows refuses the text.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => {
                        bytes.next();
                    }
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_json_parse_accepts() {
        for text in [
            &b"null"[..],
            b" 1 ",
            b"-0",
            b"1e400",
            b"\"\\ud800\"",
            b"\"\xff\xfe\"",
            b"{\"a\":1,\"a\":2}",
            b"[]",
            "\"\u{1F600}\u{2028}\"".as_bytes(),
            b"\"[[[[\\\"[[[\"",
        ] {
            assert_eq!(check(text, 4), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_json_parse_refuses() {
        for text in [
            &b""[..],
            b" ",
            b"01",
            b"1.",
            b".5",
            b"+1",
            b"NaN",
            b"'a'",
            b"[1,]",
            b"{a:1}",
            b"{\"a\"}",
            b"\"\n\"",
            b"\"\\x\"",
            b"1 2",
            b"\xef\xbb\xbf1",
            b"nul",
            b"\xff",
            b"[",
            b"\"",
            b"\x0b1",
        ] {
            assert_eq!(check(text, 4), Err(ProtocolError::JsonInvalid), "{text:?}");
        }
    }

    #[test]
    fn limits_depth_before_anything_recurses() {
        assert_eq!(check(b"[[[[1]]]]", 4), Ok(()));
        assert_eq!(check(b"[[[[[1]]]]]", 4), Err(ProtocolError::JsonTooDeep(4)));
        assert_eq!(
            check(&vec![b'['; 4 << 20], 512),
            Err(ProtocolError::JsonTooDeep(512))
        );
    }
}
