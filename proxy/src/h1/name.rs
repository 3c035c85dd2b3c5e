//! The field names that mean something to a proxy.

/// A field name, as far as we care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        for (word, known) in candidates(name.len()) {
            if name.eq_ignore_ascii_case(word) {
                return *known;
            }
        }
        Self::Other
    }

    /// As [`Name::of`], seeing through `_` and `.` in the place of `-`: applications that read CGI
    /// variables can't tell them apart. `Some` only for such an alias of a field that we guard.
    pub fn aliased(name: &[u8]) -> Option<Self> {
        let mut plain = [0; LONGEST];
        if name.len() > LONGEST || memchr::memchr2(b'_', b'.', name).is_none() {
            return None;
        }
        for (to, from) in plain.iter_mut().zip(name) {
            *to = if matches!(from, b'_' | b'.') { b'-' } else { *from };
        }
        Some(Self::of(&plain[..name.len()])).filter(|known| known.is_guarded())
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

fn candidates(len: usize) -> &'static [(&'static [u8], Name)] {
    match len {
        2 => &[(b"te", Name::Te)],
        4 => &[(b"host", Name::Host), (b"date", Name::Date)],
        5 => &[(b"proxy", Name::Proxy), (b"close", Name::Close)],
        6 => &[(b"cookie", Name::Cookie), (b"expect", Name::Expect), (b"server", Name::Server)],
        7 => {
            &[(b"referer", Name::Referer), (b"upgrade", Name::Upgrade), (b"trailer", Name::Trailer)]
        }
        9 => &[(b"x-real-ip", Name::XRealIp), (b"forwarded", Name::Forwarded)],
        10 => &[
            (b"connection", Name::Connection),
            (b"user-agent", Name::UserAgent),
            (b"keep-alive", Name::KeepAlive),
            (b"set-cookie", Name::SetCookie),
        ],
        12 => &[(b"content-type", Name::ContentType)],
        14 => &[(b"content-length", Name::ContentLength), (b"http2-settings", Name::Http2Settings)],
        15 => {
            &[(b"x-forwarded-for", Name::XForwardedFor), (b"x-forwarded-ssl", Name::XForwardedSsl)]
        }
        13 => &[
            (b"authorization", Name::Authorization),
            (b"x-rsc-request", Name::XRscRequest),
            (b"content-range", Name::ContentRange),
        ],
        16 => &[
            (b"x-forwarded-host", Name::XForwardedHost),
            (b"x-forwarded-port", Name::XForwardedPort),
            (b"proxy-connection", Name::ProxyConnection),
            (b"content-encoding", Name::ContentEncoding),
        ],
        17 => &[
            (b"transfer-encoding", Name::TransferEncoding),
            (b"x-forwarded-proto", Name::XForwardedProto),
            (b"sec-websocket-key", Name::SecWebSocketKey),
            (b"x-rstudio-request", Name::XRstudioRequest),
        ],
        18 => &[
            (b"proxy-authenticate", Name::ProxyAuthenticate),
            (b"x-forwarded-prefix", Name::XForwardedPrefix),
            (b"x-forwarded-server", Name::XForwardedServer),
            (b"x-rstudio-username", Name::XRstudioUsername),
        ],
        19 => &[
            (b"proxy-authorization", Name::ProxyAuthorization),
            (b"x-rstudio-root-path", Name::XRstudioRootPath),
        ],
        20 => &[(b"sec-websocket-accept", Name::SecWebSocketAccept)],
        21 => &[(b"sec-websocket-version", Name::SecWebSocketVersion)],
        25 => &[(b"strict-transport-security", Name::StrictTransportSecurity)],
        _ => &[],
    }
}

/// Length of the longest name in the table.
const LONGEST: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_stands_under_its_length() {
        for len in 0..=LONGEST + 1 {
            for (word, name) in candidates(len) {
                assert_eq!(word.len(), len, "{name:?}");
                assert_eq!(Name::of(&word.to_ascii_uppercase()), *name);
            }
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
