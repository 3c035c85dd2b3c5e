//! The filters and the smaller modules.

use super::Takes::{
    Anything, Between, Block, Buffers, Flag, Many, Number, Once, Size, Word, Words,
};
use super::Treatment::{Does, NoEffect, Refused, RefusedUnless};
use super::{
    AT_LEAST_ONE, EVERYWHERE, Family, HTTP, LEVELS, LEVELS_IF, LOCATION, MAIN, NONE, ONE,
    ONE_OR_TWO, ONE_TO_THREE, Opens, Row, SERVER, TWO, Treatment, row,
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
    // Listings and files.
    row("autoindex", LEVELS, Flag, RefusedUnless("off", "listing folders is not supported yet")),
    row("autoindex_exact_size", LEVELS, Flag, LISTING),
    row("autoindex_format", LEVELS, Word(&["html", "json", "jsonp", "xml"]), LISTING),
    row("autoindex_localtime", LEVELS, Flag, LISTING),
    row("create_full_put_path", LEVELS, Flag, UPLOADING),
    row("dav_access", LEVELS, Once(ONE_TO_THREE), UPLOADING),
    row("dav_ext*", EVERYWHERE, Anything, Refused(UPLOADS)),
    row("dav_methods", LEVELS, Words(DAV), RefusedUnless("off", UPLOADS)),
    row("empty_gif", LOCATION, Many(NONE), Refused("serve a file instead")),
    row("flv", LOCATION, Many(NONE), MEDIA),
    row("f4f*", EVERYWHERE, Anything, MEDIA),
    row("hls*", EVERYWHERE, Anything, MEDIA),
    row("min_delete_depth", LEVELS, Number, UPLOADING),
    row("mp4", LOCATION, Many(NONE), MEDIA),
    row("mp4_*", EVERYWHERE, Anything, MEDIA),
    row("random_index", LOCATION, Flag, Refused("use index")),
    row("slice", LEVELS, Size, RefusedUnless("0", "nothing is cached, so nothing is sliced")),
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
    // Who comes.
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
    // Status and the commercial modules.
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

const AS_SENT: Treatment =
    NoEffect("answers are passed on uncompressed, or as the app compressed them");
const REPLACE: &str = "answers are passed on as the app sends them: let the app say what is meant";
const REPLACING: Treatment = NoEffect("it means something with sub_filter alone");
const INCLUDES: &str = "answers are passed on as the app sends them: let the app put them together";
const INCLUDING: Treatment = NoEffect("it means something with ssi alone");
/// What the charset filter does.
const HTTP_FILTER: Treatment = Does(Family::Http);
const CHARSET: Treatment = NoEffect("a charset that an app names is left as it is");
const UPLOADS: &str = "files are served, never taken: let an app take them";
const UPLOADING: Treatment = NoEffect("it means something with dav_methods alone");
const LISTING: Treatment = NoEffect("it means something with autoindex alone");
const COOKIES: Treatment = NoEffect("it means something with userid alone");
const MEDIA: Treatment = Refused("media files are served whole or by range: take it out");
const IMAGES: Treatment = Refused("sheen changes no images and no documents: let an app do it");
const GEO: Treatment = Refused("sheen does not look up where addresses are: let the app do it");
const BROWSER: Treatment =
    Refused("deciding by browser is not supported: use map $http_user_agent");
const STATUS: Treatment = Refused("a status page is not supported yet: take it out");
const COMMERCIAL: Treatment = Refused("it belongs to the commercial nginx; sheen does not have it");
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
const DAV: &[&str] = &["off", "put", "delete", "mkcol", "copy", "move"];
