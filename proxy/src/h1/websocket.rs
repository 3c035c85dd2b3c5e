//! The WebSocket handshake (RFC 6455 section 4): the only upgrade that is let through.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::framing::Length;
use super::head::{AnswerHead, Repeated, RequestHead, Version};
use super::name::Name;
use crate::fault::Refusal;

/// Whether a request asks to become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// It does not, or to something else, which a server may ignore (RFC 9110 section 7.8).
    None,
    /// With the Sec-WebSocket-Accept that proves that the app means it.
    WebSocket { accept: Accept },
}

/// base64 of a SHA-1.
pub type Accept = [u8; 28];

impl Upgrade {
    /// Errors: 426 for another version of the protocol, 400 for a handshake that is not one.
    pub fn of(head: &RequestHead<'_, '_>, length: Length) -> Result<Self, Refusal> {
        let asked = head.version == Version::Http11
            && head.fields.lists(Name::Upgrade, b"websocket")
            && head.fields.lists(Name::Connection, b"upgrade");
        if !asked {
            return Ok(Self::None);
        }
        // Bytes behind the head would be a body to one side and WebSocket frames to the other.
        if head.method != "GET" || length != Length::None {
            return Err(Refusal::bad_request("websocket upgrade is not a GET without a body"));
        }
        match head.fields.only(Name::SecWebSocketVersion) {
            Ok(Some(b"13")) => {}
            Ok(Some(_)) => {
                return Err(Refusal { status: 426, words: "websocket version is not 13" });
            }
            Ok(None) | Err(Repeated) => {
                return Err(Refusal::bad_request("websocket upgrade without one version"));
            }
        }
        match head.fields.only(Name::SecWebSocketKey) {
            Ok(Some(key)) if is_key(key) => Ok(Self::WebSocket { accept: accept(key) }),
            _ => Err(Refusal::bad_request("websocket upgrade without a valid key")),
        }
    }
}

/// Checks a 101 of the app.
pub fn check_answer(head: &AnswerHead<'_, '_>, upgrade: Upgrade) -> Result<(), Refusal> {
    let Upgrade::WebSocket { accept } = upgrade else {
        return Err(Refusal::bad_request("101 without an upgrade"));
    };
    let switched = head.fields.lists(Name::Upgrade, b"websocket")
        && head.fields.lists(Name::Connection, b"upgrade");
    match head.fields.only(Name::SecWebSocketAccept) {
        Ok(Some(value)) if value == accept && switched => Ok(()),
        _ => Err(Refusal::bad_request("101 without the right Sec-WebSocket-Accept")),
    }
}

/// 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

fn accept(key: &[u8]) -> Accept {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let mut accept = [0; 28];
    let written = STANDARD.encode_slice(sha1.finish(), &mut accept);
    debug_assert_eq!(written, Ok(28));
    accept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_that_of_the_rfc() {
        let key = b"dGhlIHNhbXBsZSBub25jZQ==";
        assert!(is_key(key));
        assert_eq!(&accept(key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!is_key(b"dGhlIHNhbXBsZSBub25jZQ="));
        assert!(!is_key(b"dGhlIHNhbXBsZSBub25jZQAA"));
    }
}
