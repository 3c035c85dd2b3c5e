//! The one table of what sheen does otherwise than the nginx it is compared with, on purpose.

use crate::scenario::Request;
use crate::seen::{Message, Seen};

/// A row.
pub(crate) struct Difference {
    /// What we do, and why.
    pub(crate) why: &'static str,
    /// The scenario that fails when it does not show there any more.
    pub(crate) shows_in: &'static str,
    /// Makes what was seen behind nginx and behind sheen equal where this is what sets them apart.
    pub(crate) even: fn(&Request, &mut Seen, &mut Seen),
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    // What every answer and every request has.
    Difference {
        why: "we have another name, and no version in it",
        shows_in: "locations",
        even: |_, theirs, ours| {
            for (seen, name) in [(theirs, "nginx"), (ours, "sheen")] {
                for (_, value) in all_fields(seen, "server") {
                    if value.starts_with(name) {
                        "SERVER".clone_into(value);
                    }
                }
            }
        },
    },
    Difference {
        why: "the app's Date stays: it knows when it made its answer; none is made up",
        shows_in: "fields",
        even: |_, theirs, ours| both(theirs, ours, |answer| answer.remove("date")),
    },
    Difference {
        why: "the app is spoken to in HTTP/1.1 on kept connections, today's default of nginx; \
              and only a WebSocket is an upgrade",
        shows_in: "websocket",
        even: |_, theirs, ours| {
            let is_tunnel = ours.asked.iter().any(|it| it.field("connection") == Some("upgrade"));
            for asked in theirs.asked.iter_mut().filter(|_| !is_tunnel) {
                asked.remove("connection");
                asked.remove("upgrade");
            }
            for asked in theirs.asked.iter_mut().filter(|_| is_tunnel) {
                let fields = asked.fields.iter_mut();
                for (_, value) in fields.filter(|(name, _)| name == "connection") {
                    if value.to_ascii_lowercase().contains("upgrade") {
                        "upgrade".clone_into(value);
                    }
                }
            }
        },
    },
    Difference {
        why: "HTTP/1.1 connections are kept: that is not said again in every answer",
        shows_in: "bodies",
        even: |_, theirs, ours| {
            let kept = |answer: &mut Message| {
                if answer.field("connection") == Some("keep-alive") {
                    answer.remove("connection");
                }
            };
            both(theirs, ours, kept);
        },
    },
    Difference {
        why: "an answer goes on as the app framed it; nginx frames anew what HTTP/1.0 gave it",
        shows_in: "answers",
        even: |request, theirs, ours| {
            both(theirs, ours, |answer| {
                answer.remove("transfer-encoding");
                if !request.has("HEAD ") {
                    answer.remove("content-length");
                }
            });
        },
    },
    Difference {
        why: "pages of our own say something that a user of the app understands, and are not \
              stored by caches",
        shows_in: "errors",
        even: |request, theirs, ours| {
            for (nginx, sheen) in theirs.answers.iter_mut().zip(&mut ours.answers) {
                let of_nginx = nginx.body.contains("<center>nginx")
                    || nginx.body.is_empty() && !is_from_app(nginx);
                let is_page = sheen.field("cache-control") == Some("no-store")
                    && (sheen.body.starts_with("<!doctype html>") || request.has("HEAD "));
                if of_nginx && is_page && nginx.line == sheen.line {
                    for answer in [&mut *nginx, &mut *sheen] {
                        "PAGE".clone_into(&mut answer.body);
                        for name in ["content-type", "content-length"] {
                            answer.remove(name);
                        }
                    }
                    sheen
                        .fields
                        .retain(|(name, value)| name != "cache-control" || value != "no-store");
                }
            }
        },
    },
    // Bodies.
    Difference {
        why: "a request's body goes on as it comes, in chunks if it has no length: it is not \
              collected first",
        shows_in: "bodies",
        even: |request, theirs, ours| {
            if request.has("Transfer-Encoding: ") {
                for asked in theirs.asked.iter_mut().chain(&mut ours.asked) {
                    asked.remove("content-length");
                    asked.remove("transfer-encoding");
                }
            }
        },
    },
    Difference {
        why: "trailer fields of requests are passed on",
        shows_in: "bodies",
        even: |_, _, ours| ours.asked.iter_mut().for_each(|it| it.trailers.clear()),
    },
    Difference {
        why: "a body that was passed on is not there any more when an error page is another app",
        shows_in: "errors",
        even: |request, theirs, ours| {
            let [first, second] = &mut *theirs.asked else { return };
            let is_again = second.body == first.body && !second.body.is_empty();
            if is_again && request.has("POST ") {
                match ours.asked.as_mut_slice() {
                    [_, own] if own.body.is_empty() => {
                        second.body.clear();
                        second.remove("content-length");
                        own.remove("content-length");
                    }
                    // To a named location the method stays: without its body it is not sent.
                    [_] => *theirs = ours.clone(),
                    _ => {}
                }
            }
        },
    },
    Difference {
        why: "client_max_body_size is about bodies that somebody reads; and a body that nobody \
              reads ends the connection",
        shows_in: "errors",
        even: |request, theirs, ours| {
            let is_unread = request.has("smallreturn") && statuses(theirs) == ["413"];
            if is_unread && statuses(ours) == ["200"] {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "a body that nobody reads ends the connection: what follows is not taken for a \
              request",
        shows_in: "bodies",
        even: |request, theirs, ours| {
            let has_body = request.has("POST ") && ours.asked.is_empty();
            let [first, ..] = &mut *ours.answers else { return };
            let is_same = theirs.answers.first().is_some_and(|answer| answer.line == first.line);
            if has_body && is_same && first.field("connection") == Some("close") {
                first.remove("connection");
                theirs.answers.truncate(1);
                theirs.answers.iter_mut().for_each(|answer| answer.remove("connection"));
            }
        },
    },
    Difference {
        why: "100 is said while a body is waited for, and only then",
        shows_in: "bodies",
        even: |request, theirs, _| {
            if request.has("100-continue") {
                theirs.answers.retain(|answer| answer.line != "100");
            }
        },
    },
    // What a request may be.
    Difference {
        why: "a target is a path, or http with a host and a path; no other scheme, no fragment, \
              no backslash but in a query, no bytes that are not UTF-8",
        shows_in: "locations",
        even: |request, theirs, ours| {
            let target = request.target();
            let path = target.split_once("://").map_or("/", |(_, rest)| rest);
            let is_odd = target.contains(['#', char::REPLACEMENT_CHARACTER])
                || target.split('?').next().is_some_and(|path| path.contains('\\'))
                || target.contains("://") && !target.starts_with("http")
                || path.split('?').next().is_some_and(|path| !path.contains('/'));
            refused("400", is_odd, theirs, ours);
        },
    },
    Difference {
        why: "a Host is a name or an address with a port or without: it stands in redirects and \
              logs",
        shows_in: "names",
        even: |request, theirs, ours| {
            let host = request.text.split_once("://").map_or(&*request.text, |(_, rest)| rest);
            let odd = |byte: u8| b"@[#?\\%\xe9".contains(&byte);
            let host = host.rsplit(' ').next().unwrap();
            let is_odd = host.starts_with('.')
                || !host.starts_with('[') && host.matches(':').count() > 1
                || host.bytes().any(odd)
                || host.split(':').skip(1).any(|port| port.parse::<u16>().is_err());
            refused("400", is_odd && !request.text.starts_with("RAW "), theirs, ours);
        },
    },
    Difference {
        why: "white space around a value is no part of it (RFC 9110 section 5.5)",
        shows_in: "names",
        even: |request, theirs, ours| {
            if request.has("\t\r\n") && statuses(theirs) == ["400"] {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "OPTIONS * asks the server about itself: whoever has its root answers",
        shows_in: "locations",
        even: |request, theirs, ours| {
            if request.text.starts_with("OPTIONS * ") || request.text == "OPTIONS *" {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "merge_slashes is that of the server that answers, not that of the default server",
        shows_in: "locations",
        even: |request, theirs, ours| {
            if request.text.ends_with(" b.test") && request.target().contains("//") {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "lines end with CRLF, a request line has single spaces and ends with HTTP/1.0 or \
              HTTP/1.1, names are tokens, values have no control characters: all else is refused",
        shows_in: "bodies",
        even: |request, theirs, ours| {
            let line = request.text.trim_start_matches("RAW ");
            let is_odd = line.contains("  ")
                || ["HTTP/1.2", "HTTP/1.10", "HTTP/0.9", "HTTP/1\\r"]
                    .iter()
                    .any(|v| line.contains(v))
                || line.contains("1.1\\nHost")
                || ["X(", "noColon", "\\x01", "\\xe9:"].iter().any(|field| line.contains(field));
            refused("400", is_odd, theirs, ours);
            refused("505", is_odd, theirs, ours);
        },
    },
    Difference {
        why: "methods are any token: the app knows its own; CONNECT and TRACE are not for it, \
              and 405 says which are",
        shows_in: "bodies",
        even: |request, theirs, ours| {
            let line = request.text.trim_start_matches("RAW ");
            if line.starts_with("get ") {
                *theirs = ours.clone();
            }
            if line.starts_with("CONNECT ") || line.starts_with("TRACE ") {
                refused("405", true, theirs, ours);
                both(theirs, ours, |answer| answer.remove("allow"));
            }
        },
    },
    Difference {
        why: "a transfer coding that is not chunked is a request that can't be understood",
        shows_in: "bodies",
        even: |request, theirs, ours| {
            let is_coded = request.has("Transfer-Encoding: ") && statuses(theirs) == ["501"];
            refused("400", is_coded, theirs, ours);
        },
    },
    Difference {
        why: "an upgrade is asked for with Connection, a key and version 13 (RFC 6455 section \
              4.1): without the first it is none, without the others a mistake",
        shows_in: "websocket",
        even: |request, theirs, ours| {
            if request.has("Upgrade: websocket\r\nConnection: keep-alive\r\n") {
                *theirs = ours.clone();
            }
            let is_half = request.has("Upgrade: websocket") && !request.has("Version: 13");
            refused("400", is_half, theirs, ours);
            refused("426", is_half, theirs, ours);
        },
    },
    Difference {
        why: "frames that a client sent too soon are not taken for another request",
        shows_in: "websocket",
        even: |request, theirs, ours| {
            if request.has("Upgrade: websocket") && statuses(theirs) == statuses(ours) {
                both(theirs, ours, |answer| {
                    if answer.field("connection") == Some("close") {
                        answer.remove("connection");
                    }
                });
            }
        },
    },
    // What goes to the app.
    Difference {
        why: "fields of one hop stay on it, those that Connection names too; Proxy would set \
              HTTP_PROXY in CGI apps",
        shows_in: "fields",
        even: |request, theirs, _| {
            let nominated = request.has("Connection: close, X-A");
            for asked in &mut theirs.asked {
                for name in ["proxy", "proxy-connection", "http2-settings"] {
                    asked.remove(name);
                }
                if nominated {
                    asked.remove("x-a");
                }
            }
        },
    },
    Difference {
        why: "spaces and control characters that variables bring are escaped: in nginx they can \
              split a request or an answer",
        shows_in: "proxy_pass",
        even: |_, theirs, _| {
            for asked in &mut theirs.asked {
                if let Some((method, target)) = asked.line.split_once(' ') {
                    asked.line = format!("{method} {}", target.replace(' ', "%20"));
                }
            }
        },
    },
    // What comes from the app.
    Difference {
        why: "an answer that two readers could read in two ways is none: bare line ends, lengths \
              that differ or come twice, a length with chunks, an upgrade that nobody asked for",
        shows_in: "answers",
        even: |request, theirs, ours| {
            let odd = [
                "RAW HTTP/1.1 200 OK\\nC",
                "2\\r\\nContent-Length:",
                "\\r\\nTransfer-Encoding: chunked\\r\\nConnection",
                "RAW nonsense",
                "HTTP/1.1 abc",
                "HTTP/1.1 101",
                "HTTP/2 200",
            ];
            let answer = request.text.split_once(" => ").map_or("", |(_, answer)| answer);
            let is_odd = odd.iter().any(|words| answer.contains(words));
            if is_odd && statuses(ours) == ["502"] {
                theirs.answers = ours.answers.clone();
            }
        },
    },
    Difference {
        why: "an interim answer of an app goes on before the answer, and 100, which the client had \
              from us, not at all: nginx of that age takes it for the answer's head",
        shows_in: "answers",
        even: |request, theirs, ours| {
            let is_interim =
                ["100 Continue", "103 Early"].iter().any(|it| request.text.contains(it));
            if is_interim && matches!(&*statuses(ours), ["200"] | ["103", "200"]) {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "an answer to HEAD has no body, so where proxy_method made HEAD of another method a \
              client gets an empty one, not less than was announced",
        shows_in: "proxy_pass",
        even: |request, theirs, ours| {
            let is_made = request.target().ends_with("?m=HEAD") && !request.has("HEAD /");
            if is_made && ours.answers.iter().all(|answer| answer.body.is_empty()) {
                both(theirs, ours, |answer| answer.remove("content-length"));
                let cut = |answer: &&mut Message| answer.body == "(cut) ";
                theirs.answers.iter_mut().filter(cut).for_each(|answer| answer.body.clear());
            }
        },
    },
    Difference {
        why: "the default of proxy_redirect is about a location's own proxy_pass: in nginx, about \
              that of the location around it",
        shows_in: "answers",
        even: |request, theirs, ours| {
            if request.target().starts_with("/outer/in/") {
                *theirs = ours.clone();
            }
        },
    },
    // What we say ourselves.
    Difference {
        why: "a redirect is no error: the page that error_page has for it is not shown",
        shows_in: "errors",
        even: |request, theirs, ours| {
            if request.target().starts_with("/s301") && statuses(theirs) == statuses(ours) {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "several fields of one name are one value in $http_name, joined by commas, as in \
              nginx since 1.23",
        shows_in: "variables",
        even: |request, _, ours| {
            if request.text.starts_with("GET /fields a.test | X-A: 1 | X-A: 2") {
                for answer in &mut ours.answers {
                    answer.body = answer.body.replace("1, 2", "1");
                }
            }
        },
    },
    Difference {
        why: "what try_files leads to under an alias is what is written: nginx takes the location's \
              name off, which makes it no URI unless it stands there twice",
        shows_in: "locations",
        even: |request, theirs, ours| {
            let is_once = request.target().starts_with("/once/");
            if is_once && statuses(theirs) == ["404"] && statuses(ours) == ["200"] {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "where server_name_in_redirect finds no name, Host stays: nginx leads to no host",
        shows_in: "locations",
        even: |_, theirs, ours| {
            let is_nobody = theirs
                .answers
                .iter()
                .any(|it| it.field("location").is_some_and(|to| to.starts_with("http://:")));
            if is_nobody && statuses(ours) == ["301"] {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "the text of a return has neither date nor tag: conditions are not asked of it",
        shows_in: "rewrite",
        even: |request, theirs, ours| {
            let is_condition = request.has("\r\nIf-") && statuses(ours) == ["200"];
            if is_condition && matches!(&*statuses(theirs), ["304"] | ["412"]) {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "where a later if without proxy_pass holds, the location is what it is without the \
              earlier one: nginx remembers that one, knows nowhere to pass to, and fails",
        shows_in: "inheritance",
        even: |request, theirs, ours| {
            if request.target() == "/iflast/x?p=1&s=1" && statuses(theirs) == ["500"] {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "captures are those of the place where they stand: nginx reads them when all maps of \
              the text have searched, and with the lengths of before",
        shows_in: "variables",
        even: |request, theirs, ours| {
            let is_around = request.target().starts_with("/around/");
            if is_around && ours.answers.iter().any(|answer| answer.body == "ab|cd|34-12\n") {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        why: "304 has no content, and says nothing of one",
        shows_in: "rewrite",
        even: |request, theirs, _| {
            if request.target().contains("304") {
                theirs.answers.iter_mut().for_each(|answer| answer.remove("content-type"));
            }
        },
    },
];

/// Whether a field of the app's came along.
fn is_from_app(answer: &Message) -> bool {
    answer.field("x-app").is_some()
}

fn both(theirs: &mut Seen, ours: &mut Seen, change: impl Fn(&mut Message)) {
    theirs.answers.iter_mut().chain(&mut ours.answers).for_each(change);
}

fn all_fields<'a>(
    seen: &'a mut Seen,
    name: &'a str,
) -> impl Iterator<Item = &'a mut (String, String)> {
    let fields = seen.answers.iter_mut().flat_map(|answer| &mut answer.fields);
    fields.filter(move |(field, _)| field == name)
}

fn statuses(seen: &Seen) -> Vec<&str> {
    seen.answers.iter().map(|answer| &*answer.line).collect()
}

/// Accepts that we refuse what is `odd`, and that the app does not see it.
fn refused(status: &str, odd: bool, theirs: &mut Seen, ours: &Seen) {
    if odd && statuses(ours) == [status] && ours.asked.is_empty() {
        *theirs = ours.clone();
    }
}
