//! Heads of requests and answers: read the same whole, in pieces and by a naive reader, and sent on
//! in one meaning.

use sheen::config::App;
use sheen::fault::Refusal;
use sheen::h1::framing::{self as lengths, Length};
use sheen::h1::head::{self as heads, AnswerHead, RequestHead, Search, Table, Version};
use sheen::h1::rewrite::{self, Forwarded, Incoming, Outgoing, OutgoingBody, Path};
use sheen::h1::target::Target;
use sheen::h1::websocket::{self, Upgrade};
use sheen::limits::{FIELDS_MAX, Limits};
use sheen::route::path;

use super::naive::{self, Field, values, words};

/// The head of a request: found, parsed, understood, and written for the app.
pub fn head(bytes: &[u8]) {
    let bytes = &bytes[heads::leading_empty_lines(bytes)..];
    assert!(!bytes.starts_with(b"\r\n"));
    let Some(raw) = find(bytes) else { return };
    let mut table = Table::default();
    let parsed = heads::parse_request(raw, &mut table, &Limits::default());
    let Some(head) = accepted(parsed) else { return };
    assert!(naive::is_clean(raw));
    parses_equal(&head);
    let Some(incoming) = accepted(understand(&head, raw)) else { return };
    host_is_one(&incoming);
    for forwarded in CLIENTS {
        let out = rewrite_request(&incoming, &forwarded);
        request_is_plain(&incoming, &out);
        request_is_told(&incoming, &forwarded, &naive::fields(&out));
        request_is_copied(&incoming, &forwarded, &out);
        if !forwarded.trusted && !incoming.target.authority.is_empty() {
            goes_through_unchanged(&out, &forwarded, &incoming);
        }
    }
}

/// The head of a request: whoever reads its length reads the same, and the most careless app finds
/// one statement of it.
pub fn framing(bytes: &[u8]) {
    let Ok(Some(end)) = Search::default().find(bytes) else { return };
    let raw = &bytes[..end];
    let mut table = Table::default();
    let Ok(head) = heads::parse_request(raw, &mut table, &Limits::default()) else { return };
    let length = accepted(lengths::request(&head));
    assert_eq!(length, naive::request_length(raw));
    let Some(incoming) = accepted(understand(&head, raw)) else { return };
    for forwarded in CLIENTS {
        let out = rewrite_request(&incoming, &forwarded);
        let statement =
            |name: &str, value: &str| vec![(name.to_owned(), value.as_bytes().to_vec())];
        let expected = match incoming.length {
            Length::Sized(bytes) => statement("content-length", &bytes.to_string()),
            Length::Chunked => statement("transfer-encoding", "chunked"),
            Length::None if !values(&naive::fields(raw), "content-length").is_empty() => {
                statement("content-length", "0")
            }
            Length::None => Vec::new(),
            Length::UntilClose => panic!("a request does not end with its connection"),
        };
        assert_eq!(naive::careless_lengths(&out), expected);
    }
}

/// The head of an answer, as it goes to every kind of client.
pub fn answer(bytes: &[u8]) {
    let Some(raw) = find(bytes) else { return };
    let mut table = Table::default();
    let Some(head) = accepted(heads::parse_answer(raw, &mut table)) else { return };
    assert!(naive::is_clean(raw));
    for to_head in [false, true] {
        let length = accepted(lengths::answer(&head, to_head));
        assert_eq!(length, naive::answer_length(raw, head.status, to_head));
        let Some(length) = length else { continue };
        for (client, keep_alive, hsts) in ANSWERED {
            let Some(body) = outgoing_body(&head, length, to_head, client) else { continue };
            let keep_alive = keep_alive && body != OutgoingBody::UntilClose;
            let outgoing = Outgoing { client, keep_alive, hsts, body };
            let mut out = Vec::new();
            rewrite::answer(&mut out, &head, raw, &outgoing);
            answer_is_plain(&head, &outgoing, &out, to_head);
            answer_is_copied(raw, &outgoing, &naive::fields(&out));
        }
    }
}

/// Whether only the proxy may write this field, under any of the names that an app may take for it.
pub(super) fn is_guarded(name: &str) -> bool {
    let plain = name.replace(['_', '.'], "-");
    let guarded = [HOP_BY_HOP, WRITTEN, FORWARDING, GUARDED].concat();
    guarded.contains(&&*plain)
}

/// The head at the start of `bytes`, looked for at once and byte by byte.
fn find(bytes: &[u8]) -> Option<&[u8]> {
    let whole = Search::default().find(bytes);
    let mut search = Search::default();
    let mut found = Ok(None);
    for end in 1..=bytes.len() {
        found = search.find(&bytes[..end]);
        if found != Ok(None) {
            break;
        }
    }
    assert_eq!(found, whole);
    let end = accepted(whole)??;
    let ends = |at: &usize| bytes[..*at].ends_with(b"\r\n\r\n") || bytes[..*at] == *b"\r\n";
    assert_eq!((1..=bytes.len()).find(ends), Some(end));
    Some(&bytes[..end])
}

/// The value, or nothing for a refusal with a status and words.
fn accepted<T>(result: Result<T, Refusal>) -> Option<T> {
    if let Err(refusal) = &result {
        assert!((400..600).contains(&refusal.status) && !refusal.words.is_empty(), "{refusal:?}");
    }
    result.ok()
}

/// The head, written down again, parses equal.
fn parses_equal(head: &RequestHead<'_, '_>) {
    let version = if head.version == Version::Http11 { "1.1" } else { "1.0" };
    let mut out = format!("{} {} HTTP/{version}\r\n", head.method, head.target).into_bytes();
    for (_, field) in head.fields.iter() {
        assert!(str::from_utf8(field.name.as_bytes()).is_ok());
        out.extend_from_slice(&[field.name.as_bytes(), b":", field.value, b"\r\n"].concat());
    }
    out.extend_from_slice(b"\r\n");
    let mut table = Table::default();
    let again = heads::parse_request(&out, &mut table, &Limits::default()).expect("it parsed once");
    assert_eq!(
        (again.method, again.target, again.version),
        (head.method, head.target, head.version)
    );
    assert!(again.fields.iter().eq(head.fields.iter()));
}

/// What the proxy makes of a head before it looks for the app.
fn understand<'a, 't, 'b>(
    head: &'a RequestHead<'t, 'b>,
    raw: &'b [u8],
) -> Result<Incoming<'a, 't, 'b>, Refusal> {
    let target = Target::of(head)?;
    let length = lengths::request(head)?;
    let upgrade = Upgrade::of(head, length)?;
    path::normal(target.path())?;
    Ok(Incoming { head, raw, target, length, upgrade })
}

/// Host is there once and right, whatever the target says; HTTP/1.0 may do without.
fn host_is_one(incoming: &Incoming<'_, '_, '_>) {
    let fields = naive::fields(incoming.raw);
    let hosts = values(&fields, "host");
    assert!(hosts.len() == 1 || hosts.is_empty() && incoming.head.version == Version::Http10);
    assert!(hosts.iter().all(|host| naive::is_authority(host)));
    let Target { authority, host, port, path_and_query } = incoming.target;
    if incoming.head.target.starts_with(['/', '*']) {
        assert_eq!(authority.as_bytes(), hosts.first().copied().unwrap_or_default());
        assert_eq!(path_and_query, incoming.head.target);
    } else {
        assert!(naive::is_authority(authority.as_bytes()));
        let prefix = format!("://{authority}");
        let (scheme, rest) = incoming.head.target.split_once(&prefix).expect("absolute");
        assert!(["http", "https"].contains(&&*scheme.to_ascii_lowercase()));
        assert_eq!(path_and_query, if rest.is_empty() { "/" } else { rest });
    }
    let written = port.map(|port| port.to_string()).unwrap_or_default();
    let told = authority.strip_prefix(host).expect("the host comes first");
    assert_eq!(told.trim_start_matches([':', '0']), written.trim_start_matches('0'));
}

fn rewrite_request(incoming: &Incoming<'_, '_, '_>, forwarded: &Forwarded<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let path = Path { lead: "", rest: incoming.target.path_and_query };
    rewrite::request(&mut out, incoming, path, forwarded);
    out
}

fn parse_sent<'t, 'b>(out: &'b [u8], table: &'t mut Table<'b>) -> RequestHead<'t, 'b> {
    assert_eq!(Search::default().find(out), Ok(Some(out.len())));
    let limits = Limits { request_fields_max: FIELDS_MAX, ..Limits::default() };
    heads::parse_request(out, table, &limits).expect("what is sent parses")
}

/// A request for the app is one request and asks for the same.
fn request_is_plain(incoming: &Incoming<'_, '_, '_>, out: &[u8]) {
    assert!(naive::is_clean(out));
    let mut table = Table::default();
    let head = parse_sent(out, &mut table);
    assert_eq!(head.method, incoming.head.method);
    assert_eq!(head.target, incoming.target.path_and_query);
    assert_eq!(head.version, Version::Http11);
    assert_eq!(lengths::request(&head), Ok(incoming.length));
    assert_eq!(naive::request_length(out), Some(incoming.length));
}

/// The fields that the proxy writes, each once.
fn request_is_told(incoming: &Incoming<'_, '_, '_>, forwarded: &Forwarded<'_>, out: &[Field]) {
    let authority = incoming.target.authority.as_bytes();
    assert_eq!(values(out, "host"), [authority]);
    for name in ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"] {
        let [value] = values(out, name)[..] else { panic!("{name} is not there once") };
        assert!(!value.contains(&b','), "{name} has several values");
    }
    let [told] = values(out, "x-forwarded-for")[..] else { panic!("x-forwarded-for") };
    assert!(told.ends_with(forwarded.client.as_bytes()));
    if !forwarded.trusted {
        let (scheme, default): (&[u8], _) =
            if forwarded.tls { (b"https", 443) } else { (b"http", 80) };
        let port = incoming.target.port.unwrap_or(default).to_string();
        assert_eq!(told, forwarded.client.as_bytes());
        assert_eq!(values(out, "x-real-ip"), [forwarded.client.as_bytes()]);
        assert_eq!(values(out, "x-forwarded-proto"), [scheme]);
        assert_eq!(values(out, "x-forwarded-host"), [authority]);
        assert_eq!(values(out, "x-forwarded-port"), [port.as_bytes()]);
    }
    for (name, app) in [("x-rstudio-request", App::Workbench), ("x-rsc-request", App::Connect)] {
        assert_eq!(values(out, name).len(), usize::from(forwarded.app == app), "{name}");
    }
    let upgrades = incoming.upgrade != Upgrade::None;
    assert_eq!(values(out, "connection"), vec![b"upgrade"; usize::from(upgrades)]);
    assert_eq!(values(out, "upgrade"), vec![b"websocket"; usize::from(upgrades)]);
    let chunked = incoming.length == Length::Chunked;
    assert_eq!(values(out, "transfer-encoding"), vec![b"chunked"; usize::from(chunked)]);
}

/// The other fields: all that stay, as they were and in their order, and none that do not.
fn request_is_copied(incoming: &Incoming<'_, '_, '_>, forwarded: &Forwarded<'_>, out: &[u8]) {
    let is_own = |name: &str| {
        WRITTEN.contains(&name) || matches!(name, "connection" | "upgrade" | "transfer-encoding")
    };
    let mut copied = naive::fields(out);
    copied.retain(|(name, _)| !is_own(name));
    let mut expected = copyable(incoming.raw);
    expected.retain(|(name, _)| {
        !WRITTEN.contains(&&**name)
            && (forwarded.trusted || !FORWARDING.contains(&&**name))
            && !matches!(&**name, "expect" | "proxy")
    });
    assert_eq!(copied, expected);
}

/// A second proxy with the same client would write the same bytes.
fn goes_through_unchanged(out: &[u8], forwarded: &Forwarded<'_>, incoming: &Incoming<'_, '_, '_>) {
    let mut table = Table::default();
    let head = parse_sent(out, &mut table);
    // A client may name the fields of its own handshake in Connection, and then gets none.
    let nominated = words(&naive::fields(incoming.raw), "connection");
    if incoming.upgrade != Upgrade::None
        && nominated.iter().any(|word| word.starts_with("sec-websocket"))
    {
        return;
    }
    let again = understand(&head, out).expect("what is sent is understood");
    assert_eq!(
        (again.length, again.upgrade, again.target.authority, again.target.path_and_query),
        (
            incoming.length,
            incoming.upgrade,
            incoming.target.authority,
            incoming.target.path_and_query
        )
    );
    assert_eq!(
        rewrite_request(&again, forwarded).escape_ascii().to_string(),
        out.escape_ascii().to_string()
    );
}

/// How the body of an answer goes out; nothing for an answer that does not.
fn outgoing_body(
    head: &AnswerHead<'_, '_>,
    length: Length,
    to_head: bool,
    client: Version,
) -> Option<OutgoingBody> {
    Some(match (head.status, length) {
        (100, _) => return None,
        (101, _) => {
            let accept = head.fields.only(sheen::h1::name::Name::SecWebSocketAccept).ok()??;
            let upgrade = Upgrade::WebSocket { accept: accept.try_into().ok()? };
            accepted(websocket::check_answer(head, upgrade))?;
            OutgoingBody::Tunnel
        }
        (..=199, _) => OutgoingBody::None,
        (204, Length::None) => OutgoingBody::None,
        (304, Length::None) => OutgoingBody::Described,
        (_, Length::None) if to_head => OutgoingBody::Described,
        (_, Length::None) => OutgoingBody::Sized(0),
        (_, Length::Sized(bytes)) => OutgoingBody::Sized(bytes),
        (_, Length::Chunked | Length::UntilClose) if client == Version::Http11 => {
            OutgoingBody::Chunked
        }
        (_, Length::Chunked | Length::UntilClose) => OutgoingBody::UntilClose,
    })
}

/// An answer for the client is one answer and says how long it is.
fn answer_is_plain(head: &AnswerHead<'_, '_>, outgoing: &Outgoing<'_>, out: &[u8], to_head: bool) {
    assert!(naive::is_clean(out));
    assert_eq!(Search::default().find(out), Ok(Some(out.len())));
    let mut table = Table::default();
    let again = heads::parse_answer(out, &mut table).expect("what is sent parses");
    assert_eq!((again.status, again.reason), (head.status, head.reason));
    let expected = match outgoing.body {
        OutgoingBody::None | OutgoingBody::Described | OutgoingBody::Tunnel => Length::None,
        OutgoingBody::Sized(0) => Length::None,
        OutgoingBody::Sized(bytes) => Length::Sized(bytes),
        OutgoingBody::Chunked => Length::Chunked,
        OutgoingBody::UntilClose => Length::UntilClose,
    };
    assert_eq!(lengths::answer(&again, to_head), Ok(expected));
    assert_eq!(naive::answer_length(out, head.status, to_head), Some(expected));
    let fields = naive::fields(out);
    let connection: &[&[u8]] = match (outgoing.body, outgoing.keep_alive, outgoing.client) {
        (OutgoingBody::Tunnel, _, _) => &[b"upgrade"],
        (_, false, _) => &[b"close"],
        (_, true, Version::Http10) => &[b"keep-alive"],
        (_, true, Version::Http11) => &[],
    };
    assert_eq!(values(&fields, "connection"), connection);
}

/// The other fields of an answer: all that stay, as they were and in their order, and none that do
/// not.
fn answer_is_copied(raw: &[u8], outgoing: &Outgoing<'_>, out: &[Field]) {
    let described = outgoing.body == OutgoingBody::Described;
    let is_own = |name: &str| match name {
        "connection" | "transfer-encoding" => true,
        "content-length" => !described,
        "upgrade" => outgoing.body == OutgoingBody::Tunnel,
        "strict-transport-security" => outgoing.hsts.is_none_or(|line| !line.is_empty()),
        _ => false,
    };
    let mut copied = out.to_vec();
    copied.retain(|(name, _)| !is_own(name));
    let mut expected = copyable(raw);
    expected.retain(|(name, _)| {
        !is_own(name) && (name != "trailer" || outgoing.body == OutgoingBody::Chunked)
    });
    assert_eq!(copied, expected);
    match outgoing.hsts {
        Some(b"") => {}
        Some(_) => assert_eq!(values(out, "strict-transport-security"), [b"max-age=1"]),
        None => assert!(values(out, "strict-transport-security").is_empty()),
    }
    let lengths = values(out, "content-length").len() + values(out, "transfer-encoding").len();
    let expected = match outgoing.body {
        OutgoingBody::Sized(_) | OutgoingBody::Chunked => 1..=1,
        OutgoingBody::Described => 0..=1,
        OutgoingBody::None | OutgoingBody::UntilClose | OutgoingBody::Tunnel => 0..=0,
    };
    assert!(expected.contains(&lengths), "{lengths} statements of the length");
}

/// The fields of a head that may go on to the next hop (RFC 9110 section 7.6.1), aliases of guarded
/// ones left out.
fn copyable(raw: &[u8]) -> Vec<Field> {
    let mut fields = naive::fields(raw);
    let nominated = words(&fields, "connection");
    let is_alias = |name: &str| name.contains(['_', '.']) && is_guarded(name);
    fields.retain(|(name, _)| {
        !HOP_BY_HOP.contains(&&**name) && !nominated.contains(name) && !is_alias(name)
    });
    fields
}

const CLIENTS: [Forwarded<'static>; 4] = [
    Forwarded { client: "192.0.2.7", trusted: false, tls: true, app: App::Shiny },
    Forwarded { client: "2001:db8::7", trusted: false, tls: false, app: App::Connect },
    Forwarded { client: "192.0.2.8", trusted: true, tls: true, app: App::Workbench },
    Forwarded { client: "192.0.2.9", trusted: true, tls: false, app: App::Shiny },
];
const ANSWERED: [(Version, bool, Option<&[u8]>); 4] = [
    (Version::Http11, true, Some(b"")),
    (Version::Http11, false, Some(b"Strict-Transport-Security: max-age=1\r\n")),
    (Version::Http10, true, Some(b"Strict-Transport-Security: max-age=1\r\n")),
    (Version::Http10, false, None),
];
const HOP_BY_HOP: &[&str] = &[
    // `Connection: close` names it, so RFC 9112 section 9.6 reserves it.
    "close",
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// What the proxy writes into every request, or decides on.
const WRITTEN: &[&str] = &[
    "content-length",
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-rsc-request",
    "x-rstudio-request",
];
/// What only a trusted proxy in front may say.
const FORWARDING: &[&str] = &[
    "forwarded",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-rstudio-root-path",
    "x-rstudio-username",
];
/// What else has no place in a trailer section and no alias.
const GUARDED: &[&str] = &["expect", "proxy", "strict-transport-security", "trailer"];
