//! Texts with a grammar of their own: server names, path prefixes, Strict-Transport-Security.

use std::net::IpAddr;

use super::raw::Complaint;

/// A server name in lower case: exact, `*.suffix`, or an address (v6 without brackets).
pub(crate) fn parse_name(text: &str) -> Result<String, Complaint> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    let complain = |hint: &str| Err(Complaint::new(format!("`{text}` is no server name"), hint));
    if !text.is_ascii() {
        return complain("write the punycode form, xn--..., as `idn` or `idn2` prints it");
    }
    if text == "*" || text == "_" {
        return complain("leave `names` out: the first site answers for names no other site has");
    }
    if text.contains("://") || text.contains('/') {
        return complain("write the name alone, without https:// and without a path");
    }
    if text.starts_with('~') {
        return complain("patterns are not supported: write each name, or \"*.example.com\"");
    }
    if let Some(rest) = text.strip_prefix('.') {
        return complain(&format!("write both \"{rest}\" and \"*.{rest}\""));
    }
    if let Some(rest) = text.strip_suffix('.') {
        return complain(&format!("write \"{rest}\", without the final dot"));
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        let hint = format!("write \"{name}\"; ports belong into listen_https and listen_http");
        return complain(&hint);
    }
    let exact = text.strip_prefix("*.").unwrap_or(text);
    if exact.contains('*') {
        return complain("a star stands alone, first, for one label: \"*.example.com\"");
    }
    if text.len() > NAME_BYTES_MAX || !exact.split('.').all(is_label) {
        return complain("labels are 1 to 63 letters, digits and hyphens, at most 253 in all");
    }
    let last = exact.rsplit('.').next().unwrap_or(exact);
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return complain("it ends in a number, so clients take it for an address");
    }
    Ok(text.to_ascii_lowercase())
}

/// A path prefix as it stands in a request.
pub(crate) fn parse_prefix(text: &str) -> Result<String, Complaint> {
    let complain =
        |why: &str, hint: &str| Err(Complaint::new(format!("the prefix `{text}` {why}"), hint));
    if !text.starts_with('/') {
        return complain("does not begin with `/`", &format!("write \"/{text}\""));
    }
    if text.contains(['?', '#']) {
        return complain("has a query or a fragment", "a prefix is compared with the path only");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return complain(
            "has characters that no request has",
            "write them percent-encoded: %20 for a space",
        );
    }
    if text.contains("//") || text.split('/').any(|segment| segment == "." || segment == "..") {
        return complain("has an empty, `.` or `..` segment", "write the plain path");
    }
    Ok(text.to_owned())
}

/// A Strict-Transport-Security value and what is legal in it but will hurt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hsts {
    pub(crate) value: String,
    pub(crate) warnings: Vec<Complaint>,
}

/// RFC 6797 section 6.1: directives in any order, none twice, max-age required.
/// <https://www.rfc-editor.org/rfc/rfc6797#section-6.1>
pub(crate) fn parse_hsts(text: &str) -> Result<Hsts, Complaint> {
    let complain =
        |why: &str| Complaint::new(format!("hsts `{}` {why}", text.escape_debug()), HSTS_HINT);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let hint = format!("write \"max-age={text}\"");
        return Err(Complaint::new(format!("hsts `{text}` has no max-age"), hint));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(complain("has characters that no header field has"));
    }
    let mut seen: Vec<String> = Vec::new();
    let mut max_age = None;
    let mut warnings = Vec::new();
    for directive in text.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (directive, None),
        };
        if !is_token(name) {
            return Err(complain(&format!("has the directive `{directive}`, which is no token")));
        }
        let known = name.to_ascii_lowercase();
        if seen.contains(&known) {
            return Err(complain(&format!("has `{name}` twice")));
        }
        match (known.as_str(), value) {
            ("max-age", Some(value)) => {
                max_age = Some(seconds(value).ok_or_else(|| {
                    complain(&format!("has the max-age `{value}`, which is no number of seconds"))
                })?)
            }
            ("max-age", None) => return Err(complain("has a max-age without its seconds")),
            ("includesubdomains" | "preload", None) => {}
            ("includesubdomains" | "preload", Some(_)) => {
                return Err(complain(&format!("gives `{name}` a value")));
            }
            (_, value) => {
                if !value.is_none_or(|value| is_token(value) || unquoted(value).is_some()) {
                    return Err(complain(&format!("has a bad value in `{directive}`")));
                }
                warnings.push(Complaint::new(
                    format!("hsts has the directive `{name}`, which browsers do not know"),
                    HSTS_HINT,
                ));
            }
        }
        seen.push(known);
    }
    let Some(max_age) = max_age else {
        return Err(complain("has no max-age"));
    };
    let has = |name: &str| seen.iter().any(|seen| seen == name);
    if has("preload") && (!has("includesubdomains") || max_age < PRELOAD_SECONDS_MIN) {
        warnings.push(Complaint::new(
            format!("hsts `{text}` has preload, but the preload list will not take it"),
            format!("it asks for includeSubDomains and a max-age of {PRELOAD_SECONDS_MIN} or more"),
        ));
    }
    Ok(Hsts { value: text.trim().to_owned(), warnings })
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

/// The inside of a quoted string without escapes.
fn unquoted(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"\"\\".contains(&byte);
    inside.bytes().all(plain).then_some(inside)
}

fn seconds(text: &str) -> Option<u64> {
    let digits = unquoted(text).unwrap_or(text);
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

/// RFC 1035 section 2.3.4, in text form.
const NAME_BYTES_MAX: usize = 253;
/// What <https://hstspreload.org> asks for.
const PRELOAD_SECONDS_MIN: u64 = 31_536_000;
const HSTS_HINT: &str =
    "write \"max-age=63072000\", then perhaps \"; includeSubDomains\", or \"off\"";
