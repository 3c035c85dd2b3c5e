//! Servers as nginx.conf has them, compiled: by address and name, with what each of their locations
//! has in force.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cookies::Cookies;
use super::fields::Fields;
use super::log_format::LogFormat;
use super::names::Names;
use super::phases;
use super::proxy_pass::ProxyPass;
use super::real_ip::RealIp;
use super::template::Template;
use super::upstream_fields::Redirects;
use super::variable::Variables;
use crate::config::{ErrorLog, Upstream};
use crate::files;
use crate::limits::Limits;

/// Everything between the braces of `http`.
#[derive(Debug)]
pub struct Http {
    pub variables: Variables,
    /// The servers of each address, by the address as it is written.
    pub names: HashMap<SocketAddr, Names>,
    pub hosts: Box<[Host]>,
    /// `$hostname`.
    pub hostname: Box<[u8]>,
    /// What `proxy_pass` with variables may come to: the groups by their names.
    pub upstreams: HashMap<Box<[u8]>, Arc<Upstream>>,
}

/// One `server`.
#[derive(Debug)]
pub struct Host {
    /// Its first name.
    pub name: Box<[u8]>,
    pub merge_slashes: bool,
    pub underscores_in_headers: bool,
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
    /// What goes for files, in error pages and beside the app.
    pub files: files::Content,
    pub limits: Arc<Limits>,
    /// `add_header`.
    pub added: Fields,
    pub redirects: OwnRedirects,
    pub logs: Box<[AccessLog]>,
    /// How much of a request's body `$request_body` has: `client_body_buffer_size`, bounded.
    pub body_kept_bytes: usize,
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
    /// `proxy_set_header`.
    pub fields: Fields,
    pub method: Option<Template>,
    pub passes_request_fields: bool,
    /// Lower case.
    pub hidden: Box<[Box<[u8]>]>,
    pub redirects: Redirects,
    pub cookies: Cookies,
    /// `proxy_intercept_errors`.
    pub intercepts: bool,
    /// X-Accel-Redirect is among those of `proxy_ignore_headers`.
    pub ignores_redirect: bool,
}

/// How redirects of our own are written.
#[derive(Debug, Clone, Copy)]
pub struct OwnRedirects {
    pub absolute: bool,
    pub with_port: bool,
    pub with_server_name: bool,
}

impl Proxy {
    /// True when a field of the upstream's answer stays there.
    pub fn hides(&self, name: &[u8]) -> bool {
        self.hidden.iter().any(|hidden| name.eq_ignore_ascii_case(hidden))
    }
}
