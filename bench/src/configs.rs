//! Each peer's configuration: the same work for all, and nothing that holds one back.
//!
//! One worker (or as many as a case asks for), TLS 1.2 and 1.3, session tickets, HSTS on answers,
//! the forwarding fields that apps need, kept connections to the upstream, WebSockets, no access
//! log, nothing written to disk.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bench::nginx_rules::{PROXYING, Rules};

use crate::address::Address;
use crate::machine;
use crate::peers::{Kind, Language};
use crate::pki::{Files, NAME};

#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) files: &'a Files,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) upstream: &'a Address,
    pub(crate) workers: usize,
    pub(crate) open_files: u64,
    pub(crate) language: Language,
}

#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) text: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// What the texts below are filled with.
struct Words<'a> {
    dir: String,
    cert: String,
    key: String,
    both: String,
    https: SocketAddr,
    http: SocketAddr,
    upstream: &'a Address,
    workers: usize,
    files: u64,
    connections: u64,
    with_rules: bool,
}

impl<'a> Words<'a> {
    fn of(place: &Place<'a>) -> Self {
        let path = |path: &Path| path.display().to_string();
        Self {
            dir: path(place.dir),
            cert: path(&place.files.cert),
            key: path(&place.files.key),
            both: path(&place.files.both),
            https: place.https,
            http: place.http,
            upstream: place.upstream,
            workers: place.workers,
            files: place.open_files,
            // Two sockets each.
            connections: place.open_files / 2 - 100,
            with_rules: place.language == Language::NginxConfWithRules,
        }
    }
}

/// Writes the configuration into the peer's folder.
pub(crate) fn write(kind: Kind, place: &Place<'_>) -> Result<Configured, String> {
    let file = place.dir.join("peer.conf");
    let path = file.display().to_string();
    let own = |arguments: &[&str]| arguments.iter().map(|word| (*word).to_owned()).collect();
    let words = Words::of(place);
    let (text, arguments): (String, Vec<String>) = match kind {
        Kind::Sheen if place.language == Language::Own => (sheen(&words), own(&["-c", &path])),
        Kind::Sheen => (nginx(&words), own(&["-p", &words.dir, "-c", &path])),
        Kind::Nginx => (nginx(&words), own(&["-p", &words.dir, "-c", &path])),
        // As services run: a master that can reload, and its worker. The same with h2o.
        Kind::Haproxy => (haproxy(&words), own(&["-W", "-db", "-f", &path])),
        Kind::Caddy => (caddy(&words), own(&["run", "--adapter", "caddyfile", "--config", &path])),
        Kind::H2o => (h2o(&words), own(&["-m", "master", "-c", &path])),
        Kind::Hitch => (hitch(&words), own(&[&format!("--config={path}")])),
        Kind::Floor => {
            let addresses = [place.https, place.http].map(|address| address.to_string());
            let [listen, redirect] = &addresses;
            let to = place.upstream.to_string();
            let arguments = own(&["--listen", listen, "--redirect", redirect, "--to", &to]);
            ("(no configuration)\n".to_owned(), arguments)
        }
    };
    fs::write(&file, &text).map_err(|error| format!("{path}: {error}"))?;
    let environment = if kind == Kind::Caddy { go(&words) } else { Vec::new() };
    Ok(Configured { text, arguments, environment })
}

/// Where a program in Go writes to, and how many threads it runs on.
fn go(Words { dir, workers, .. }: &Words<'_>) -> Vec<(&'static str, String)> {
    let folders = ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|name| (name, dir.clone()));
    let mut environment = Vec::from(folders);
    environment.push(("GOMAXPROCS", workers.to_string()));
    environment
}

fn sheen(words: &Words<'_>) -> String {
    let Words { cert, key, https, http, upstream, workers, .. } = words;
    format!(
        r#"workers = {workers}
listen_https = ["{https}"]
listen_http = ["{http}"]

[log]
access = "off"
level = "error"

[limits]
connections_per_address = "off"

[[site]]
names = ["{NAME}"]
certificates = [{{ cert = "{cert}", key = "{key}" }}]
hsts = "max-age=63072000"
to = "{upstream}"
"#
    )
}

fn nginx(words: &Words<'_>) -> String {
    let Words { cert, key, https, http, upstream, workers, files, .. } = words;
    let user = if machine::is_root() { "user root;\n" } else { "" };
    // Where there are several workers, each has a socket of its own, as sheen's have.
    let spread = if *workers > 1 { " reuseport" } else { "" };
    let rules = if words.with_rules { Rules::many() } else { Rules::none() };
    let Rules { maps, before, place, inside } = &rules;
    format!(
        r#"{user}worker_processes {workers};
daemon off;
pid nginx.pid;
error_log error.log error;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    client_max_body_size 0;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    ssl_session_tickets on;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
{maps}    upstream app {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {https} ssl backlog=4096{spread};
        server_name {NAME};
        ssl_certificate {cert};
        ssl_certificate_key {key};
        add_header Strict-Transport-Security "max-age=63072000" always;
{before}        location {place} {{
{inside}            proxy_pass http://app;
{PROXYING}            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_request_buffering off;
            proxy_buffers 16 32k;
            proxy_busy_buffers_size 64k;
            proxy_max_temp_file_size 0;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
    server {{
        listen {http} backlog=4096{spread};
        server_name {NAME};
        return 301 https://$host$request_uri;
    }}
}}
"#
    )
}

fn haproxy(words: &Words<'_>) -> String {
    let Words { dir, both, https, http, workers, connections, .. } = words;
    let (port, upstream) = (https.port(), words.upstream.spelled("unix@"));
    format!(
        r"global
    nbthread {workers}
    maxconn {connections}
    stats socket {dir}/admin.sock level admin
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 24h
    option http-keep-alive
    http-reuse always
frontend tls
    bind {https} ssl crt {both}
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-Port {port}
    http-request set-header X-Real-IP %[src]
    http-response set-header Strict-Transport-Security max-age=63072000
    default_backend app
frontend plain
    bind {http}
    http-request redirect scheme https code 301
backend app
    server app {upstream} pool-max-conn 1024
"
    )
}

fn caddy(words: &Words<'_>) -> String {
    let Words { dir, cert, key, .. } = words;
    let (https, http) = (words.https.port(), words.http.port());
    let upstream = words.upstream.spelled("unix/");
    format!(
        r"{{
	admin unix/{dir}/admin.sock
	auto_https off
	default_bind 127.0.0.1
	log {{
		level ERROR
	}}
	servers {{
		protocols h1
	}}
}}
https://{NAME}:{https} {{
	tls {cert} {key} {{
		protocols tls1.2 tls1.3
	}}
	header Strict-Transport-Security max-age=63072000
	reverse_proxy {upstream} {{
		header_up X-Forwarded-Port {https}
		header_up X-Real-IP {{remote_host}}
		transport http {{
			keepalive_idle_conns_per_host 1024
			compression off
		}}
	}}
}}
http://:{http} {{
	redir https://{{host}}{{uri}} 301
}}
"
    )
}

fn h2o(words: &Words<'_>) -> String {
    let Words { dir, cert, key, workers, connections, .. } = words;
    let (https, http) = (words.https.port(), words.http.port());
    let upstream = match words.upstream {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("[unix:{}]", path.display()),
    };
    let user = if machine::is_root() { "user: root\n" } else { "" };
    format!(
        r#"{user}pid-file: {dir}/pid
num-threads: {workers}
max-connections: {connections}
limit-request-body: 1073741824
http1-upgrade-to-http2: OFF
hosts:
  "{NAME}:{https}":
    listen:
      host: 127.0.0.1
      port: {https}
      ssl:
        certificate-file: {cert}
        key-file: {key}
        minimum-version: TLSv1.2
    header.set: "Strict-Transport-Security: max-age=63072000"
    proxy.preserve-host: ON
    proxy.timeout.io: 3600000
    proxy.timeout.keepalive: 60000
    proxy.websocket: ON
    proxy.websocket.timeout: 86400000
    paths:
      "/":
        proxy.reverse.url: "http://{upstream}/"
  "{NAME}:{http}":
    listen:
      host: 127.0.0.1
      port: {http}
    paths:
      "/":
        redirect:
          status: 301
          url: "https://{NAME}/"
"#
    )
}

fn hitch(words: &Words<'_>) -> String {
    let Words { both, https, workers, .. } = words;
    let (ip, port) = (https.ip(), https.port());
    let upstream = match words.upstream {
        Address::Tcp(address) => format!("[{}]:{}", address.ip(), address.port()),
        Address::Unix(path) => path.display().to_string(),
    };
    let user = if machine::is_root() { "user = \"root\"\n" } else { "" };
    format!(
        r#"{user}frontend = "[{ip}]:{port}"
backend = "{upstream}"
pem-file = "{both}"
workers = {workers}
backlog = 4096
tls-protos = TLSv1.2 TLSv1.3
ocsp-dir = ""
log-level = 0
daemon = off
"#
    )
}
