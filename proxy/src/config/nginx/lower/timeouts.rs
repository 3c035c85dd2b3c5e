//! Limits and deadlines: those of the whole process, and those of a location.

use std::sync::Arc;
use std::time::Duration;

use super::super::tree::{Directive, Tree};
use super::super::values;
use super::scope::Scope;
use super::{Lower, text};
use crate::limits::{FIELDS_MAX, HEAD_BYTES_MAX, HEAD_BYTES_MIN, Limits};

impl<'t> Lower<'t> {
    /// What is in force before a location is known. Where servers differ, the longest and the
    /// largest.
    pub(super) fn global_limits(&mut self, http: &'t [Directive], tree: &'t Tree) -> Limits {
        let mut limits = Limits::default();
        let timeouts = &mut limits.timeouts;
        timeouts.request_head = longest(http, "client_header_timeout").unwrap_or(MINUTE);
        timeouts.request_body = longest(http, "client_body_timeout").unwrap_or(MINUTE);
        timeouts.keep_alive = longest(http, "keepalive_timeout").unwrap_or(KEEP_ALIVE);
        timeouts.send = longest(http, "send_timeout").unwrap_or(MINUTE);
        if let Some(idle) = longest(http, "proxy_read_timeout") {
            timeouts.tunnel_idle = idle;
        }
        if let Some(drain) = text(&tree.main, "worker_shutdown_timeout")
            && let Some(drain) = values::milliseconds(drain.as_bytes())
        {
            timeouts.drain = drain;
        }
        let heads =
            everywhere(http, "large_client_header_buffers").into_iter().filter_map(|line| {
                let size = values::size(line.arg(1))?;
                Some((values::number(line.arg(0))?.checked_mul(size)?, size))
            });
        if let Some((all, one)) = heads.max() {
            let bounded = |bytes: u64| {
                usize::try_from(bytes)
                    .unwrap_or(HEAD_BYTES_MAX)
                    .clamp(HEAD_BYTES_MIN, HEAD_BYTES_MAX)
            };
            limits.request_head_bytes_max = bounded(all);
            limits.request_target_bytes_max = bounded(one);
        }
        limits.request_fields_max = FIELDS_MAX;
        limits
    }

    /// Those of one location.
    pub(super) fn limits(&mut self, scope: &Scope<'t>, global: &Limits) -> Arc<Limits> {
        let mut limits = global.clone();
        let body = scope.line("client_max_body_size");
        let body = body.and_then(|line| values::offset(line.arg(0))).unwrap_or(1 << 20);
        limits.request_body_bytes_max = (body > 0).then_some(body);
        let timeouts = &mut limits.timeouts;
        timeouts.upstream_connect = scope.time("proxy_connect_timeout").unwrap_or(MINUTE);
        timeouts.upstream_answer = scope.time("proxy_read_timeout").unwrap_or(MINUTE);
        timeouts.request_body = scope.time("client_body_timeout").unwrap_or(MINUTE);
        timeouts.send = scope.time("proxy_send_timeout").unwrap_or(MINUTE);
        Arc::new(limits)
    }
}

/// The longest time that a directive of that name gives, at any depth.
fn longest(block: &[Directive], name: &str) -> Option<Duration> {
    let lines = everywhere(block, name).into_iter();
    lines.filter_map(|line| values::milliseconds(line.arg(0))).max()
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

const MINUTE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
