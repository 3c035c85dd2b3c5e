//! Tier two of the configuration: what the values mean together. Only here a [`Config`] is made.

use std::thread;

use super::advice::advise;
use super::draft::{Draft, Given, LocationDraft, SiteDraft, Written};
use super::keys::read_draft;
use super::native::Loaded;
use super::raw::{Checker, Node, Place};
use super::{
    App, Config, Listen, ListenAddress, Location, PID_FILE, Problem, Process, Site, Upstream,
    UpstreamAddress,
};

/// Checks a whole tree, of a file or of a command line.
pub(crate) fn check(root: &Node, mut checker: Checker) -> Result<Loaded, Vec<Problem>> {
    let draft = read_draft(root, &mut checker);
    check_limits(&draft, &root.place, &mut checker);
    let listeners = check_listeners(&draft, &root.place, &mut checker);
    let process = check_process(&draft, &root.place, &mut checker);
    check_sites(&draft, &root.place, &mut checker);
    advise(&draft, &root.place, &mut checker);

    let Draft { workers, runtime, trusted_proxies, protocols, ktls, log, limits, sites, .. } =
        draft;
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
        process,
        listeners,
        trusted_proxies,
        protocols,
        ktls,
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
    let mut listeners: Vec<Listen> = Vec::new();
    let mut refused: Vec<&Place> = Vec::new();
    for (place, listen) in draft.https.iter().chain(&draft.http) {
        let (address, tls) = (&listen.address, listen.tls);
        let any_port = address.tcp().is_some_and(|address| address.port() == 0);
        let clash = listeners.iter().find(|other| {
            let same = other.address == *address && !any_port;
            let both = !other.options.ipv6only || !listen.options.ipv6only;
            same || (tls != other.tls || both) && overlap(other, listen)
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
            None => listeners.push(listen.clone()),
        }
    }
    if draft.https.is_empty() && draft.http.is_empty() && checker.problems.is_empty() {
        let hint = "write listen_https = [\":443\"]";
        checker.refuse(root, "nothing to listen on", hint);
    }
    listeners
}

/// True exactly when a connection could belong to either. A v6 listener takes v4 connections only
/// where `ipv6only` is false.
fn overlap(one: &Listen, other: &Listen) -> bool {
    let (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) = (&one.address, &other.address) else {
        return one.address == other.address;
    };
    let takes_both = |listen: &Listen| {
        !listen.options.ipv6only
            && listen.address.tcp().is_some_and(|a| a.is_ipv6() && a.ip().is_unspecified())
    };
    a.port() == b.port()
        && a.port() != 0
        && (takes_both(one)
            || takes_both(other)
            || a.is_ipv4() == b.is_ipv4()
                && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified()))
}

fn check_process(draft: &Draft, root: &Place, checker: &mut Checker) -> Process {
    let mut process = draft.process.clone();
    if let Some(group) = &draft.group {
        match &mut process.user {
            Some(user) => user.group = Some(group.clone()),
            None => checker.refuse(
                place_of(&draft.written, "group", root),
                "`group` without `user`",
                "add user = \"www-data\"",
            ),
        }
    }
    // Nobody could stop a daemon without its pid file.
    if process.daemon && !draft.written.contains_key("pid") {
        process.pid = Some(PID_FILE.into());
    }
    process
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
        UpstreamAddress::Tcp(to) => listeners.iter().filter_map(|l| l.address.tcp()).any(|at| {
            let here = at.ip() == to.ip()
                || to.ip().is_unspecified()
                || at.ip().is_unspecified() && to.ip().is_loopback();
            here && at.port() == to.port() && at.is_ipv4() == to.is_ipv4()
        }),
        UpstreamAddress::Unix(to) => {
            listeners.iter().any(|listen| listen.address == ListenAddress::Unix(to.clone()))
        }
    };
    if upstream.addresses.iter().any(loops) {
        let what = format!("`{}` is where sheen itself listens", upstream.name);
        checker.refuse(place, what, "write the port of the app: 3838 for Shiny Server");
    }
}
