//! Servers as nginx.conf has them, compiled: by address and name, with what each of their locations
//! has in force.

use std::sync::Arc;
use std::time::Duration;

use super::added::Added;
use super::cookies::Cookies;
use super::fields::Fields;
use super::log_format::LogFormat;
use super::names::Names;
use super::phases;
use super::proxy_pass::ProxyPass;
use super::real_ip::RealIp;
use super::state::State;
use super::template::Template;
use super::upstream_fields::Redirects;
use super::variable::Variables;
use crate::config::{ErrorLog, ListenAddress, LogTargets, Offer, Resolving, Upstream};
use crate::files;
use crate::h1::kept::Field;
use crate::h1::name::NameList;
use crate::limits::Limits;
use crate::lookup::Lookup;

/// Everything between the braces of `http`.
#[derive(Debug)]
pub struct Http {
    pub variables: Variables,
    /// The servers of each address, by the address as it is written.
    pub names: Lookup<ListenAddress, Names>,
    pub hosts: Box<[Host]>,
    /// `$hostname`.
    pub hostname: Box<[u8]>,
    /// What TLS clients are offered, at each address that speaks TLS.
    pub offers: Box<[(ListenAddress, Offer)]>,
    /// What `proxy_pass` with variables may come to: the groups by their names.
    pub upstreams: Lookup<Box<[u8]>, Arc<Upstream>>,
    /// What the numbers of logs mean.
    pub logs: LogTargets,
}

/// One `server`.
#[derive(Debug)]
pub struct Host {
    /// Its first name.
    pub name: Box<[u8]>,
    pub merge_slashes: bool,
    pub secure: Secure,
    pub request_fields: RequestFields,
    /// In force before a request's location is known.
    pub limits: Arc<Limits>,
    pub real_ip: Option<RealIp>,
    /// `None`: that of the process.
    pub error_logs: Option<Box<[ErrorLog]>>,
    pub server: phases::Server,
    /// One for each of the settings of `server`.
    pub locations: Box<[Location]>,
}

/// What a location has in force besides what the phases know.
#[derive(Debug)]
pub struct Location {
    pub content: Content,
    /// Its own, if it has one.
    pub real_ip: Option<RealIp>,
    /// What goes for files, in error pages and beside the app.
    pub files: files::Content,
    pub limits: Arc<Limits>,
    pub keeping: Keeping,
    /// `send_timeout`: towards the client.
    pub send_timeout: Duration,
    /// `reset_timedout_connection`.
    pub resets: bool,
    /// What the Server field of our own says: `server_tokens`.
    pub server: &'static str,
    /// `add_header`, `add_trailer`, `expires`.
    pub added: Added,
    pub redirects: OwnRedirects,
    pub logs: Box<[AccessLog]>,
    /// How much of a request's body `$request_body` has: `client_body_buffer_size`, bounded.
    pub body_kept_bytes: usize,
}

/// What handshakes for a server get.
#[derive(Debug, Clone, Default)]
pub struct Secure {
    /// Its certificates, as [`crate::config::certificate_group`] calls them; empty: those of the
    /// default server.
    pub group: String,
    /// `ssl_reject_handshake`.
    pub rejects: bool,
}

/// Which fields of requests count, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct RequestFields {
    /// `underscores_in_headers`.
    pub underscores: bool,
    /// Names of other characters than letters, digits and `-` are left out:
    /// `ignore_invalid_headers`.
    pub ignores_invalid: bool,
    /// `max_headers`.
    pub max: usize,
}

/// How long a client's connection goes on after a request here: `keepalive_*`.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// Requests of one connection.
    pub requests: u64,
    /// From its first byte on.
    pub time: Duration,
    /// Seconds, in a Keep-Alive field.
    pub announced: Option<u64>,
}

/// One `access_log`.
#[derive(Debug)]
pub struct AccessLog {
    /// The number of its file.
    pub file: usize,
    pub format: LogFormat,
    /// `if=`.
    pub condition: Option<Template>,
}

/// Where a location's content comes from.
#[derive(Debug, Clone)]
pub enum Content {
    Files,
    Proxy(Arc<Proxy>),
}

/// `proxy_pass` and what goes with it.
#[derive(Debug)]
pub struct Proxy {
    pub pass: ProxyPass,
    /// `None` where variables name it.
    pub upstream: Option<Arc<Upstream>>,
    /// `None`: there is no resolver, and no name is looked up.
    pub resolving: Option<Resolving>,
    /// `proxy_set_header`.
    pub fields: Fields,
    pub method: Option<Template>,
    pub passes_request_fields: bool,
    /// What of the upstream's fields stays here: `proxy_hide_header`.
    pub hidden: NameList,
    pub redirects: Redirects,
    pub cookies: Cookies,
    /// `proxy_intercept_errors`.
    pub intercepts: bool,
    /// X-Accel-Redirect is among those of `proxy_ignore_headers`.
    pub ignores_redirect: bool,
    /// `proxy_pass_request_body` and `proxy_set_body`.
    pub body: RequestBody,
    /// `proxy_ignore_client_abort`: the app's answer is awaited though nobody is there to get it.
    pub ignores_abort: bool,
    /// `proxy_pass_trailers`.
    pub passes_trailers: bool,
}

/// What the app gets as the body of a request.
#[derive(Debug)]
pub enum RequestBody {
    Passed,
    /// The client's is read, and stays here.
    Dropped,
    /// This in its place.
    Set(Template),
}

/// How redirects of our own are written.
#[derive(Debug, Clone, Copy)]
pub struct OwnRedirects {
    pub absolute: bool,
    pub with_port: bool,
    pub with_server_name: bool,
}

impl Http {
    /// The servers that listen where a connection came to.
    pub fn names_at(&self, local: &ListenAddress) -> Option<&Names> {
        local.find_in(&self.names)
    }

    /// The server that answers there for a name in lower case; empty for a request without one.
    pub fn server_of(&self, local: &ListenAddress, name: &[u8], state: &mut State) -> usize {
        self.names_at(local).map_or(0, |names| names.find(name, state, &self.variables))
    }

    /// The server that answers there for names that nobody has.
    pub fn default_at(&self, local: &ListenAddress) -> usize {
        self.names_at(local).map_or(0, Names::default_server)
    }
}

impl Keeping {
    /// Appends the Keep-Alive field that `keepalive_timeout` asks for.
    pub fn announce(&self, out: &mut Vec<u8>) {
        let Some(seconds) = self.announced else { return };
        out.extend_from_slice(b"Keep-Alive: timeout=");
        out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl RequestFields {
    /// Whether a field is read at all.
    pub fn takes(&self, field: &Field<'_>) -> bool {
        !self.ignores_invalid
            || field.is_plain
            || field.name.iter().all(|byte| {
                byte.is_ascii_alphanumeric() || *byte == b'-' || (*byte == b'_' && self.underscores)
            })
    }
}
