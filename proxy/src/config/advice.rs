//! What is legal and will hurt, said as warnings.

use std::time::Duration;

use super::check::place_of;
use super::draft::{Draft, Given, SiteDraft};
use super::raw::{Checker, Place};
use super::{LogTarget, PlainHttp};

pub(crate) fn advise(draft: &Draft, root: &Place, checker: &mut Checker) {
    if draft.limits.request_body_bytes_max.is_some_and(|bytes| bytes < SHINY_UPLOAD_BYTES) {
        checker.warn(
            place_of(&draft.limits_written, "request_body_bytes", root),
            "request_body_bytes is below 5m, which Shiny allows for an upload by default",
            "write \"off\" and let the app limit it (shiny.maxRequestSize), or 5m and more",
        );
    }
    let timeouts = &draft.limits.timeouts;
    if timeouts.upstream_answer < Duration::from_secs(60) {
        checker.warn(
            place_of(&draft.timeouts_written, "upstream_answer", root),
            "upstream_answer is below 60s: RStudio and SockJS poll longer and would see 504",
            "leave it at \"1h\", or at least \"60s\"",
        );
    }
    if timeouts.tunnel_idle < Duration::from_secs(60) {
        checker.warn(
            place_of(&draft.timeouts_written, "tunnel_idle", root),
            "tunnel_idle is below 60s: Shiny Server's heartbeat comes every 25s, older apps have \
             none, and sessions would grey out",
            "leave it at \"24h\"",
        );
    }
    let to_terminal = |target: &LogTarget| matches!(target, LogTarget::Stdout | LogTarget::Stderr);
    let logs = [("access", draft.log.access.first()), ("error", Some(&draft.log.error))];
    for (key, _) in logs.iter().filter(|(_, log)| log.is_some_and(to_terminal)) {
        if draft.process.daemon {
            checker.warn(
                place_of(&draft.written, "daemon", root),
                format!("a daemon has no terminal: the {key} log goes nowhere"),
                format!("name a file in [log]: {key} = \"/var/log/sheen/{key}.log\""),
            );
        }
    }
    for site in &draft.sites {
        advise_site(site, draft, checker);
    }
}

fn advise_site(site: &SiteDraft, draft: &Draft, checker: &mut Checker) {
    let serves_https = !draft.https.is_empty();
    let place = |key| place_of(&site.written, key, &site.place).clone();
    if site.certificates.is_empty() && serves_https {
        let called = site.names.first().map_or("the first site", |(_, name)| name);
        checker.warn(
            &site.place,
            format!("{called} has no certificates: browsers will warn of the development one"),
            "name them: certificates = [{ cert = \"...\", key = \"...\" }], or --cert and --key",
        );
        if site.hsts.is_some() {
            checker.warn(
                &place("hsts"),
                "hsts with the development certificate locks browsers out of this name",
                "write hsts = \"off\" until there is a certificate",
            );
        }
    }
    if !serves_https && !draft.http.is_empty() && site.http != PlainHttp::Proxy {
        checker.warn(
            &place("http"),
            "plain HTTP is redirected to https, but nothing listens there",
            "write listen_https = [\":443\"], or http = \"proxy\"",
        );
    }
    let has_root = site
        .locations
        .iter()
        .any(|location| matches!(&location.prefix, Given::Right(prefix) if prefix == "/"));
    if !site.locations.is_empty() && !has_root {
        checker.warn(
            &site.locations[0].place,
            "no location has the prefix `/`: all other paths are answered with 404",
            "add a [[site.location]] with prefix = \"/\"",
        );
    }
    for location in &site.locations {
        let Given::Right(prefix) = &location.prefix else {
            continue;
        };
        if location.strip_prefix && !prefix.ends_with('/') {
            checker.warn(
                place_of(&location.written, "prefix", &location.place),
                format!("the prefix `{prefix}` also matches `{prefix}x`"),
                format!("write \"{prefix}/\""),
            );
        }
    }
}

/// `shiny.maxRequestSize` of an app that does not set it.
const SHINY_UPLOAD_BYTES: u64 = 5 << 20;
