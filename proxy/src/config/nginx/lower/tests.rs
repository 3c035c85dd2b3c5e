//! What each room makes of a snippet: values, inheritance, words of refusal.

use std::time::Duration;

use rustls::{CipherSuite, NamedGroup};
use tempfile::TempDir;

use super::super::load;
use super::*;
use crate::config::{Keepalive, ListenAddress, Protocols, Resolving, Tickets};
use crate::limits::Limits;
use crate::respond;
use crate::route::http::{Content, Host, Location, Proxy, RequestBody};
use crate::route::location::SERVER;

/// What is made of a whole file.
fn load_text(text: &str) -> Result<Loaded, Vec<Problem>> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t");
    let prefix = folder.path().to_owned();
    let conf_prefix = prefix.clone();
    let options = Options { prefix, conf_prefix, globals: Vec::new(), error_log: None };
    load(&path, text.into(), &options)
}

/// Of what stands in `http`; the file is right.
fn lowered(http: &str) -> Loaded {
    let loaded = load_text(&format!("daemon off; events {{}}\nhttp {{\n{http}\n}}\n"));
    loaded.unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// `LINE WHAT` of all that is wrong; the first line of `http` is 1.
fn refused(http: &str) -> Vec<String> {
    let problems = load_text(&format!("events {{}} http {{\n{http}\n}}\n")).unwrap_err();
    let line = |problem: &Problem| problem.line.map_or(0, |line| line - 1);
    problems.iter().map(|problem| format!("{} {}", line(problem), problem.what)).collect()
}

/// What is noted besides.
fn notes(loaded: &Loaded) -> String {
    loaded.warnings.iter().map(|note| format!("{}\n", note.what)).collect()
}

fn http(loaded: &Loaded) -> &Http {
    &loaded.config.http.as_ref().unwrap().0
}

fn host(loaded: &Loaded, number: usize) -> &Host {
    &http(loaded).hosts[number]
}

/// The location of that number in the first server, the server itself being 0.
fn location(loaded: &Loaded, number: usize) -> &Location {
    &host(loaded, 0).locations[number]
}

fn proxy(location: &Location) -> &Proxy {
    let Content::Proxy(proxy) = &location.content else { panic!("{location:?}") };
    proxy
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn timeouts_are_those_of_their_level() {
    let loaded = lowered(
        "client_header_timeout 10s; proxy_read_timeout 20d; keepalive_timeout 5s;
         server {
            listen 127.0.0.1:8001; client_body_timeout 3s; send_timeout 4s;
            location / { proxy_pass http://127.0.0.1:1; }
            location /a { proxy_read_timeout 7s; keepalive_timeout 65 60; proxy_send_timeout 8s;
                proxy_connect_timeout 150ms; send_timeout 9s; proxy_pass http://127.0.0.1:1; }
         }
         server { listen 127.0.0.1:8002; client_header_timeout 1m; }",
    );
    let [first, second] = [host(&loaded, 0), host(&loaded, 1)];
    assert_eq!(first.limits.timeouts.request_head, ms(10_000));
    assert_eq!(first.limits.timeouts.handshake, ms(10_000));
    assert_eq!(first.limits.timeouts.keep_alive, ms(10_000), "for the first request");
    assert_eq!(second.limits.timeouts.request_head, ms(60_000));
    let [root, a] = [location(&loaded, 1), location(&loaded, 2)];
    assert_eq!(root.limits.timeouts.keep_alive, ms(5_000));
    assert_eq!(root.limits.timeouts.request_body, ms(3_000));
    assert_eq!(root.limits.timeouts.upstream_answer, ms(20 * 86_400_000));
    assert_eq!(root.limits.timeouts.tunnel_idle, ms(20 * 86_400_000));
    assert_eq!(root.limits.timeouts.upstream_connect, ms(60_000));
    assert_eq!((root.send_timeout, a.send_timeout), (ms(4_000), ms(9_000)));
    assert_eq!(a.limits.timeouts.upstream_answer, ms(7_000));
    assert_eq!(a.limits.timeouts.tunnel_idle, ms(7_000));
    assert_eq!(a.limits.timeouts.send, ms(8_000));
    assert_eq!((root.keeping.announced, a.keeping.announced), (None, Some(60)));
    assert_eq!((a.keeping.requests, a.keeping.time), (1000, ms(3_600_000)));
    let shortest = loaded.config.limits.timeouts.upstream_connect;
    assert_eq!(shortest, ms(150), "the clock ticks by the shortest");
}

#[test]
fn a_tunnel_without_a_read_timeout_is_not_cut_after_a_minute() {
    let loaded = lowered("server { location / { proxy_pass http://127.0.0.1:1; } }");
    let timeouts = &location(&loaded, 1).limits.timeouts;
    assert_eq!(timeouts.upstream_answer, ms(60_000));
    assert_eq!(timeouts.tunnel_idle, Limits::default().timeouts.tunnel_idle);
}

#[test]
fn heads_are_bounded_by_server() {
    let loaded = lowered(
        "server { listen 127.0.0.1:1; }
         server { listen 127.0.0.1:2; large_client_header_buffers 2 2k; }
         server { listen 127.0.0.1:3; client_header_buffer_size 16k; max_headers 7; }
         server { listen 127.0.0.1:4; large_client_header_buffers 100 1m; max_headers 1000;
            underscores_in_headers on; ignore_invalid_headers off; }",
    );
    let bounds = |number: usize| {
        let limits = &host(&loaded, number).limits;
        (limits.request_head_bytes_max, limits.request_target_bytes_max)
    };
    let most = crate::limits::HEAD_BYTES_MAX;
    let expected = [(32 << 10, 8 << 10), (4 << 10, 2 << 10), (32 << 10, 16 << 10), (most, most)];
    assert_eq!([bounds(0), bounds(1), bounds(2), bounds(3)], expected);
    let fields = |number: usize| host(&loaded, number).request_fields;
    assert_eq!((fields(0).max, fields(2).max, fields(3).max), (256, 7, 256));
    assert!(!fields(0).underscores && fields(0).ignores_invalid);
    assert!(fields(3).underscores && !fields(3).ignores_invalid);
}

#[test]
fn bodies_are_bounded_by_location() {
    let loaded = lowered(
        "server { location / { client_max_body_size 0; } location /a { client_max_body_size 5m; } }",
    );
    let bytes = [0, 1, 2].map(|number| location(&loaded, number).limits.request_body_bytes_max);
    assert_eq!(bytes, [Some(1 << 20), None, Some(5 << 20)]);
}

#[test]
fn workers_and_what_they_may_have() {
    let text = "worker_processes 3; worker_rlimit_nofile 65535; daemon off; pid run/p;
        worker_shutdown_timeout 9s; user root root;
        events { worker_connections 768; } http { server {} }";
    let Config { workers, process, limits, .. } = load_text(text).unwrap().config;
    assert_eq!((workers, process.files), (3, Some(65_535)));
    assert_eq!(limits.connections_max, Some(3 * 768));
    assert_eq!(limits.connections_per_address_max, Some(3 * 768));
    assert_eq!(limits.timeouts.drain, ms(9_000));
    assert!(!process.daemon && process.pid.unwrap().ends_with("run/p"));
    let user = process.user.unwrap();
    assert_eq!((user.name.as_str(), user.group.as_deref()), ("root", Some("root")));
    let Config { workers, process, limits, .. } =
        load_text("events {} http { server {} }").unwrap().config;
    assert_eq!((workers, process.files, limits.connections_max), (1, None, None));
    assert!(process.daemon && process.pid.is_some());
}

#[test]
fn listeners_have_the_options_of_their_lines() {
    let loaded = lowered(
        "server { listen 127.0.0.1:8001 backlog=17 so_keepalive=30m::10; }
         server { listen 127.0.0.1:8001 default_server; listen [::1]:8002 ipv6only=off
            so_keepalive=off proxy_protocol; }
         server { listen 8010-8012; }",
    );
    let listen = |text: &str| {
        let address = ListenAddress::Tcp(text.parse().unwrap());
        let found = loaded.config.listeners.iter().find(|listen| listen.address == address);
        found.unwrap_or_else(|| panic!("{text}")).options
    };
    let options = listen("127.0.0.1:8001");
    assert_eq!(options.backlog, 17);
    let idle = Some(ms(1_800_000));
    assert_eq!(options.keepalive, Keepalive::On { idle, interval: None, probes: Some(10) });
    let options = listen("[::1]:8002");
    assert_eq!((options.keepalive, options.ipv6only), (Keepalive::Off, false));
    assert!(options.proxy_protocol && options.reuseport);
    listen("0.0.0.0:8011");
    let default = |text: &str| http(&loaded).default_at(&ListenAddress::Tcp(text.parse().unwrap()));
    assert_eq!((default("127.0.0.1:8001"), default("10.0.0.1:8012")), (1, 2));
    let quic = refused("server {\nlisten 443 quic;\n}");
    assert_eq!(quic, ["2 \"quic\" of \"listen\" is not supported yet"]);
}

#[test]
fn one_line_of_an_address_has_its_options_and_one_its_default_server() {
    let loaded = lowered(
        "server { listen 127.0.0.1:1 proxy_protocol; listen unix:/run/a.sock; }
         server { listen 127.0.0.1:1 backlog=9; listen unix:/run/a.sock default_server; }
         server { listen [::]:2 ipv6only=off; } server { listen [::]:3; listen 4; }
         server { listen 4 default_server; }",
    );
    let options = loaded.config.listeners[0].options;
    assert_eq!((options.backlog, options.proxy_protocol), (9, true));
    let default = |address| http(&loaded).default_at(&address);
    let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
    assert_eq!(default(ListenAddress::Unix("/run/a.sock".into())), 1);
    assert_eq!(default(tcp("[::ffff:127.0.0.1]:2")), 2);
    assert_eq!((default(tcp("[2001:db8::1]:3")), default(tcp("192.0.2.1:4"))), (3, 4));
    for (listen, what) in [
        ("8001 default_server", "a duplicate default server for 0.0.0.0:8001"),
        ("[::]:8001 default_server", "a duplicate default server for [::]:8001"),
        ("8001 backlog=1", "duplicate listen options for 0.0.0.0:8001"),
        ("unix:/run/a bind", "duplicate listen options for unix:/run/a"),
    ] {
        let server = format!("server {{ listen {listen}; }}\n");
        assert_eq!(refused(&format!("{server}{server}")), [format!("2 {what}")]);
    }
    let names = "server_name a..b A.test a.test;";
    assert_eq!(notes(&lowered(&format!("server {{ listen 8001; {names} }}"))), "");
    let shared = format!("server {{\nlisten 8001; {names} }} server {{ listen 8001; }}");
    assert_eq!(refused(&shared), ["2 invalid server name or wildcard \"a..b\""]);
    let noted = lowered(&shared.replace("a..b", "/x"));
    let expected = "server name \"/x\" has suspicious symbols\n\
                    conflicting server name \"a.test\" on 0.0.0.0:8001, ignored\n";
    assert_eq!(notes(&noted), expected);
    let twice = refused("server {\nlisten 8001;\nlisten 8000-8002;\n}");
    assert_eq!(twice, ["3 a duplicate listen 0.0.0.0:8001"]);
}

#[test]
fn an_address_is_offered_what_its_default_server_says() {
    let loaded = lowered(
        "ssl_certificate a.pem; ssl_certificate_key a.key; ssl_session_timeout 10m;
         server { listen 127.0.0.1:1 ssl; ssl_protocols TLSv1.2; ssl_ecdh_curve X25519:P-384;
            ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256;
            ssl_prefer_server_ciphers on; }
         server { listen 127.0.0.1:1 ssl; server_name b; ssl_protocols TLSv1.3; ssl_ciphers ALL; }
         server { listen 127.0.0.1:2 ssl; ssl_session_tickets off; ssl_ciphers AES128-SHA; }",
    );
    let [(_, first), (_, second)] = &http(&loaded).offers[..] else { panic!("two addresses") };
    assert_eq!(first.protocols, Protocols { tls12: true, tls13: false });
    let only = [CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    assert_eq!(first.suites.as_deref(), Some(&only[..]));
    let groups = [NamedGroup::X25519, NamedGroup::secp384r1];
    assert_eq!(first.groups.as_deref(), Some(&groups[..]));
    assert_eq!((first.own_order, first.tickets), (true, Tickets::For(ms(600_000))));
    assert_eq!(second.protocols, Protocols { tls12: false, tls13: true });
    assert_eq!((second.own_order, second.tickets), (false, Tickets::None));
    let said = notes(&loaded);
    for words in [
        "not offered: DHE-RSA-AES128-GCM-SHA256, AES128-SHA;",
        "the protocols of an address are those of its default server",
        "\"ssl_ciphers\" leaves no cipher for TLS 1.2: TLS 1.3 alone is offered",
        "\"ssl_session_tickets off\": no session is resumed",
    ] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said}");
    }
}

#[test]
fn certificates_are_needed_where_nobody_elses_will_do() {
    let pair = "ssl_certificate a.pem; ssl_certificate_key a.key;";
    let words = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
    assert_eq!(refused("server {\nlisten 443 ssl;\n}"), [format!("1 {words}")]);
    let loaded = lowered(&format!(
        "server {{ listen 443 ssl; {pair} }} server {{ listen 443 ssl; server_name b; }}"
    ));
    assert!(!host(&loaded, 0).secure.group.is_empty());
    assert!(host(&loaded, 1).secure.group.is_empty(), "the default server's is taken");
    let rejects = "server { listen 443 ssl; ssl_reject_handshake on; }";
    let loaded = lowered(&format!("{rejects} server {{ listen 443 ssl; {pair} }}"));
    assert!(host(&loaded, 0).secure.rejects && !host(&loaded, 1).secure.rejects);
    let alone = refused(&format!("{rejects}\nserver {{ listen 443 ssl; server_name b; }}"));
    assert_eq!(alone, [format!("2 {words}")]);
    lowered(rejects);
    let key = refused("server {\nlisten 443 ssl;\nssl_certificate a.pem; }");
    let expected = "3 no \"ssl_certificate_key\" is defined for certificate \"a.pem\"";
    assert_eq!(key, [expected]);
}

#[test]
fn passphrases_are_inherited_by_servers() {
    let loaded = lowered(
        "ssl_password_file all; ssl_certificate a.pem; ssl_certificate_key a.key;
         server { listen 443 ssl; } server { listen 443 ssl; server_name b; ssl_password_file /own; }",
    );
    let of = |site: usize| loaded.config.sites[site].certificates[0].passphrases.clone().unwrap();
    assert!(
        of(0).ends_with("all")
            && of(0).parent() == loaded.config.sites[0].certificates[0].key.parent()
    );
    assert_eq!(of(1).to_str(), Some("/own"));
}

#[test]
fn what_is_added_is_inherited_as_it_is_told() {
    let loaded = lowered(
        "add_header A 1; server { add_header_inherit merge; add_header B 2;
            location /merged { add_header C 3; }
            location /off { add_header_inherit off; }
            location /own { add_header_inherit on; add_header C 3; expires 1h; } }",
    );
    let names = |number: usize| {
        let fields = &location(&loaded, number).added.fields;
        ["A", "B", "C"].map(|name| fields.iter().any(|field| field.name() == name.as_bytes()))
    };
    assert_eq!(names(SERVER), [true, true, false]);
    assert_eq!(names(1), [true, true, true]);
    assert_eq!(names(2), [false, false, false]);
    assert_eq!(names(3), [false, false, true]);
    assert!(location(&loaded, 1).added.expires.is_none());
    assert!(location(&loaded, 3).added.expires.is_some());
    assert_eq!(
        refused("server { location / {\nexpires soon; } }"),
        ["2 \"expires\" directive invalid value"]
    );
    let both = "server { proxy_pass_trailers on;\nadd_trailer A 1; }";
    assert!(refused(both)[0].starts_with("2 \"add_trailer\" and \"proxy_pass_trailers on\""));
}

#[test]
fn the_server_field_and_resets_are_inherited() {
    let loaded = lowered(
        "server_tokens on; server { location / {} location /a { server_tokens off;
            reset_timedout_connection on; } }",
    );
    let [root, a] = [location(&loaded, 1), location(&loaded, 2)];
    assert_eq!((root.server, a.server), (respond::SERVER_WITH_VERSION, respond::SERVER));
    assert_eq!((root.resets, a.resets), (false, true));
    let loaded = lowered("server {}");
    assert_eq!(location(&loaded, SERVER).server, respond::SERVER, "unless it is asked for");
}

#[test]
fn proxying_is_inherited_directive_by_directive() {
    let loaded = lowered(
        "proxy_hide_header X-Out; server { proxy_set_body b; proxy_ignore_client_abort on;
            location / { proxy_pass http://127.0.0.1:1; }
            location /a { proxy_pass http://127.0.0.1:1; proxy_pass_header Server;
                proxy_intercept_errors on; proxy_ignore_client_abort off; }
         }
         server { listen 81; proxy_pass_request_body off;
            location / { proxy_pass http://127.0.0.1:1; proxy_pass_trailers on; } }",
    );
    let [root, a] = [proxy(location(&loaded, 1)), proxy(location(&loaded, 2))];
    assert!(matches!(root.body, RequestBody::Set(_)) && matches!(a.body, RequestBody::Set(_)));
    assert!(root.ignores_abort && !a.ignores_abort);
    assert!(!root.intercepts && a.intercepts && !root.passes_trailers);
    assert!(root.hidden.names(b"x-out") && root.hidden.names(b"Server"));
    assert!(a.hidden.names(b"X-Out") && !a.hidden.names(b"server"));
    let other = proxy(&host(&loaded, 1).locations[1]);
    assert!(matches!(other.body, RequestBody::Dropped) && other.passes_trailers);
}

#[test]
fn groups_and_what_is_refused_of_them() {
    let group = "upstream app { server 127.0.0.1:3838; }";
    let loaded = lowered(&format!("{group} server {{ location / {{ proxy_pass http://app; }} }}"));
    let upstream = proxy(location(&loaded, 1)).upstream.clone().unwrap();
    assert_eq!((upstream.name.as_str(), upstream.addresses.len()), ("app", 1));
    let loaded = lowered(&format!("server {{ location / {{ proxy_pass http://App; }} }} {group}"));
    assert_eq!(proxy(location(&loaded, 1)).upstream.clone().unwrap().name, "app");
    assert_eq!(
        refused("upstream app {\nserver 127.0.0.1:1;\nserver 127.0.0.1:2;\n}\nserver {}"),
        ["3 choosing between several servers of an \"upstream\" is not supported yet"]
    );
    assert_eq!(
        refused("server { location / {\nproxy_pass https://127.0.0.1:1; } }"),
        ["2 TLS to the app (https:// in \"proxy_pass\") is not supported yet"]
    );
    assert_eq!(
        refused(&format!("{group}\nserver {{ location / {{ proxy_pass http://app:81; }} }}")),
        ["2 upstream \"app\" may not have port 81"]
    );
}

#[test]
fn connections_are_enough_for_the_listening_sockets() {
    let said = |connections: usize| {
        let servers = "server { listen 1; listen 2; } server { listen 2; }";
        let text = format!("events {{ worker_connections {connections}; }} http {{ {servers} }}");
        load_text(&text).err().map(|problems| problems[0].to_string())
    };
    let words = "2 worker_connections are not enough for 2 listening sockets in ";
    assert!(said(2).is_some_and(|said| said.starts_with(words)), "{:?}", said(2));
    assert!(said(0).is_some() && said(3).is_none());
}

#[test]
fn several_error_logs_of_the_top_hear_of_requests() {
    let levels = |top: &str, server: &str| {
        let http = "access_log off; server { listen 127.0.0.1:1; return 204;";
        let text = format!("{top} daemon off; events {{}} http {{ {http} {server} }} }}");
        let loaded = load_text(&text).unwrap();
        let logs = host(&loaded, 0).error_logs.clone();
        (
            logs.map(|logs| logs.iter().map(|log| log.level.word()).collect::<Vec<_>>()),
            notes(&loaded),
        )
    };
    let two = "error_log a.log warn; error_log b.log crit;";
    let note = "news of the process goes to \"a.log\" alone\n".to_owned();
    assert_eq!(levels("error_log a.log;", ""), (None, String::new()));
    assert_eq!(levels(two, ""), (Some(vec!["warn", "crit"]), note.clone()));
    assert_eq!(levels(two, "error_log c.log;"), (Some(vec!["error"]), note));
}

#[test]
fn a_daemon_needs_files_for_its_logs() {
    let said = |top: &str, http: &str| {
        let server = "server { listen 127.0.0.1:1; return 204; }";
        notes(&load_text(&format!("{top} events {{}} http {{ {http} {server} }}")).unwrap())
    };
    let words =
        |what| format!("a daemon has no terminal: lines go nowhere without a file in {what}\n");
    assert_eq!(said("", ""), words("error_log and access_log"));
    assert_eq!(said("error_log e.log;", "access_log /dev/stdout;"), words("access_log"));
    assert_eq!(said("error_log stderr;", "access_log off;"), words("error_log"));
    assert_eq!(said("error_log e.log;", "access_log a.log;"), "");
    assert_eq!(said("daemon off;", ""), "");
}

#[test]
fn cookie_flags_that_are_none_are_noted() {
    let flags = "proxy_cookie_flags a never secure; proxy_cookie_flags b $arg_flag;";
    let loaded =
        lowered(&format!("server {{ location / {{ proxy_pass http://127.0.0.1:1; {flags} }} }}"));
    assert_eq!(notes(&loaded), "\"never\" is no flag of a cookie: nothing is set\n");
}

#[test]
fn names_are_looked_up_where_a_resolver_is_named() {
    let proxied = "set $a app; proxy_pass http://$a;";
    let loaded = lowered(&format!(
        "server {{ location / {{ {proxied} }}
         location /a {{ resolver 127.0.0.11 valid=1m ipv6=off; {proxied} }}
         location /b {{ resolver [::1]; resolver_timeout 5s; {proxied} }} }}"
    ));
    let said = "names are looked up by this machine's resolver, not by those listed here\n";
    assert_eq!(notes(&loaded), said.repeat(2));
    let [none, a, b] = [1, 2, 3].map(|number| proxy(location(&loaded, number)).resolving);
    assert_eq!(none, None);
    let how = |how: Option<Resolving>| {
        how.map(|how| (how.valid.as_secs(), how.timeout.as_secs(), how.v4, how.v6))
    };
    assert_eq!(how(a), Some((60, 30, true, false)));
    assert_eq!(how(b), Some((10, 5, true, true)));
}

#[test]
fn what_is_wrong_beside_what_is_refused_is_reported_with_it_and_once() {
    let said = refused(
        "geo $office { default 0; }
         upstream many { ip_hash; server 127.0.0.1:1; server 127.0.0.1:2; }
         access_log /var/log/x.log nowhere;
         server {
             limit_req zone=one;
             location /a { proxy_pass https://127.0.0.1:1; }
             location /b { if ($office) { return 403; } return 200 $office; }
         }",
    );
    let expected = [
        "1 \"geo\" directive is not supported",
        "2 \"ip_hash\" directive is not supported",
        "5 \"limit_req\" directive is not supported",
        "2 choosing between several servers of an \"upstream\" is not supported yet",
        "3 unknown log format \"nowhere\"",
        "6 TLS to the app (https:// in \"proxy_pass\") is not supported yet",
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_several_places_inherit_is_noted_once() {
    let locations = "location / { proxy_pass http://127.0.0.1:1; }
         location /a { proxy_pass http://127.0.0.1:1; proxy_http_version 1.1; }
         location /b { proxy_pass http://127.0.0.1:1; }";
    let loaded = lowered(&format!("proxy_http_version 1.0; server {{ {locations} }}"));
    assert_eq!(notes(&loaded), "the app is spoken to in HTTP/1.1: it may answer in HTTP/1.0\n");
}

#[test]
fn variables_that_nobody_defines_are_named_with_their_line() {
    let said = refused("server {\nadd_header A $nobody;\nlocation / { return 200 $none; } }");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("2 unknown \"nobody\" variable")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("3 unknown \"none\" variable")), "{said:?}");
}

#[test]
fn logs_go_where_they_are_sent() {
    let loaded = lowered(
        "error_log e.log warn; log_format own '$status'; access_log a.log own;
         server { location / { access_log off; } location /b { access_log b.log own if=$arg_x; } }",
    );
    let log = &loaded.config.log;
    assert_eq!(log.level, crate::config::Level::Warn);
    let LogTarget::File(path) = &log.error else { panic!("{log:?}") };
    assert!(path.ends_with("e.log"));
    // b.log, and e.log once more for the errors of the server.
    assert_eq!(log.access.len(), 3);
    let logs = [SERVER, 1, 2].map(|number| location(&loaded, number).logs.len());
    assert_eq!(logs, [1, 0, 1]);
    assert!(location(&loaded, 2).logs[0].condition.is_some());
    let said = refused("server {\naccess_log a.log none; }");
    assert_eq!(said, ["2 unknown log format \"none\""]);
}
