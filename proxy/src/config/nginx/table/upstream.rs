//! ngx_http_upstream_module: groups of servers.

use super::Takes::{Anything, Block, Many, Milliseconds, Number, Once};
use super::Treatment::{Does, NoEffect, Refused};
use super::{
    AT_LEAST_ONE, Family, HTTP, LOCATION, NONE, ONE, ONE_OR_TWO, Opens, Row, TWO, Treatment,
    UPSTREAM, row,
};

pub(super) const ROWS: &[Row] = &[
    row("upstream", HTTP, Block(ONE, Opens::Context(UPSTREAM)), UPSTREAM_GROUP),
    row("server", UPSTREAM, Many(AT_LEAST_ONE), UPSTREAM_GROUP),
    row("keepalive", UPSTREAM, Once(ONE), UPSTREAM_GROUP),
    row("keepalive_requests", UPSTREAM, Number, UPSTREAM_GROUP),
    row("keepalive_time", UPSTREAM, Milliseconds, UPSTREAM_GROUP),
    row("keepalive_timeout", UPSTREAM, Milliseconds, UPSTREAM_GROUP),
    row("zone", UPSTREAM, Many(ONE_OR_TWO), NoEffect("all threads share one memory")),
    row("resolver", UPSTREAM, Once(AT_LEAST_ONE), RESOLVER),
    row("resolver_timeout", UPSTREAM, Milliseconds, RESOLVER),
    row("hash", UPSTREAM, Many(ONE_OR_TWO), BALANCE),
    row("ip_hash", UPSTREAM, Many(NONE), BALANCE),
    row("least_conn", UPSTREAM, Many(NONE), BALANCE),
    row("least_time", UPSTREAM, Many(ONE_OR_TWO), BALANCE),
    row("random", UPSTREAM, Many(NONE | ONE | TWO), BALANCE),
    row("sticky", UPSTREAM, Many(AT_LEAST_ONE), BALANCE),
    row("sticky_cookie_insert", UPSTREAM, Many(AT_LEAST_ONE), BALANCE),
    row("ntlm", UPSTREAM, Many(NONE), COMMERCIAL),
    row("queue", UPSTREAM, Many(ONE_OR_TWO), COMMERCIAL),
    row("state", UPSTREAM, Many(ONE), COMMERCIAL),
    row("health_check", LOCATION, Anything, COMMERCIAL),
    row("match", HTTP, Block(ONE, Opens::Foreign), COMMERCIAL),
];

const UPSTREAM_GROUP: Treatment = Does(Family::Upstream);
const BALANCE: Treatment = Refused(
    "choosing between several servers is not supported yet: sessions would not stay on theirs",
);
const RESOLVER: Treatment = NoEffect("names are resolved by this machine's resolver");
const COMMERCIAL: Treatment = Refused("it belongs to the commercial nginx; sheen does not have it");
