//! The field names that mean something to a proxy.

/// A field name, as far as we care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Name {
    /// Passed on as it is.
    Other,
    Authorization,
    /// Not a field anybody uses; but `Connection: close` names it.
    Close,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    Http2Settings,
    KeepAlive,
    /// HTTP_PROXY of CGI programs: "httpoxy", CVE-2016-5385.
    Proxy,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Referer,
    SecWebSocketAccept,
    SecWebSocketKey,
    SecWebSocketVersion,
    Server,
    SetCookie,
    StrictTransportSecurity,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedPrefix,
    XForwardedProto,
    XForwardedServer,
    XForwardedSsl,
    XRealIp,
    XRscRequest,
    XRstudioRequest,
    XRstudioRootPath,
    XRstudioUsername,
}

impl Name {
    /// Field names are case-insensitive, RFC 9110 section 5.1.
    pub fn of(name: &[u8]) -> Self {
        let key = key(name);
        let is_it = |known: &&Known| {
            let behind_key = KEY_BYTES.min(name.len());
            known.key == key && name[behind_key..].eq_ignore_ascii_case(&known.word[behind_key..])
        };
        candidates(name.len()).iter().find(is_it).map_or(Self::Other, |known| known.name)
    }

    /// As [`Name::of`], seeing through `_` and `.` in the place of `-`: applications that read CGI
    /// variables can't tell them apart. `Some` only for such an alias of a field that we guard.
    pub fn aliased(name: &[u8]) -> Option<Self> {
        let is_like = |known: &&Known| {
            known.name.is_guarded()
                && known.word.iter().zip(name).all(|(of_word, of_name)| match (of_word, of_name) {
                    (b'-', b'-' | b'_' | b'.') => true,
                    (letter, other) => *letter == other.to_ascii_lowercase(),
                })
                && !name.eq_ignore_ascii_case(known.word)
        };
        candidates(name.len()).iter().find(is_like).map(|known| known.name)
    }

    /// One bit for each, to keep sets of them.
    pub fn bit(self) -> u64 {
        1 << self as u64
    }

    /// Fields that concern one hop alone, RFC 9110 section 7.6.1. They are never passed on;
    /// Transfer-Encoding, Upgrade and Connection are written anew where they are needed.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Close
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::ProxyAuthenticate
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Http2Settings
        )
    }

    /// Fields by which an app learns who asks and under which address. Only we may set them.
    pub fn is_forwarding(self) -> bool {
        matches!(
            self,
            Self::Forwarded
                | Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedPrefix
                | Self::XForwardedProto
                | Self::XForwardedServer
                | Self::XForwardedSsl
                | Self::XRealIp
                | Self::XRscRequest
                | Self::XRstudioRequest
                | Self::XRstudioRootPath
                | Self::XRstudioUsername
        )
    }

    /// Fields on which framing, routing or trust hang: nobody may smuggle them in under an alias.
    fn is_guarded(self) -> bool {
        self.is_hop_by_hop()
            || self.is_forwarding()
            || matches!(
                self,
                Self::ContentLength
                    | Self::Expect
                    | Self::Host
                    | Self::Proxy
                    | Self::StrictTransportSecurity
            )
    }

    /// Fields that a sender of a trailer section must not use, RFC 9110 section 6.5.1: those that
    /// change how the message is framed, routed, believed or read.
    pub fn is_forbidden_in_trailers(self) -> bool {
        self.is_guarded()
            || matches!(
                self,
                Self::Authorization
                    | Self::ContentEncoding
                    | Self::ContentRange
                    | Self::ContentType
                    | Self::Cookie
                    | Self::ProxyAuthorization
                    | Self::SetCookie
                    | Self::Trailer
            )
    }
}

const _: () =
    assert!((Name::XRstudioUsername as u32) < u64::BITS, "Name::bit has room for the last");

/// A name in lower case that we look for.
#[derive(Debug)]
struct Known {
    /// [`key`] of the word: most comparisons end here.
    key: u64,
    word: &'static [u8],
    name: Name,
}

const fn known(word: &'static [u8], name: Name) -> Known {
    Known { key: key(word), word, name }
}

/// The first eight bytes with the bit set that tells small letters from capitals. Of the characters
/// that field names consist of, only the two cases of a letter become equal by it.
const fn key(name: &[u8]) -> u64 {
    let mut first = [b' '; KEY_BYTES];
    let len = if name.len() < KEY_BYTES { name.len() } else { KEY_BYTES };
    first.split_at_mut(len).0.copy_from_slice(name.split_at(len).0);
    u64::from_le_bytes(first) | u64::from_le_bytes([b' '; KEY_BYTES])
}

const KEY_BYTES: usize = 8;

/// The names of that length.
fn candidates(len: usize) -> &'static [Known] {
    match STARTS.get(len..len + 2) {
        Some([start, end]) => &KNOWN[usize::from(*start)..usize::from(*end)],
        _ => &[],
    }
}

/// By length.
static KNOWN: [Known; 42] = [
    known(b"te", Name::Te),
    known(b"date", Name::Date),
    known(b"host", Name::Host),
    known(b"close", Name::Close),
    known(b"proxy", Name::Proxy),
    known(b"cookie", Name::Cookie),
    known(b"expect", Name::Expect),
    known(b"server", Name::Server),
    known(b"referer", Name::Referer),
    known(b"trailer", Name::Trailer),
    known(b"upgrade", Name::Upgrade),
    known(b"forwarded", Name::Forwarded),
    known(b"x-real-ip", Name::XRealIp),
    known(b"connection", Name::Connection),
    known(b"keep-alive", Name::KeepAlive),
    known(b"set-cookie", Name::SetCookie),
    known(b"user-agent", Name::UserAgent),
    known(b"content-type", Name::ContentType),
    known(b"authorization", Name::Authorization),
    known(b"content-range", Name::ContentRange),
    known(b"x-rsc-request", Name::XRscRequest),
    known(b"content-length", Name::ContentLength),
    known(b"http2-settings", Name::Http2Settings),
    known(b"x-forwarded-for", Name::XForwardedFor),
    known(b"x-forwarded-ssl", Name::XForwardedSsl),
    known(b"content-encoding", Name::ContentEncoding),
    known(b"proxy-connection", Name::ProxyConnection),
    known(b"x-forwarded-host", Name::XForwardedHost),
    known(b"x-forwarded-port", Name::XForwardedPort),
    known(b"sec-websocket-key", Name::SecWebSocketKey),
    known(b"transfer-encoding", Name::TransferEncoding),
    known(b"x-forwarded-proto", Name::XForwardedProto),
    known(b"x-rstudio-request", Name::XRstudioRequest),
    known(b"proxy-authenticate", Name::ProxyAuthenticate),
    known(b"x-forwarded-prefix", Name::XForwardedPrefix),
    known(b"x-forwarded-server", Name::XForwardedServer),
    known(b"x-rstudio-username", Name::XRstudioUsername),
    known(b"proxy-authorization", Name::ProxyAuthorization),
    known(b"x-rstudio-root-path", Name::XRstudioRootPath),
    known(b"sec-websocket-accept", Name::SecWebSocketAccept),
    known(b"sec-websocket-version", Name::SecWebSocketVersion),
    known(b"strict-transport-security", Name::StrictTransportSecurity),
];

/// Where in [`KNOWN`] the names of each length begin.
static STARTS: [u8; LONGEST + 2] = {
    let mut starts = [0; LONGEST + 2];
    let (mut len, mut at) = (0, 0);
    while len < starts.len() {
        while at < KNOWN.len() && KNOWN[at].word.len() < len {
            at += 1;
        }
        starts[len] = at as u8;
        len += 1;
    }
    starts
};

const LONGEST: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_found() {
        assert!(KNOWN.is_sorted_by_key(|known| known.word.len()));
        for Known { word, name, .. } in &KNOWN {
            assert_eq!(Name::of(word), *name);
            assert_eq!(Name::of(&word.to_ascii_uppercase()), *name);
            assert_eq!(Name::of(&word[1..]), Name::Other);
            let other_end = [&word[..word.len() - 1], b"!"].concat();
            assert_eq!(Name::of(&other_end), Name::Other);
        }
        for name in [&b""[..], b"x", &[b'x'; LONGEST + 1], &[b'x'; 1000]] {
            assert_eq!(Name::of(name), Name::Other);
        }
    }

    #[test]
    fn aliases_are_seen_through() {
        assert_eq!(Name::aliased(b"X_Forwarded_Proto"), Some(Name::XForwardedProto));
        assert_eq!(Name::aliased(b"x.forwarded-for"), Some(Name::XForwardedFor));
        assert_eq!(Name::aliased(b"content_length"), Some(Name::ContentLength));
        assert_eq!(Name::aliased(b"X-Forwarded-Proto"), None);
        assert_eq!(Name::aliased(b"my_field"), None);
    }
}
