//! The modules that tell how the server fares, and those of the commercial nginx.

use super::Takes::{Anything, Block, Many};
use super::Treatment::Refused;
use super::{
    EVERYWHERE, HTTP, LEVELS, LOCATION, MAIN, NONE, ONE, Opens, Row, SERVER, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("stub_status", SERVER | LOCATION, Many(NONE | ONE), STATUS),
    row("check*", EVERYWHERE, Anything, STATUS),
    row("opentracing*", EVERYWHERE, Anything, Refused("spans are not sent: use the logs")),
    row("otel_*", EVERYWHERE, Anything, Refused("spans are not sent: use the logs")),
    row("req_status*", EVERYWHERE, Anything, STATUS),
    row("vhost_traffic_status*", EVERYWHERE, Anything, STATUS),
    row("api", LEVELS, Anything, COMMERCIAL),
    row("internal_redirect", LEVELS, Anything, COMMERCIAL),
    row("keyval*", HTTP, Anything, COMMERCIAL),
    row("mgmt", MAIN, Block(NONE, Opens::Foreign), COMMERCIAL),
    row("session_log*", EVERYWHERE, Anything, COMMERCIAL),
    row("status", EVERYWHERE, Anything, COMMERCIAL),
    row("status_zone", EVERYWHERE, Anything, COMMERCIAL),
    row("upstream_conf", LOCATION, Anything, COMMERCIAL),
    row("zone_sync*", EVERYWHERE, Anything, COMMERCIAL),
];

const STATUS: Treatment = Refused("a status page is not supported yet: take it out");
const COMMERCIAL: Treatment = Refused("it belongs to the commercial nginx; sheen does not have it");
