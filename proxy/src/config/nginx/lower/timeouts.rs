//! Limits and deadlines: those of a server, of a location, and what the process needs of all of them.

use std::sync::Arc;
use std::time::Duration;

use super::super::tree::{Directive, Tree, find};
use super::super::values;
use super::scope::Scope;
use super::{Lower, text};
use crate::limits::{FIELDS_MAX, HEAD_BYTES_MAX, HEAD_BYTES_MIN, Limits, WORKERS_MAX};
use crate::route::http::Keeping;

impl<'t> Lower<'t> {
    /// Those of the process. No connection goes by its timeouts, but the clock ticks by the
    /// shortest of them.
    pub(super) fn process_limits(
        &mut self,
        http: &'t [Directive],
        tree: &'t Tree,
        listeners: usize,
    ) -> Limits {
        let mut limits = Limits::default();
        let timeouts = &mut limits.timeouts;
        let own = |names: &[&str], default: Duration| {
            let given = names.iter().flat_map(|name| everywhere(http, name));
            // An end at once needs no clock.
            let times = given.filter_map(|line| values::milliseconds(line.arg(0)));
            times.filter(|time| !time.is_zero()).fold(default, Duration::min)
        };
        timeouts.request_head = own(&["client_header_timeout"], timeouts.request_head);
        timeouts.request_body = own(&["client_body_timeout"], timeouts.request_body);
        timeouts.keep_alive = own(&["keepalive_timeout"], timeouts.keep_alive);
        timeouts.send = own(&["send_timeout", "proxy_send_timeout"], timeouts.send);
        timeouts.upstream_connect = own(&["proxy_connect_timeout"], timeouts.upstream_connect);
        timeouts.upstream_answer = own(&["proxy_read_timeout"], timeouts.upstream_answer);
        if let Some(drain) = text(&tree.main, "worker_shutdown_timeout")
            && let Some(drain) = values::milliseconds(drain.as_bytes())
        {
            timeouts.drain = drain;
        }
        limits.request_fields_max = FIELDS_MAX;
        let events = tree.section("events");
        let connections = events.and_then(|events| find(events.block(), "worker_connections"));
        if let Some(line) = connections
            && let Some(each) = values::number(line.arg(0))
        {
            // nginx's sockets that listen take connections too, and so does its control channel.
            if each <= listeners as u64 {
                let what = "worker_connections are not enough for";
                self.problem(line, format!("{each} {what} {listeners} listening sockets"));
            }
            let workers = self.workers(tree).min(WORKERS_MAX) as u64;
            let all = u32::try_from(each.saturating_mul(workers)).unwrap_or(u32::MAX).max(1);
            limits.connections_max = Some(all);
            limits.connections_per_address_max = Some(all);
        }
        limits
    }

    /// Those of a server: in force until the location of a request is known.
    pub(super) fn server_limits(&mut self, scope: &Scope<'t>) -> Limits {
        let mut limits = Limits::default();
        let head = scope.time("client_header_timeout").unwrap_or(MINUTE);
        let timeouts = &mut limits.timeouts;
        timeouts.handshake = head;
        timeouts.request_head = head;
        // For the first request. After that the location of the last one says how long.
        timeouts.keep_alive = head;
        timeouts.send = scope.time("send_timeout").unwrap_or(MINUTE);
        let bytes = |number: Option<u64>, default| {
            let number = number.and_then(|number| usize::try_from(number).ok());
            number.unwrap_or(default)
        };
        let line = scope.line("client_header_buffer_size");
        let first = bytes(line.and_then(|line| values::size(line.arg(0))), FIRST_BUFFER);
        let line = scope.line("large_client_header_buffers");
        let number = bytes(line.and_then(|line| values::number(line.arg(0))), LARGE_BUFFERS);
        let large = bytes(line.and_then(|line| values::size(line.arg(1))), LARGE_BUFFER);
        let all = number.saturating_mul(large).max(first);
        limits.request_head_bytes_max = all.clamp(HEAD_BYTES_MIN, HEAD_BYTES_MAX);
        limits.request_target_bytes_max = large.max(first).clamp(HEAD_BYTES_MIN, HEAD_BYTES_MAX);
        limits.request_fields_max = FIELDS_MAX;
        limits
    }

    /// Those of one location.
    pub(super) fn limits(&mut self, scope: &Scope<'t>) -> Arc<Limits> {
        let mut limits = self.server_limits(scope);
        let body = scope.line("client_max_body_size");
        let body = body.and_then(|line| values::offset(line.arg(0))).unwrap_or(1 << 20);
        limits.request_body_bytes_max = (body > 0).then_some(body);
        let timeouts = &mut limits.timeouts;
        timeouts.keep_alive = scope.time("keepalive_timeout").unwrap_or(KEEP_ALIVE);
        timeouts.upstream_connect = scope.time("proxy_connect_timeout").unwrap_or(MINUTE);
        timeouts.upstream_answer = scope.time("proxy_read_timeout").unwrap_or(MINUTE);
        // Where nothing is said, a session that is silent for a minute is not cut, as nginx would.
        if let Some(idle) = scope.time("proxy_read_timeout") {
            timeouts.tunnel_idle = idle;
        }
        timeouts.request_body = scope.time("client_body_timeout").unwrap_or(MINUTE);
        timeouts.send = scope.time("proxy_send_timeout").unwrap_or(MINUTE);
        Arc::new(limits)
    }

    /// `send_timeout` of a location.
    pub(super) fn send_timeout(&self, scope: &Scope<'t>) -> Duration {
        scope.time("send_timeout").unwrap_or(MINUTE)
    }

    /// `keepalive_requests`, `keepalive_time`, and the second word of `keepalive_timeout`.
    pub(super) fn keeping(&self, scope: &Scope<'t>) -> Keeping {
        let announced = scope.line("keepalive_timeout").filter(|line| line.args().len() > 1);
        let requests = scope.line("keepalive_requests");
        Keeping {
            requests: requests.and_then(|line| values::number(line.arg(0))).unwrap_or(1000),
            time: scope.time("keepalive_time").unwrap_or(HOUR),
            announced: announced
                .and_then(|line| values::seconds(line.arg(1)))
                .map(|time| time.as_secs())
                .filter(|seconds| *seconds > 0),
        }
    }
}

/// All directives of that name, at any depth.
pub(super) fn everywhere<'t>(block: &'t [Directive], name: &str) -> Vec<&'t Directive> {
    let mut found = Vec::new();
    for directive in block {
        if directive.is(name) && directive.row.is_some() {
            found.push(directive);
        }
        found.extend(everywhere(directive.block(), name));
    }
    found
}

/// nginx's defaults.
const MINUTE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const HOUR: Duration = Duration::from_secs(3600);
const FIRST_BUFFER: usize = 1 << 10;
const LARGE_BUFFERS: usize = 4;
const LARGE_BUFFER: usize = 8 << 10;
