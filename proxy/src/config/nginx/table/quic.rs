//! ngx_http_v2_module and ngx_http_v3_module: newer versions of HTTP, which are not offered yet.

use super::Takes::{Flag, Many, Number, Once, Size};
use super::Treatment::NoEffect;
use super::{HTTP, HTTP_SERVER, LEVELS, MAIN, ONE, Row, Treatment, row};

pub(super) const ROWS: &[Row] = &[
    row("http2", HTTP_SERVER, Flag, ONE_ONE),
    row("http2_body_preread_size", HTTP_SERVER, Size, ONE_ONE),
    row("http2_chunk_size", LEVELS, Size, ONE_ONE),
    row("http2_idle_timeout", HTTP_SERVER, Many(ONE), ONE_ONE),
    row("http2_max_concurrent_pushes", HTTP_SERVER, Number, ONE_ONE),
    row("http2_max_concurrent_streams", HTTP_SERVER, Number, ONE_ONE),
    row("http2_max_field_size", HTTP_SERVER, Many(ONE), ONE_ONE),
    row("http2_max_header_size", HTTP_SERVER, Many(ONE), ONE_ONE),
    row("http2_max_requests", HTTP_SERVER, Many(ONE), ONE_ONE),
    row("http2_pool_size", HTTP_SERVER, Size, ONE_ONE),
    row("http2_push", LEVELS, Many(ONE), ONE_ONE),
    row("http2_push_preload", LEVELS, Flag, ONE_ONE),
    row("http2_recv_buffer_size", HTTP, Size, ONE_ONE),
    row("http2_recv_timeout", HTTP_SERVER, Many(ONE), ONE_ONE),
    row("http2_streams_index_size", HTTP_SERVER, Number, ONE_ONE),
    row("http3", HTTP_SERVER, Flag, ONE_ONE),
    row("http3_hq", HTTP_SERVER, Flag, ONE_ONE),
    row("http3_max_concurrent_streams", HTTP_SERVER, Number, ONE_ONE),
    row("http3_stream_buffer_size", HTTP_SERVER, Size, ONE_ONE),
    row("quic_active_connection_id_limit", HTTP_SERVER, Number, ONE_ONE),
    row("quic_bpf", MAIN, Flag, ONE_ONE),
    row("quic_gso", HTTP_SERVER, Flag, ONE_ONE),
    row("quic_host_key", HTTP_SERVER, Once(ONE), ONE_ONE),
    row("quic_retry", HTTP_SERVER, Flag, ONE_ONE),
    row("spdy_*", LEVELS, Many(ONE), ONE_ONE),
];

const ONE_ONE: Treatment = NoEffect("HTTP/1.1 is offered, which every client takes");
