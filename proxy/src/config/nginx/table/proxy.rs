//! ngx_http_proxy_module: the way to the app.

use super::Takes::{Buffers, Flag, Many, Milliseconds, Number, Offset, Once, Size, Word, Words};
use super::Treatment::{Does, NoEffect, Refused, RefusedUnless};
use super::{
    AT_LEAST_ONE, AT_LEAST_TWO, Family, HTTP, IF_LOCATION, LEVELS, LIMIT_EXCEPT, LOCATION, ONE,
    ONE_OR_TWO, ONE_TO_FOUR, ONE_TO_THREE, Row, TWO, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("proxy_connect_timeout", LEVELS, Milliseconds, PROXY),
    row("proxy_cookie_domain", LEVELS, Many(ONE_OR_TWO), PROXY),
    row("proxy_cookie_flags", LEVELS, Many(ONE_TO_FOUR), PROXY),
    row("proxy_cookie_path", LEVELS, Many(ONE_OR_TWO), PROXY),
    row("proxy_hide_header", LEVELS, Many(ONE), PROXY),
    row("proxy_http_version", LEVELS, Word(&["1.0", "1.1"]), PROXY),
    row("proxy_ignore_client_abort", LEVELS, Flag, PROXY),
    row("proxy_ignore_headers", LEVELS, Words(IGNORED_HEADERS), PROXY),
    row("proxy_intercept_errors", LEVELS, Flag, PROXY),
    row("proxy_method", LEVELS, Once(ONE), PROXY),
    row("proxy_pass", LOCATION | IF_LOCATION | LIMIT_EXCEPT, Once(ONE), PROXY),
    row("proxy_pass_header", LEVELS, Many(ONE), PROXY),
    row("proxy_pass_request_body", LEVELS, Flag, PROXY),
    row("proxy_pass_request_headers", LEVELS, Flag, PROXY),
    row("proxy_pass_trailers", LEVELS, Flag, PROXY),
    row("proxy_read_timeout", LEVELS, Milliseconds, PROXY),
    row("proxy_redirect", LEVELS, Many(ONE_OR_TWO), PROXY),
    row("proxy_send_timeout", LEVELS, Milliseconds, PROXY),
    row("proxy_set_body", LEVELS, Once(ONE), PROXY),
    row("proxy_set_header", LEVELS, Many(TWO), PROXY),
    // Accepted.
    row("proxy_buffer_size", LEVELS, Size, STREAMS),
    row("proxy_buffering", LEVELS, Flag, STREAMS),
    row("proxy_buffers", LEVELS, Buffers, STREAMS),
    row("proxy_busy_buffers_size", LEVELS, Size, STREAMS),
    row("proxy_headers_hash_bucket_size", LEVELS, Number, STREAMS),
    row("proxy_headers_hash_max_size", LEVELS, Number, STREAMS),
    row("proxy_max_temp_file_size", LEVELS, Size, STREAMS),
    row("proxy_request_buffering", LEVELS, Flag, STREAMS),
    row("proxy_next_upstream", LEVELS, Words(NEXT_UPSTREAM), ONE_SERVER),
    row("proxy_next_upstream_timeout", LEVELS, Milliseconds, ONE_SERVER),
    row("proxy_next_upstream_tries", LEVELS, Number, ONE_SERVER),
    row("proxy_send_lowat", LEVELS, Size, STREAMS),
    row("proxy_socket_keepalive", LEVELS, Flag, STREAMS),
    row("proxy_temp_file_write_size", LEVELS, Size, STREAMS),
    row("proxy_temp_path", LEVELS, Once(ONE_TO_FOUR), STREAMS),
    // Caching.
    row("proxy_cache", LEVELS, Once(ONE), RefusedUnless("off", CACHE)),
    row("proxy_cache_background_update", LEVELS, Flag, NOT_CACHED),
    row("proxy_cache_bypass", LEVELS, Many(AT_LEAST_ONE), NOT_CACHED),
    row("proxy_cache_convert_head", LEVELS, Flag, NOT_CACHED),
    row("proxy_cache_key", LEVELS, Once(ONE), NOT_CACHED),
    row("proxy_cache_lock", LEVELS, Flag, NOT_CACHED),
    row("proxy_cache_lock_age", LEVELS, Milliseconds, NOT_CACHED),
    row("proxy_cache_lock_timeout", LEVELS, Milliseconds, NOT_CACHED),
    row("proxy_cache_max_range_offset", LEVELS, Offset, NOT_CACHED),
    row("proxy_cache_methods", LEVELS, Words(METHODS), NOT_CACHED),
    row("proxy_cache_min_uses", LEVELS, Number, NOT_CACHED),
    row("proxy_cache_path", HTTP, Many(AT_LEAST_TWO), NoEffect("nothing is cached")),
    row("proxy_cache_purge", LEVELS, Many(AT_LEAST_ONE), Refused(CACHE)),
    row("proxy_cache_revalidate", LEVELS, Flag, NOT_CACHED),
    row("proxy_cache_use_stale", LEVELS, Words(NEXT_UPSTREAM), NOT_CACHED),
    row("proxy_cache_valid", LEVELS, Many(AT_LEAST_ONE), NOT_CACHED),
    row("proxy_no_cache", LEVELS, Many(AT_LEAST_ONE), NOT_CACHED),
    row("proxy_store", LEVELS, Once(ONE), RefusedUnless("off", "answers are not written to disk")),
    row(
        "proxy_store_access",
        LEVELS,
        Once(ONE_TO_THREE),
        NoEffect("answers are not written to disk"),
    ),
    // Not here, or not yet.
    row(
        "proxy_bind",
        LEVELS,
        Once(ONE_OR_TWO),
        RefusedUnless("off", "choosing the address that the app sees is not supported yet"),
    ),
    row("proxy_force_ranges", LEVELS, Flag, RefusedUnless("off", "ranges are answered by the app")),
    row(
        "proxy_limit_rate",
        LEVELS,
        Size,
        RefusedUnless("0", "limiting the rate of answers is not supported yet"),
    ),
    row("proxy_ssl_certificate", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_certificate_cache", LEVELS, Once(ONE_TO_THREE), TLS_DETAIL),
    row("proxy_ssl_certificate_key", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_ciphers", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_conf_command", LEVELS, Many(TWO), TLS_DETAIL),
    row("proxy_ssl_crl", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_key_log", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_name", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_password_file", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_protocols", LEVELS, Words(PROTOCOLS), TLS_DETAIL),
    row("proxy_ssl_server_name", LEVELS, Flag, RefusedUnless("off", TLS)),
    row("proxy_ssl_session_reuse", LEVELS, Flag, TLS_DETAIL),
    row("proxy_ssl_trusted_certificate", LEVELS, Once(ONE), TLS_DETAIL),
    row("proxy_ssl_verify", LEVELS, Flag, RefusedUnless("off", TLS)),
    row("proxy_ssl_verify_depth", LEVELS, Number, TLS_DETAIL),
];

const PROXY: Treatment = Does(Family::Proxy);
const STREAMS: Treatment = NoEffect("bodies pass through, never held back nor written to disk");
const NOT_CACHED: Treatment = NoEffect("nothing is cached");
const CACHE: &str = "sheen keeps no answers: take it out, or put a cache in front or behind";
const ONE_SERVER: Treatment = NoEffect(
    "an upstream has one server: a further address of its name is tried if it can't be reached",
);
const TLS: &str =
    "TLS to the app is not supported yet: this would have protected the way between them";
const TLS_DETAIL: Treatment = Refused(TLS);
const PROTOCOLS: &[&str] = &["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const METHODS: &[&str] = &["GET", "HEAD", "POST"];

const IGNORED_HEADERS: &[&str] = &[
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "Expires",
    "Cache-Control",
    "Set-Cookie",
    "Vary",
];

const NEXT_UPSTREAM: &[&str] = &[
    "error",
    "timeout",
    "invalid_header",
    "non_idempotent",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "updating",
    "off",
];
