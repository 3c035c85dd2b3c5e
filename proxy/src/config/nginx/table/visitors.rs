//! The modules that tell browsers, places and visitors apart.

use super::Takes::{Anything, Many, Number, Once, Word};
use super::Treatment::{NoEffect, Refused, RefusedUnless};
use super::{AT_LEAST_ONE, EVERYWHERE, LEVELS, ONE, ONE_OR_TWO, ONE_TO_THREE, Row, Treatment, row};

pub(super) const ROWS: &[Row] = &[
    row("ancient_browser", LEVELS, Many(AT_LEAST_ONE), BROWSER),
    row("ancient_browser_value", LEVELS, Many(ONE), BROWSER),
    row("modern_browser", LEVELS, Many(ONE_OR_TWO), BROWSER),
    row("modern_browser_value", LEVELS, Many(ONE), BROWSER),
    row("geoip*", EVERYWHERE, Anything, GEO),
    row(
        "userid",
        LEVELS,
        Word(&["off", "log", "v1", "on"]),
        RefusedUnless("off", "no cookies are made here: let the app do it"),
    ),
    row("userid_domain", LEVELS, Once(ONE), COOKIES),
    row("userid_expires", LEVELS, Once(ONE), COOKIES),
    row("userid_flags", LEVELS, Many(ONE_TO_THREE), COOKIES),
    row("userid_mark", LEVELS, Once(ONE), COOKIES),
    row("userid_name", LEVELS, Once(ONE), COOKIES),
    row("userid_p3p", LEVELS, Once(ONE), COOKIES),
    row("userid_path", LEVELS, Once(ONE), COOKIES),
    row("userid_service", LEVELS, Number, COOKIES),
];

const COOKIES: Treatment = NoEffect("it means something with userid alone");
const GEO: Treatment = Refused("sheen does not look up where addresses are: let the app do it");
const BROWSER: Treatment =
    Refused("deciding by browser is not supported: use map $http_user_agent");
