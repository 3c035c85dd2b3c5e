//! Readers of values that take more than a look: lists, addresses, log targets, HSTS.

use std::path::PathBuf;

use ipnet::IpNet;

use super::address::{parse_network, parse_upstream, wildcards};
use super::draft::{Given, SiteDraft};
use super::listen::Listeners;
use super::names::{parse_hsts, parse_name};
use super::raw::{Checker, Field, Place, Value};
use super::values::{count, is_word, list, nearest, path, path_in_prefix, size, text, word};
use super::{App, Listen, ListenOptions, LogTarget, Protocols, Upstream};
use crate::limits;

/// All addresses of this machine: the default of a listener.
pub(crate) fn wildcard(place: &Place, port: u16, tls: bool) -> Listeners {
    let options = ListenOptions::default();
    let listen = |(address, optional)| Listen { address, tls, optional, options };
    wildcards(port).map(|parsed| (place.clone(), listen(parsed))).into()
}

pub(crate) fn names(site: &mut SiteDraft, field: &Field<'_>, checker: &mut Checker) {
    let problems_before = checker.problems.len();
    for node in list(field, checker).unwrap_or_default() {
        let name = text(&field.with_text(node), checker)
            .and_then(|text| checker.take(&node.place, parse_name(text)));
        site.names.extend(name.map(|name| (node.place.clone(), name)));
    }
    site.names_refused = checker.problems.len() > problems_before;
}

pub(crate) fn networks(field: &Field<'_>, checker: &mut Checker) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for node in list(field, checker).unwrap_or_default() {
        let Some(text) = text(&field.with_text(node), checker) else {
            continue;
        };
        let Some((network, shortened)) = checker.take(&node.place, parse_network(text)) else {
            continue;
        };
        if shortened {
            let what = format!("`{text}` names an address inside its network");
            checker.warn(&node.place, what, format!("it is taken as \"{network}\""));
        }
        if network.prefix_len() == 0 {
            let what = format!("`{text}` trusts everybody: any client can claim any address");
            checker.warn(&node.place, what, "name the addresses of the proxy in front");
        }
        networks.push(network);
    }
    networks
}

pub(crate) fn protocols(protocols: &mut Protocols, field: &Field<'_>, checker: &mut Checker) {
    let Some(nodes) = list(field, checker) else {
        return;
    };
    if nodes.is_empty() {
        let hint = "write protocols = [\"1.2\", \"1.3\"]";
        checker.refuse(&field.node.place, "no TLS version is left", hint);
        return;
    }
    *protocols = Protocols { tls12: false, tls13: false };
    for node in nodes {
        let hint = match &node.value {
            Value::Text(text) if text == "1.2" => {
                protocols.tls12 = true;
                continue;
            }
            Value::Text(text) if text == "1.3" => {
                protocols.tls13 = true;
                continue;
            }
            Value::Text(text) if text.ends_with("1.2") => "write \"1.2\"",
            Value::Text(text) if text.ends_with("1.3") => "write \"1.3\"",
            Value::Text(_) => {
                "older versions are broken and not in sheen: write \"1.2\" or \"1.3\""
            }
            _ => "write \"1.2\" or \"1.3\", in quotes",
        };
        let what = format!("a TLS version cannot be {}", node.value);
        checker.refuse(&node.place, what, hint);
    }
}

pub(crate) fn log_target(field: &Field<'_>, checker: &mut Checker) -> Option<LogTarget> {
    let text = text(field, checker)?;
    match text {
        "stdout" => return Some(LogTarget::Stdout),
        "stderr" => return Some(LogTarget::Stderr),
        _ => {}
    }
    let words = ["stdout", "stderr", "off"];
    if let Some(near) = nearest(text, words.into_iter()).filter(|_| !text.contains(['/', '.'])) {
        let what = format!("`{}` is `{text}`, did you mean `{near}`?", field.key);
        checker.refuse(&field.node.place, what, format!("for a file write \"./{text}\""));
        return None;
    }
    path_in_prefix(field, checker).map(LogTarget::File)
}

/// `None`: any size.
pub(crate) fn body_bytes(field: &Field<'_>, checker: &mut Checker) -> Option<u64> {
    if is_word(field, "off") {
        return None;
    }
    if matches!(field.node.value, Value::Number(0)) || is_word(field, "0") {
        let what = format!("`{}` is 0: no upload would be taken", field.key);
        checker.refuse(&field.node.place, what, "write \"off\" to take any size");
        return None;
    }
    size(field, checker, 1, i64::MAX.unsigned_abs())
}

/// `None`: auto.
pub(crate) fn connections(field: &Field<'_>, checker: &mut Checker) -> Option<u32> {
    if is_word(field, "auto") {
        return None;
    }
    count(field, checker, 1, u64::from(u32::MAX)).and_then(|count| u32::try_from(count).ok())
}

pub(crate) fn number(
    field: &Field<'_>,
    checker: &mut Checker,
    smallest: u64,
    largest: usize,
) -> Option<usize> {
    count(field, checker, smallest, largest as u64).and_then(|count| usize::try_from(count).ok())
}

pub(crate) fn head_bytes(field: &Field<'_>, checker: &mut Checker) -> Option<usize> {
    size(field, checker, limits::HEAD_BYTES_MIN as u64, limits::HEAD_BYTES_MAX as u64)
        .and_then(|bytes| usize::try_from(bytes).ok())
}

pub(crate) fn app(field: &Field<'_>, checker: &mut Checker) -> Option<App> {
    if is_word(field, "rstudio") {
        let what = format!("`{}` cannot be `rstudio`", field.key);
        checker.refuse(&field.node.place, what, "write \"workbench\": it reads the same headers");
        return None;
    }
    word(field, checker, &APPS)
}

pub(crate) fn hsts(field: &Field<'_>, checker: &mut Checker) -> Option<String> {
    let text = match &field.node.value {
        Value::Truth(_) | Value::Number(_) => {
            checker.wrong_kind(field, "write hsts = \"max-age=63072000\"");
            return None;
        }
        _ => text(field, checker)?,
    };
    let hsts = checker.take(&field.node.place, parse_hsts(text))?;
    for warning in hsts.warnings {
        checker.warn(&field.node.place, warning.what, warning.hint);
    }
    Some(hsts.value)
}

pub(crate) fn acme_webroot(field: &Field<'_>, checker: &mut Checker) -> Option<PathBuf> {
    let path = path(field, checker)?;
    if !path.is_dir() {
        let what = format!("acme_webroot `{}` is not a folder", path.display());
        let hint = "make it, or name the folder that certbot has after --webroot-path";
        checker.warn(&field.node.place, what, hint);
    }
    Some(path)
}

pub(crate) fn upstream(field: &Field<'_>, checker: &mut Checker) -> Given<Upstream> {
    let text = match &field.node.value {
        Value::Number(port) => {
            checker.wrong_kind(field, format!("write \":{port}\" for this machine"));
            return Given::Wrong;
        }
        Value::List(_) => {
            checker.wrong_kind(field, "one app per location; several members are not supported");
            return Given::Wrong;
        }
        _ => text(field, checker),
    };
    Given::read(text.and_then(|text| {
        let upstream = parse_upstream(text, &checker.base, checker.resolve);
        checker.take(&field.node.place, upstream)
    }))
}

const APPS: [(&str, App); 3] =
    [("shiny", App::Shiny), ("workbench", App::Workbench), ("connect", App::Connect)];
