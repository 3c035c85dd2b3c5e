//! The modules that keep people out or slow them down: never dropped in silence.

use super::Takes::{Anything, Between, Flag, Many, Once, Word};
use super::Treatment::{Does, NoEffect, Refused, RefusedUnless};
use super::{
    EVERYWHERE, Family, HTTP, LEVELS, LIMIT_EXCEPT, LOCATION, ONE, ONE_TO_THREE, Row, SERVER,
    THREE, TWO, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("allow", HTTP | SERVER | LOCATION | LIMIT_EXCEPT, Many(ONE), Does(Family::Access)),
    row("deny", HTTP | SERVER | LOCATION | LIMIT_EXCEPT, Many(ONE), Does(Family::Access)),
    row(
        "auth_basic",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        Once(ONE),
        RefusedUnless("off", PASSWORDS),
    ),
    row(
        "auth_basic_user_file",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        Once(ONE),
        NoEffect("it means something with auth_basic alone"),
    ),
    row("auth_jwt*", EVERYWHERE, Anything, Refused(PASSWORDS)),
    row("auth_oidc*", EVERYWHERE, Anything, Refused(PASSWORDS)),
    row("oidc_provider", HTTP, Anything, Refused(PASSWORDS)),
    row("auth_require", LEVELS, Anything, Refused(PASSWORDS)),
    row("auth_request", LEVELS, Once(ONE), RefusedUnless("off", ASK)),
    row(
        "auth_request_set",
        LEVELS,
        Many(TWO),
        NoEffect("it means something with auth_request alone"),
    ),
    row("limit_conn", LEVELS, Many(TWO), Refused(RATE)),
    row("limit_conn_dry_run", LEVELS, Flag, ZONE),
    row("limit_conn_log_level", LEVELS, Word(&["info", "notice", "warn", "error"]), ZONE),
    row("limit_conn_status", LEVELS, Between(400, 599), ZONE),
    row("limit_conn_zone", HTTP, Many(TWO), ZONE),
    row("limit_req", LEVELS, Many(ONE_TO_THREE), Refused(RATE)),
    row("limit_req_dry_run", LEVELS, Flag, ZONE),
    row("limit_req_log_level", LEVELS, Word(&["info", "notice", "warn", "error"]), ZONE),
    row("limit_req_status", LEVELS, Between(400, 599), ZONE),
    row("limit_req_zone", HTTP, Many(THREE), ZONE),
    row("limit_zone", HTTP, Anything, Refused(RATE)),
    row("real_ip_header", LEVELS, Once(ONE), REAL_IP),
    row("real_ip_recursive", LEVELS, Flag, REAL_IP),
    row("set_real_ip_from", LEVELS, Many(ONE), REAL_IP),
    row("secure_link", LEVELS, Once(ONE), Refused(LINKS)),
    row("secure_link_md5", LEVELS, Once(ONE), Refused(LINKS)),
    row("secure_link_secret", LEVELS, Once(ONE), Refused(LINKS)),
    row("modsecurity*", EVERYWHERE, Anything, Refused(FIREWALL)),
    row("app_protect*", EVERYWHERE, Anything, Refused(FIREWALL)),
    row("naxsi*", EVERYWHERE, Anything, Refused(FIREWALL)),
];

const PASSWORDS: &str =
    "asking for passwords is not supported yet: this would have kept others out";
const ASK: &str = "asking another server is not supported yet: this would have kept others out";
const RATE: &str = "limiting requests is not supported yet: this would have slowed attackers down";
const LINKS: &str = "checking links is not supported: this would have kept others out";
const FIREWALL: &str = "sheen has no such filter: this would have kept attacks out";
const REAL_IP: Treatment = Does(Family::RealIp);
const ZONE: Treatment = NoEffect("it means something with limit_req and limit_conn alone");
