//! Tier two of the configuration: what the values mean together. Only here a [`Config`] is made.

use std::net::SocketAddr;
use std::thread;

use super::advice::advise;
use super::draft::{Draft, Given, LocationDraft, SiteDraft, Written};
use super::keys::read_draft;
use super::native::Loaded;
use super::raw::{Checker, Node, Place};
use super::{App, Config, Listen, Location, Problem, Site, Upstream, UpstreamAddress};

/// Checks a whole tree, of a file or of a command line.
pub(crate) fn check(root: &Node, mut checker: Checker) -> Result<Loaded, Vec<Problem>> {
    let draft = read_draft(root, &mut checker);
    check_limits(&draft, &root.place, &mut checker);
    let listeners = check_listeners(&draft, &root.place, &mut checker);
    check_sites(&draft, &root.place, &mut checker);
    advise(&draft, &root.place, &mut checker);

    let Draft { workers, runtime, trusted_proxies, protocols, log, limits, sites, .. } = draft;
    let sites: Vec<Site> =
        sites.into_iter().map(|site| build_site(site, &listeners, &mut checker)).collect();
    checker.problems.sort_by_key(|problem| problem.line);
    checker.warnings.sort_by_key(|problem| problem.line);
    if !checker.problems.is_empty() {
        return Err(checker.problems);
    }
    let workers = workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let config = Config {
        workers,
        runtime,
        listeners,
        trusted_proxies,
        protocols,
        log,
        limits,
        sites,
        http: None,
    };
    Ok(Loaded { config, warnings: checker.warnings })
}

/// Where a key was written, or the place of the whole if it was not.
pub(crate) fn place_of<'a>(written: &'a Written, key: &str, whole: &'a Place) -> &'a Place {
    written.get(key).unwrap_or(whole)
}

fn check_limits(draft: &Draft, root: &Place, checker: &mut Checker) {
    let limits = &draft.limits;
    let written = &draft.limits_written;
    if limits.request_target_bytes_max >= limits.request_head_bytes_max {
        let head = place_of(written, "request_head_bytes", root);
        let place = place_of(written, "request_target_bytes", head);
        checker.refuse(
            place,
            format!(
                "request_target_bytes is {}, not below request_head_bytes, which is {}",
                limits.request_target_bytes_max, limits.request_head_bytes_max
            ),
            "the head holds the target and the fields: make it twice as large",
        );
    }
    if let (Some(all), Some(one)) = (limits.connections_max, limits.connections_per_address_max)
        && one > all
        && one != u32::MAX
    {
        checker.warn(
            place_of(written, "connections_per_address", root),
            format!("connections_per_address is {one}, above connections, which is {all}"),
            "it has no effect; write \"off\" if that is meant",
        );
    }
}

fn check_listeners(draft: &Draft, root: &Place, checker: &mut Checker) -> Vec<Listen> {
    let https = draft.https.iter().map(|(place, address)| (place, address, true));
    let http = draft.http.iter().map(|(place, address)| (place, address, false));
    let mut listeners: Vec<Listen> = Vec::new();
    let mut refused: Vec<&Place> = Vec::new();
    for (place, &(address, optional), tls) in https.chain(http) {
        let clash = listeners.iter().find(|other| {
            let same = other.address == address;
            same && address.port() != 0 || tls != other.tls && overlap(other.address, address)
        });
        match clash {
            // `:443` is two addresses; one problem for the text is enough.
            Some(_) if refused.contains(&place) => {}
            Some(other) if other.tls == tls => {
                let what = format!("`{address}` is listened on twice");
                checker.refuse(place, what, "delete one; `:PORT` stands for all addresses");
                refused.push(place);
            }
            Some(other) => {
                let what = format!(
                    "`{address}` of listen_http is also `{}` of listen_https",
                    other.address
                );
                checker.refuse(place, what, "https and http need a port each: 443 and 80");
                refused.push(place);
            }
            None => listeners.push(Listen { address, tls, optional }),
        }
    }
    if draft.https.is_empty() && draft.http.is_empty() && checker.problems.is_empty() {
        let hint = "write listen_https = [\":443\"]";
        checker.refuse(root, "nothing to listen on", hint);
    }
    listeners
}

/// True exactly when a connection could belong to either. v6 listeners take no v4 connections.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn check_sites(draft: &Draft, root: &Place, checker: &mut Checker) {
    if !draft.sites_written {
        let hint = "write a line [[site]] and below it to = \":3838\"";
        checker.refuse(root, "no site: nothing to forward to", hint);
    }
    let mut names: Vec<(&str, &Place)> = Vec::new();
    for (index, site) in draft.sites.iter().enumerate() {
        if index > 0 && site.names.is_empty() && !site.names_refused {
            checker.refuse(
                &site.place,
                "a site without names that is not the first is never reached",
                "give it names, or move it above the others to answer for all other names",
            );
        }
        for (place, name) in &site.names {
            match names.iter().find(|(known, _)| known == name) {
                Some((_, first)) => {
                    let what = format!("the name `{name}` is written twice");
                    let hint = match first.line {
                        Some(line) => format!("it is also on line {line}; delete one"),
                        None => "delete one".to_owned(),
                    };
                    checker.refuse(place, what, hint);
                }
                None => names.push((name, place)),
            }
        }
        check_locations(site, checker);
    }
}

fn check_locations(site: &SiteDraft, checker: &mut Checker) {
    let has_locations = site.written.contains_key("location");
    match (&site.to, has_locations) {
        (Given::Missing, false) => checker.refuse(
            &site.place,
            "a site without an app: neither `to` nor [[site.location]]",
            "add to = \":3838\" for Shiny Server, \":8787\" for RStudio",
        ),
        (Given::Right(_) | Given::Wrong, true) => checker.refuse(
            place_of(&site.written, "to", &site.place),
            "a site with both `to` and [[site.location]]",
            "move `to` into a [[site.location]] with prefix = \"/\"",
        ),
        (Given::Missing, true) | (Given::Right(_) | Given::Wrong, false) => {}
    }
    let mut prefixes: Vec<&str> = Vec::new();
    for location in &site.locations {
        if matches!(location.to, Given::Missing) {
            let hint = "add to = \":3838\" for Shiny Server, \":8787\" for RStudio";
            checker.refuse(&location.place, "a location without `to`", hint);
        }
        match &location.prefix {
            Given::Missing => {
                let hint = "add prefix = \"/\" for all paths";
                checker.refuse(&location.place, "a location without `prefix`", hint);
            }
            Given::Right(prefix) if prefixes.contains(&prefix.as_str()) => {
                let place = place_of(&location.written, "prefix", &location.place);
                let what = format!("the prefix `{prefix}` is written twice in this site");
                checker.refuse(place, what, "delete one");
            }
            Given::Right(prefix) => prefixes.push(prefix),
            Given::Wrong => {}
        }
    }
}

fn build_site(draft: SiteDraft, listeners: &[Listen], checker: &mut Checker) -> Site {
    let mut locations = Vec::new();
    if let Given::Right(upstream) = draft.to {
        refuse_loop(&upstream, place_of(&draft.written, "to", &draft.place), listeners, checker);
        let prefix = "/".to_owned();
        locations.push(Location { prefix, strip_prefix: false, app: draft.app, upstream });
    }
    for location in draft.locations {
        locations.extend(build_location(location, draft.app, listeners, checker));
    }
    locations.sort_by_key(|location| std::cmp::Reverse(location.prefix.len()));
    Site {
        names: draft.names.into_iter().map(|(_, name)| name).collect(),
        certificates: draft.certificates,
        hsts: draft.hsts,
        http: draft.http,
        acme_webroot: draft.acme_webroot,
        locations,
    }
}

fn build_location(
    draft: LocationDraft,
    app: App,
    listeners: &[Listen],
    checker: &mut Checker,
) -> Option<Location> {
    let (Given::Right(prefix), Given::Right(upstream)) = (draft.prefix, draft.to) else {
        return None;
    };
    refuse_loop(&upstream, place_of(&draft.written, "to", &draft.place), listeners, checker);
    let app = draft.app.unwrap_or(app);
    Some(Location { prefix, strip_prefix: draft.strip_prefix, app, upstream })
}

fn refuse_loop(upstream: &Upstream, place: &Place, listeners: &[Listen], checker: &mut Checker) {
    let loops = |address: &UpstreamAddress| match address {
        UpstreamAddress::Tcp(to) => listeners.iter().any(|listen| {
            let here = listen.address.ip() == to.ip()
                || to.ip().is_unspecified()
                || listen.address.ip().is_unspecified() && to.ip().is_loopback();
            here && listen.address.port() == to.port() && listen.address.is_ipv4() == to.is_ipv4()
        }),
        UpstreamAddress::Unix(_) => false,
    };
    if upstream.addresses.iter().any(loops) {
        let what = format!("`{}` is where sheen itself listens", upstream.name);
        checker.refuse(place, what, "write the port of the app: 3838 for Shiny Server");
    }
}
