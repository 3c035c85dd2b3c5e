//! The modules between an answer and its client: compression, character sets, changes of its text.

use super::Takes::{Anything, Between, Block, Buffers, Flag, Many, Once, Size, Word, Words};
use super::Treatment::{Does, NoEffect, Refused, RefusedUnless};
use super::{
    AT_LEAST_ONE, EVERYWHERE, Family, HTTP, LEVELS, LEVELS_IF, ONE, Opens, Row, TWO, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    // Compression: an answer without it is still right.
    row("brotli*", EVERYWHERE, Anything, AS_SENT),
    row(
        "gunzip",
        LEVELS,
        Flag,
        RefusedUnless("off", "answers are passed on as the app compressed them"),
    ),
    row("gunzip_buffers", LEVELS, Buffers, AS_SENT),
    row("gzip", LEVELS_IF, Flag, AS_SENT),
    row("gzip_buffers", LEVELS, Buffers, AS_SENT),
    row("gzip_comp_level", LEVELS, Between(1, 9), AS_SENT),
    row("gzip_disable", LEVELS, Many(AT_LEAST_ONE), AS_SENT),
    row("gzip_hash", LEVELS, Size, AS_SENT),
    row("gzip_http_version", LEVELS, Word(&["1.0", "1.1"]), AS_SENT),
    row("gzip_min_length", LEVELS, Size, AS_SENT),
    row("gzip_no_buffer", LEVELS, Flag, AS_SENT),
    row("gzip_proxied", LEVELS, Words(GZIP_PROXIED), AS_SENT),
    row("gzip_static", LEVELS, Word(&["off", "on", "always"]), AS_SENT),
    row("gzip_types", LEVELS, Many(AT_LEAST_ONE), AS_SENT),
    row("gzip_vary", LEVELS, Flag, AS_SENT),
    row("gzip_window", LEVELS, Size, AS_SENT),
    row("postpone_gzipping", LEVELS, Size, AS_SENT),
    row("zstd*", EVERYWHERE, Anything, AS_SENT),
    // Character sets.
    row("charset", LEVELS_IF, Once(ONE), HTTP_FILTER),
    row(
        "charset_map",
        HTTP,
        Block(TWO, Opens::LinesAlone),
        Refused("answers are never recoded: store files in UTF-8"),
    ),
    row("charset_types", LEVELS, Many(AT_LEAST_ONE), HTTP_FILTER),
    row("override_charset", LEVELS_IF, Flag, CHARSET),
    row(
        "source_charset",
        LEVELS_IF,
        Once(ONE),
        Refused("answers are never recoded: store files in UTF-8"),
    ),
    // What changes answers.
    row("add_after_body", LEVELS, Once(ONE), Refused(INCLUDES)),
    row("add_before_body", LEVELS, Once(ONE), Refused(INCLUDES)),
    row("addition_types", LEVELS, Many(AT_LEAST_ONE), INCLUDING),
    row("image_filter*", EVERYWHERE, Anything, IMAGES),
    row("mirror", LEVELS, Many(ONE), RefusedUnless("off", "requests go to one app")),
    row("mirror_request_body", LEVELS, Flag, NoEffect("it means something with mirror alone")),
    row("more_clear_*", EVERYWHERE, Anything, Refused("use proxy_hide_header")),
    row(
        "more_set_*",
        EVERYWHERE,
        Anything,
        Refused("use add_header, with always, or proxy_set_header"),
    ),
    row("pagespeed*", EVERYWHERE, Anything, IMAGES),
    row("ssi", LEVELS_IF, Flag, RefusedUnless("off", INCLUDES)),
    row("ssi_ignore_recycled_buffers", LEVELS, Flag, INCLUDING),
    row("ssi_last_modified", LEVELS, Flag, INCLUDING),
    row("ssi_min_file_chunk", LEVELS, Size, INCLUDING),
    row("ssi_silent_errors", LEVELS, Flag, INCLUDING),
    row("ssi_types", LEVELS, Many(AT_LEAST_ONE), INCLUDING),
    row("ssi_value_length", LEVELS, Size, INCLUDING),
    row("sub_filter", LEVELS, Many(TWO), Refused(REPLACE)),
    row("sub_filter_last_modified", LEVELS, Flag, REPLACING),
    row("sub_filter_once", LEVELS, Flag, REPLACING),
    row("sub_filter_types", LEVELS, Many(AT_LEAST_ONE), REPLACING),
    row("subs_filter*", EVERYWHERE, Anything, Refused(REPLACE)),
    row("xml_entities", LEVELS, Anything, IMAGES),
    row("xslt_*", EVERYWHERE, Anything, IMAGES),
];

const AS_SENT: Treatment =
    NoEffect("answers are passed on uncompressed, or as the app compressed them");
const REPLACE: &str = "answers are passed on as the app sends them: let the app say what is meant";
const REPLACING: Treatment = NoEffect("it means something with sub_filter alone");
const INCLUDES: &str = "answers are passed on as the app sends them: let the app put them together";
const INCLUDING: Treatment = NoEffect("it means something with ssi alone");
/// What the charset filter does.
const HTTP_FILTER: Treatment = Does(Family::Http);
const CHARSET: Treatment = NoEffect("a charset that an app names is left as it is");
const IMAGES: Treatment = Refused("sheen changes no images and no documents: let an app do it");
const GZIP_PROXIED: &[&str] = &[
    "off",
    "expired",
    "no-cache",
    "no-store",
    "private",
    "no_last_modified",
    "no_etag",
    "auth",
    "any",
];
