//! Each peer's configuration: the same work for all, and nothing that holds one back.
//!
//! One worker, TLS 1.2 and 1.3, session tickets, HSTS on answers, the forwarding fields that apps need, kept
//! connections to the upstream, WebSockets, no access log, nothing written to disk.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::machine;
use crate::peers::{Kind, Setting};
use crate::pki::Files;

#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) files: &'a Files,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) setting: &'a Setting<'a>,
}

#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) text: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// Writes the configuration into the peer's folder.
pub(crate) fn write(kind: Kind, place: &Place<'_>) -> Result<Configured, String> {
    let file = place.dir.join("peer.conf");
    let path = file.display().to_string();
    let own = |arguments: &[&str]| arguments.iter().map(|word| (*word).to_owned()).collect();
    let dir = place.dir.display().to_string();
    let (text, arguments, environment): (String, Vec<String>, _) = match kind {
        Kind::Sheen => (sheen(place), own(&["-c", &path]), Vec::new()),
        Kind::Nginx => (nginx(place), own(&["-p", &dir, "-c", &path]), Vec::new()),
        Kind::Haproxy => (haproxy(place), own(&["-db", "-f", &path]), Vec::new()),
        Kind::Caddy => {
            let home = vec![
                ("HOME", dir.clone()),
                ("XDG_DATA_HOME", dir.clone()),
                ("XDG_CONFIG_HOME", dir),
                ("GOMAXPROCS", "1".to_owned()),
            ];
            let arguments = own(&["run", "--adapter", "caddyfile", "--config", &path]);
            (caddy(place), arguments, home)
        }
        Kind::H2o => (h2o(place), own(&["-m", "worker", "-c", &path]), Vec::new()),
        Kind::Hitch => (hitch(place), own(&[&format!("--config={path}")]), Vec::new()),
        Kind::Floor => {
            let (listen, to) = (place.https.to_string(), place.setting.upstream.to_string());
            let arguments = own(&["--listen", &listen, "--to", &to]);
            ("(no configuration)\n".to_owned(), arguments, Vec::new())
        }
    };
    fs::write(&file, &text).map_err(|error| format!("{path}: {error}"))?;
    Ok(Configured { text, arguments, environment })
}

fn sheen(place: &Place<'_>) -> String {
    format!(
        r#"workers = 1
listen_https = ["{https}"]
listen_http = ["{http}"]

[log]
access = "off"
level = "error"

[limits]
connections_per_address = "off"

[[site]]
names = ["{name}"]
certificates = [{{ cert = "{cert}", key = "{key}" }}]
hsts = "max-age=63072000"
to = "{upstream}"
"#,
        https = place.https,
        http = place.http,
        name = crate::pki::NAME,
        cert = place.files.cert.display(),
        key = place.files.key.display(),
        upstream = place.setting.upstream,
    )
}

fn nginx(place: &Place<'_>) -> String {
    let user = if machine::is_root() { "user root;\n" } else { "" };
    format!(
        r#"{user}worker_processes 1;
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
    upstream app {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {https} ssl backlog=4096;
        server_name {name};
        ssl_certificate {cert};
        ssl_certificate_key {key};
        add_header Strict-Transport-Security "max-age=63072000" always;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
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
        listen {http} backlog=4096;
        server_name {name};
        return 301 https://$host$request_uri;
    }}
}}
"#,
        files = place.setting.open_files,
        upstream = place.setting.upstream,
        https = place.https,
        http = place.http,
        name = crate::pki::NAME,
        cert = place.files.cert.display(),
        key = place.files.key.display(),
    )
}

fn haproxy(place: &Place<'_>) -> String {
    format!(
        r"global
    nbthread 1
    maxconn {connections}
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
",
        connections = place.setting.open_files / 2 - 100,
        https = place.https,
        port = place.https.port(),
        both = place.files.both.display(),
        http = place.http,
        upstream = place.setting.upstream,
    )
}

fn caddy(place: &Place<'_>) -> String {
    format!(
        r"{{
	admin off
	auto_https off
	default_bind 127.0.0.1
	log {{
		level ERROR
	}}
	servers {{
		protocols h1
	}}
}}
https://{name}:{https} {{
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
",
        name = crate::pki::NAME,
        https = place.https.port(),
        cert = place.files.cert.display(),
        key = place.files.key.display(),
        upstream = place.setting.upstream,
        http = place.http.port(),
    )
}

fn h2o(place: &Place<'_>) -> String {
    let user = if machine::is_root() { "user: root\n" } else { "" };
    let name = crate::pki::NAME;
    format!(
        r#"{user}num-threads: 1
max-connections: {connections}
limit-request-body: 1073741824
http1-upgrade-to-http2: OFF
hosts:
  "{name}:{https}":
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
  "{name}:{http}":
    listen:
      host: 127.0.0.1
      port: {http}
    paths:
      "/":
        redirect:
          status: 301
          url: "https://{name}/"
"#,
        connections = place.setting.open_files / 2 - 100,
        https = place.https.port(),
        cert = place.files.cert.display(),
        key = place.files.key.display(),
        upstream = place.setting.upstream,
        http = place.http.port(),
    )
}

fn hitch(place: &Place<'_>) -> String {
    let user = if machine::is_root() { "user = \"root\"\n" } else { "" };
    format!(
        r#"{user}frontend = "[{ip}]:{port}"
backend = "[{upstream_ip}]:{upstream_port}"
pem-file = "{both}"
workers = 1
backlog = 4096
tls-protos = TLSv1.2 TLSv1.3
ocsp-dir = ""
log-level = 0
daemon = off
"#,
        ip = place.https.ip(),
        port = place.https.port(),
        upstream_ip = place.setting.upstream.ip(),
        upstream_port = place.setting.upstream.port(),
        both = place.files.both.display(),
    )
}
