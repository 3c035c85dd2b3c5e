//! Other ways to an app, and other modules that run one: refused, with what to use instead.

use super::Takes::{Anything, Block, Once, OnceBlock};
use super::Treatment::{NoEffect, Refused};
use super::{
    EVERYWHERE, HTTP, LEVELS, MAIN, NONE, ONE, ONE_TO_FOUR, Opens, Row, SERVER, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("fastcgi_*", EVERYWHERE, Anything, PLAIN_HTTP),
    row("grpc_*", EVERYWHERE, Anything, PLAIN_HTTP),
    row("memcached_*", EVERYWHERE, Anything, PLAIN_HTTP),
    row("passenger_*", EVERYWHERE, Anything, PLAIN_HTTP),
    row("scgi_*", EVERYWHERE, Anything, PLAIN_HTTP),
    row("uwsgi_*", EVERYWHERE, Anything, PLAIN_HTTP),
    // What runs nginx without root names these folders, whatever it serves.
    row("fastcgi_temp_path", LEVELS, Once(ONE_TO_FOUR), NO_FILES),
    row("scgi_temp_path", LEVELS, Once(ONE_TO_FOUR), NO_FILES),
    row("uwsgi_temp_path", LEVELS, Once(ONE_TO_FOUR), NO_FILES),
    row("mail", MAIN, OnceBlock(NONE, Opens::Foreign), NOT_HTTP),
    row("rtmp", MAIN, OnceBlock(NONE, Opens::Foreign), NOT_HTTP),
    row("stream", MAIN, OnceBlock(NONE, Opens::Foreign), NOT_HTTP),
    row("access_by_lua*", EVERYWHERE, Anything, CODE),
    row("balancer_by_lua*", EVERYWHERE, Anything, CODE),
    row("body_filter_by_lua*", EVERYWHERE, Anything, CODE),
    row("content_by_lua*", EVERYWHERE, Anything, CODE),
    row("exit_worker_by_lua*", EVERYWHERE, Anything, CODE),
    row("header_filter_by_lua*", EVERYWHERE, Anything, CODE),
    row("init_by_lua*", EVERYWHERE, Anything, CODE),
    row("init_worker_by_lua*", EVERYWHERE, Anything, CODE),
    row("js_*", EVERYWHERE, Anything, CODE),
    row("log_by_lua*", EVERYWHERE, Anything, CODE),
    row("lua_*", EVERYWHERE, Anything, CODE),
    row("perl*", EVERYWHERE, Anything, CODE),
    row("rewrite_by_lua*", EVERYWHERE, Anything, CODE),
    row("server_rewrite_by_lua*", EVERYWHERE, Anything, CODE),
    row("set_by_lua*", EVERYWHERE, Anything, CODE),
    row("ssl_certificate_by_lua*", EVERYWHERE, Anything, CODE),
    row("ssl_client_hello_by_lua*", EVERYWHERE, Anything, CODE),
    row("ssl_session_fetch_by_lua*", EVERYWHERE, Anything, CODE),
    row("ssl_session_store_by_lua*", EVERYWHERE, Anything, CODE),
    row("acme_certificate", SERVER, Anything, ACME),
    row("acme_issuer", HTTP, Block(ONE, Opens::Foreign), ACME),
    row("acme_shared_zone", HTTP, Anything, ACME),
];

const PLAIN_HTTP: Treatment =
    Refused("sheen speaks HTTP to apps: let the app listen with HTTP and use proxy_pass");
const NO_FILES: Treatment = NoEffect("no bodies are kept in files");
const CODE: Treatment =
    Refused("sheen runs no code of others: say it with map, rewrite and proxy_pass");
const NOT_HTTP: Treatment =
    Refused("sheen proxies HTTP alone: take it out, and let nginx or another proxy do it");
const ACME: Treatment = Refused(
    "getting certificates is not supported yet: let certbot do it, sheen sees its files change",
);
