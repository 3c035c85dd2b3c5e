//! The field names that mean something to a proxy.

/// A field name, as far as we care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Name {
    /// Passed on as it is.
    Other,
    Authorization,
    CacheControl,
    /// Not a field anybody uses; but `Connection: close` names it.
    Close,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    Etag,
    Expect,
    Expires,
    Forwarded,
    Host,
    Http2Settings,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    KeepAlive,
    LastModified,
    Location,
    /// HTTP_PROXY of CGI programs: "httpoxy", CVE-2016-5385.
    Proxy,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Range,
    Referer,
    Refresh,
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
    WwwAuthenticate,
    XAccelRedirect,
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
        let mut slot = slot(key, name.len());
        while let Some(known) = KNOWN.get(usize::from(SLOTS[slot])) {
            if known.key == key
                && known.word.len() == name.len()
                && name[KEY_BYTES.min(name.len())..]
                    .eq_ignore_ascii_case(&known.word[KEY_BYTES.min(name.len())..])
            {
                return known.name;
            }
            slot = (slot + 1) % SLOTS.len();
        }
        Self::Other
    }

    /// As [`Name::of`], seeing through `_` and `.` in the place of `-`: applications that read CGI
    /// variables can't tell them apart. `Some` only for such an alias of a field that we guard.
    pub fn aliased(name: &[u8]) -> Option<Self> {
        if !name.iter().any(|byte| matches!(byte, b'_' | b'.')) {
            return None;
        }
        let is_like = |known: &&Known| {
            known.name.is_guarded()
                && known.word.iter().zip(name).all(|(of_word, of_name)| match (of_word, of_name) {
                    (b'-', b'-' | b'_' | b'.') => true,
                    (letter, other) => *letter == other.to_ascii_lowercase(),
                })
                && !name.eq_ignore_ascii_case(known.word)
        };
        let mut of_that_length = KNOWN.iter().filter(|known| known.word.len() == name.len());
        of_that_length.find(is_like).map(|known| known.name)
    }

    /// One bit for each, to keep sets of them.
    pub const fn bit(self) -> u64 {
        1 << self as u64
    }

    /// Fields that concern one hop alone, RFC 9110 section 7.6.1. They are never passed on;
    /// Transfer-Encoding, Upgrade and Connection are written anew where they are needed.
    pub fn is_hop_by_hop(self) -> bool {
        NameSet::HOP_BY_HOP.has(self)
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

/// A set of names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct NameSet(pub(super) u64);

impl NameSet {
    /// See [`Name::is_hop_by_hop`].
    pub const HOP_BY_HOP: Self = Self::of(&[
        Name::Connection,
        Name::Close,
        Name::KeepAlive,
        Name::ProxyConnection,
        Name::ProxyAuthenticate,
        Name::Te,
        Name::TransferEncoding,
        Name::Upgrade,
        Name::Http2Settings,
    ]);

    pub const fn of(names: &[Name]) -> Self {
        Self(0).with(names)
    }

    /// These as well.
    pub const fn with(self, names: &[Name]) -> Self {
        let (mut set, mut at) = (self.0, 0);
        while at < names.len() {
            set |= names[at].bit();
            at += 1;
        }
        Self(set)
    }

    pub fn insert(&mut self, name: Name) {
        self.0 |= name.bit();
    }

    pub const fn has(self, name: Name) -> bool {
        self.0 & name.bit() != 0
    }
}

/// Any names, to look others up in.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct NameList {
    known: NameSet,
    others: Vec<Box<[u8]>>,
}

impl<N: AsRef<[u8]>> FromIterator<N> for NameList {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        let mut list = Self::default();
        names.into_iter().for_each(|name| list.insert(name.as_ref()));
        list
    }
}

impl NameList {
    pub fn insert(&mut self, name: &[u8]) {
        match Name::of(name) {
            Name::Other => self.others.push(name.into()),
            known => self.known.insert(known),
        }
    }

    pub fn names(&self, name: &[u8]) -> bool {
        self.has(Name::of(name), name)
    }

    /// `known` is [`Name::of`] the name.
    pub fn has(&self, known: Name, name: &[u8]) -> bool {
        match known {
            Name::Other => self.others.iter().any(|other| other.eq_ignore_ascii_case(name)),
            known => self.known.has(known),
        }
    }
}

const _: () =
    assert!((Name::XRstudioUsername as u32) < u64::BITS, "Name::bit has room for the last");

/// A name in lower case that we look for.
#[derive(Debug)]
struct Known {
    /// [`key`] of the word.
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
    let first = match name.first_chunk() {
        Some(first) => u64::from_le_bytes(*first),
        None => {
            let (mut first, mut at) = (0, name.len());
            while at > 0 {
                at -= 1;
                first = first << 8 | name[at] as u64;
            }
            first
        }
    };
    first | u64::from_le_bytes([b' '; KEY_BYTES])
}

const KEY_BYTES: usize = 8;

/// Where in [`SLOTS`] the search for a name begins: the product's highest bits depend on all of its
/// letters that we look at.
const fn slot(key: u64, len: usize) -> usize {
    ((key ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOT_BITS)) as usize
}

/// Numbers of [`KNOWN`], and [`EMPTY`]. Most slots are empty: the search for a name that we do not
/// know ends at once.
static SLOTS: [u8; 1 << SLOT_BITS] = {
    let mut slots = [EMPTY; 1 << SLOT_BITS];
    let mut at = 0;
    while at < KNOWN.len() {
        let mut slot = slot(KNOWN[at].key, KNOWN[at].word.len());
        while slots[slot] != EMPTY {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = at as u8;
        at += 1;
    }
    slots
};

const SLOT_BITS: u32 = 8;
const EMPTY: u8 = u8::MAX;

static KNOWN: [Known; 56] = [
    known(b"te", Name::Te),
    known(b"date", Name::Date),
    known(b"etag", Name::Etag),
    known(b"host", Name::Host),
    known(b"close", Name::Close),
    known(b"proxy", Name::Proxy),
    known(b"range", Name::Range),
    known(b"cookie", Name::Cookie),
    known(b"expect", Name::Expect),
    known(b"server", Name::Server),
    known(b"expires", Name::Expires),
    known(b"referer", Name::Referer),
    known(b"refresh", Name::Refresh),
    known(b"trailer", Name::Trailer),
    known(b"upgrade", Name::Upgrade),
    known(b"if-match", Name::IfMatch),
    known(b"if-range", Name::IfRange),
    known(b"location", Name::Location),
    known(b"forwarded", Name::Forwarded),
    known(b"x-real-ip", Name::XRealIp),
    known(b"connection", Name::Connection),
    known(b"keep-alive", Name::KeepAlive),
    known(b"set-cookie", Name::SetCookie),
    known(b"user-agent", Name::UserAgent),
    known(b"content-type", Name::ContentType),
    known(b"authorization", Name::Authorization),
    known(b"cache-control", Name::CacheControl),
    known(b"content-range", Name::ContentRange),
    known(b"if-none-match", Name::IfNoneMatch),
    known(b"last-modified", Name::LastModified),
    known(b"x-rsc-request", Name::XRscRequest),
    known(b"content-length", Name::ContentLength),
    known(b"http2-settings", Name::Http2Settings),
    known(b"x-forwarded-for", Name::XForwardedFor),
    known(b"x-forwarded-ssl", Name::XForwardedSsl),
    known(b"content-encoding", Name::ContentEncoding),
    known(b"proxy-connection", Name::ProxyConnection),
    known(b"www-authenticate", Name::WwwAuthenticate),
    known(b"x-accel-redirect", Name::XAccelRedirect),
    known(b"x-forwarded-host", Name::XForwardedHost),
    known(b"x-forwarded-port", Name::XForwardedPort),
    known(b"if-modified-since", Name::IfModifiedSince),
    known(b"sec-websocket-key", Name::SecWebSocketKey),
    known(b"transfer-encoding", Name::TransferEncoding),
    known(b"x-forwarded-proto", Name::XForwardedProto),
    known(b"x-rstudio-request", Name::XRstudioRequest),
    known(b"proxy-authenticate", Name::ProxyAuthenticate),
    known(b"x-forwarded-prefix", Name::XForwardedPrefix),
    known(b"x-forwarded-server", Name::XForwardedServer),
    known(b"x-rstudio-username", Name::XRstudioUsername),
    known(b"if-unmodified-since", Name::IfUnmodifiedSince),
    known(b"proxy-authorization", Name::ProxyAuthorization),
    known(b"x-rstudio-root-path", Name::XRstudioRootPath),
    known(b"sec-websocket-accept", Name::SecWebSocketAccept),
    known(b"sec-websocket-version", Name::SecWebSocketVersion),
    known(b"strict-transport-security", Name::StrictTransportSecurity),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_found() {
        for Known { word, name, .. } in &KNOWN {
            assert_eq!(Name::of(word), *name);
            assert_eq!(Name::of(&word.to_ascii_uppercase()), *name);
            assert_ne!(Name::of(&word[1..]), *name);
            let other_end = [&word[..word.len() - 1], b"!"].concat();
            assert_eq!(Name::of(&other_end), Name::Other);
        }
        for name in [&b""[..], b"x", &[b'x'; 1000]] {
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
