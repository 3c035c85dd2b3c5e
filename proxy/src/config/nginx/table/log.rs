//! ngx_http_log_module and ngx_http_headers_module: what is written, and what answers carry.

use super::Takes::{Many, Once, Word};
use super::Treatment::{Does, NoEffect};
use super::{
    AT_LEAST_ONE, AT_LEAST_TWO, Family, HTTP, LEVELS, LEVELS_IF, LIMIT_EXCEPT, ONE_OR_TWO,
    ONE_TO_FOUR, Row, TWO_OR_THREE, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("access_log", LEVELS_IF | LIMIT_EXCEPT, Many(AT_LEAST_ONE), LOG),
    row("error_log", LEVELS, Many(AT_LEAST_ONE), LOG),
    row("log_format", HTTP, Many(AT_LEAST_TWO), LOG),
    row(
        "open_log_file_cache",
        LEVELS,
        Once(ONE_TO_FOUR),
        NoEffect("log files stay open until they are reopened"),
    ),
    row("add_header", LEVELS_IF, Many(TWO_OR_THREE), HEADERS),
    row("add_header_inherit", LEVELS, Word(&["on", "off", "merge"]), HEADERS),
    row("add_trailer", LEVELS_IF, Many(TWO_OR_THREE), HEADERS),
    row("add_trailer_inherit", LEVELS, Word(&["on", "off", "merge"]), HEADERS),
    row("expires", LEVELS_IF, Once(ONE_OR_TWO), HEADERS),
];

const LOG: Treatment = Does(Family::Log);
const HEADERS: Treatment = Does(Family::Headers);
