//! The answers that sheen itself gives: short pages in words that a user of the app understands,
//! with a line for the operator.

use std::io::Write;

use crate::h1::framing::is_bodyless;
use crate::h1::head::Version;

/// A status with its page.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    /// The value of Server.
    pub server: &'static str,
    /// Whole field lines besides the usual ones.
    pub fields: &'a [u8],
    pub hsts: &'a [u8],
    /// See [`connection`].
    pub connection: &'static [u8],
    /// HEAD gets no body.
    pub to_head: bool,
}

/// Writes head and page.
pub fn write(out: &mut Vec<u8>, answer: &Answer<'_>) -> u64 {
    if is_bodyless(answer.status) {
        return write_text(out, answer, b"", b"");
    }
    let page = page(answer.status);
    let type_and_length = format!(
        "HTTP/1.1 {:03} {}\r\nServer: {}\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {}\r\n",
        answer.status,
        reason(answer.status),
        answer.server,
        page.len()
    );
    out.extend_from_slice(type_and_length.as_bytes());
    if memchr::memmem::find(answer.fields, b"Cache-Control: ").is_none() {
        out.extend_from_slice(b"Cache-Control: no-store\r\n");
    }
    out.extend_from_slice(answer.fields);
    out.extend_from_slice(answer.hsts);
    out.extend_from_slice(answer.connection);
    out.extend_from_slice(b"\r\n");
    if answer.to_head {
        return 0;
    }
    out.extend_from_slice(page.as_bytes());
    page.len() as u64
}

/// Writes head and a text of the configuration's.
pub fn write_text(out: &mut Vec<u8>, answer: &Answer<'_>, kind: &[u8], text: &[u8]) -> u64 {
    let status = answer.status;
    out.extend_from_slice(format!("HTTP/1.1 {status:03} {}\r\n", reason(status)).as_bytes());
    server(answer.server, out);
    // RFC 9110 section 8.6.
    let bodyless = is_bodyless(status);
    if !bodyless {
        // `default_type ""` leaves it to the client.
        if !kind.is_empty() {
            out.extend_from_slice(b"Content-Type: ");
            out.extend_from_slice(kind);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n", text.len()).as_bytes());
    }
    out.extend_from_slice(answer.fields);
    out.extend_from_slice(answer.connection);
    out.extend_from_slice(b"\r\n");
    if answer.to_head || bodyless {
        return 0;
    }
    out.extend_from_slice(text);
    text.len() as u64
}

/// The line that says whether the connection goes on. A client of HTTP/1.1 takes that for granted,
/// one of HTTP/1.0 has to be told (RFC 9112 section 9.3).
pub fn connection(keeps: bool, client: Version) -> &'static [u8] {
    match (keeps, client) {
        (false, _) => b"Connection: close\r\n",
        (true, Version::Http10) => b"Connection: keep-alive\r\n",
        (true, Version::Http11) => b"",
    }
}

/// Appends the Server field.
pub fn server(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Server: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The answer to an ACME challenge.
pub fn challenge(content: &[u8], connection: &'static [u8], to_head: bool) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: sheen\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n",
        content.len()
    );
    let body = if to_head { b"" } else { content };
    [head.as_bytes(), connection, b"\r\n", body].concat()
}

/// Writes the answer to plain HTTP on a TLS port: nginx's words, which people search for. Returns
/// the bytes of its body.
pub fn write_plain_on_tls(out: &mut Vec<u8>) -> u64 {
    let text = "The plain HTTP request was sent to HTTPS port: write https:// in the address.\n";
    write!(
        out,
        "HTTP/1.1 400 Bad Request\r\nServer: sheen\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
    .expect("writing to a Vec can't fail");
    text.len() as u64
}

/// What the Server field says where nobody asks for more: no version, which helps attackers most.
pub const SERVER: &str = "sheen";
/// With `server_tokens on`.
pub const SERVER_WITH_VERSION: &str = concat!("sheen/", env!("CARGO_PKG_VERSION"));

/// RFC 9110 section 15.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        500 => "Internal Server Error",
        _ => "Unknown",
    }
}

/// For the user, and for whoever runs the app.
fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        301..=303 | 307 | 308 => ("This page has moved", "Your browser should take you there."),
        403 => ("This is not for you to see", "Operator: see the proxy's error log."),
        404 => ("Nothing is here", "There is no app and no file at this address."),
        405 => ("This method is not allowed", "This address does not take requests of this kind."),
        408 => (
            "Your request took too long",
            "The connection was too slow, or was interrupted. Please try again.",
        ),
        413 => (
            "This upload is too large",
            "Operator: request_body_bytes in the proxy's configuration is the limit.",
        ),
        414 | 431 => (
            "This request is too large",
            "The address or the cookies of this site are too long. Deleting the site's cookies \
             may help.",
        ),
        421 => ("Wrong connection for this site", "Please reload the page."),
        426 => ("This WebSocket version is not supported", "The proxy speaks version 13."),
        502 => (
            "The app is not answering",
            "It may be starting or have stopped; please try again in a moment. Operator: check \
             that the app is running and listens where the proxy looks for it; the proxy's error \
             log says what it tried.",
        ),
        503 => ("The server is restarting", "Please try again in a moment."),
        504 => (
            "The app is taking too long",
            "It is there but has not answered in time. Operator: look for what keeps it busy, or \
             raise upstream_answer in the proxy's configuration.",
        ),
        500 => ("Something went wrong in the proxy", "Operator: see the proxy's error log."),
        _ => (
            "The server did not understand this request",
            "Your browser or program sent something the proxy can't pass on safely.",
        ),
    }
}

fn page(status: u16) -> String {
    let (title, hint) = words(status);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;\
         color:#333}}small{{color:#666}}</style>\n<h1>{title}</h1>\n<p>{hint}</p>\n\
         <p><small>{status} {}</small></p></html>\n",
        reason(status)
    )
}
