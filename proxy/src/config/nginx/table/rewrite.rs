//! ngx_http_rewrite_module, ngx_http_map_module and their kin: deciding by variables.

use super::Takes::{Block, Flag, Many, Number};
use super::Treatment::{Does, NoEffect, Refused};
use super::{
    AT_LEAST_ONE, Family, HTTP, IF_LOCATION, IF_SERVER, LEVELS_IF, LOCATION, NONE, ONE_OR_TWO,
    Opens, Row, SERVER, TWO, TWO_OR_THREE, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("break", SERVER | LOCATION | IF_SERVER | IF_LOCATION, Many(NONE), REWRITE),
    row("if", SERVER | LOCATION, Block(AT_LEAST_ONE, Opens::If), REWRITE),
    row("return", SERVER | LOCATION | IF_SERVER | IF_LOCATION, Many(ONE_OR_TWO), REWRITE),
    row("rewrite", SERVER | LOCATION | IF_SERVER | IF_LOCATION, Many(TWO_OR_THREE), REWRITE),
    row("set", SERVER | LOCATION | IF_SERVER | IF_LOCATION, Many(TWO), REWRITE),
    row("rewrite_log", LEVELS_IF | IF_SERVER, Flag, NoEffect("rewrites are not logged")),
    row(
        "uninitialized_variable_warn",
        LEVELS_IF | IF_SERVER,
        Flag,
        NoEffect("unset variables are empty, without a warning"),
    ),
    row("map", HTTP, Block(TWO, Opens::Lines), Does(Family::Map)),
    row("map_hash_bucket_size", HTTP, Number, HASHES),
    row("map_hash_max_size", HTTP, Number, HASHES),
    row(
        "geo",
        HTTP,
        Block(ONE_OR_TWO, Opens::Lines),
        Refused("deciding by address is not supported yet: use the address in a firewall"),
    ),
    row(
        "split_clients",
        HTTP,
        Block(TWO, Opens::LinesAlone),
        Refused("splitting clients is not supported yet"),
    ),
    row("referer_hash_bucket_size", SERVER | LOCATION, Number, HASHES),
    row("referer_hash_max_size", SERVER | LOCATION, Number, HASHES),
    row("valid_referers", SERVER | LOCATION, Many(AT_LEAST_ONE), Refused(REFERER)),
];

const REWRITE: Treatment = Does(Family::Rewrite);
const HASHES: Treatment = NoEffect("tables grow as they need");
const REFERER: &str = "deciding by Referer is not supported yet: this would have kept others out";
