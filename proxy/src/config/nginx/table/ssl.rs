//! ngx_http_ssl_module: what clients are offered, and how keys are kept.

use super::Takes::{Flag, Many, Number, Once, Seconds, Size, Word, Words};
use super::Treatment::{Does, NoEffect, Refused, RefusedUnless};
use super::{Family, HTTP_SERVER, ONE, ONE_OR_TWO, ONE_TO_THREE, Row, TWO, Treatment, row};

pub(super) const ROWS: &[Row] = &[
    row("ssl", HTTP_SERVER, Flag, SSL),
    row("ssl_certificate", HTTP_SERVER, Many(ONE), SSL),
    row("ssl_certificate_key", HTTP_SERVER, Many(ONE), SSL),
    row("ssl_ciphers", HTTP_SERVER, Once(ONE), SSL),
    row("ssl_ecdh_curve", HTTP_SERVER, Once(ONE), SSL),
    row("ssl_password_file", HTTP_SERVER, Once(ONE), SSL),
    row("ssl_prefer_server_ciphers", HTTP_SERVER, Flag, SSL),
    row("ssl_protocols", HTTP_SERVER, Words(PROTOCOLS), SSL),
    row("ssl_reject_handshake", HTTP_SERVER, Flag, SSL),
    row("ssl_session_tickets", HTTP_SERVER, Flag, SSL),
    row("ssl_session_timeout", HTTP_SERVER, Seconds, SSL),
    // Accepted.
    row("ssl_buffer_size", HTTP_SERVER, Size, NoEffect("records are cut as the data comes")),
    row(
        "ssl_certificate_cache",
        HTTP_SERVER,
        Once(ONE_TO_THREE),
        NoEffect("certificates are read anew when they change"),
    ),
    row(
        "ssl_certificate_compression",
        HTTP_SERVER,
        Flag,
        NoEffect("certificates go uncompressed, as nginx sends them"),
    ),
    row(
        "ssl_dhparam",
        HTTP_SERVER,
        Once(ONE),
        NoEffect("no key exchange with finite fields is offered, only elliptic curves"),
    ),
    row(
        "ssl_early_data",
        HTTP_SERVER,
        Flag,
        NoEffect("no early data is taken, so none can be replayed"),
    ),
    row(
        "ssl_session_cache",
        HTTP_SERVER,
        Many(ONE_OR_TWO),
        NoEffect("sessions are kept by clients, in tickets, and nowhere here"),
    ),
    row(
        "ssl_session_ticket_key",
        HTTP_SERVER,
        Many(ONE),
        NoEffect(
            "keys of tickets are random and change every six hours: one in a file would stay, and \
             whoever reads it can read what was recorded",
        ),
    ),
    row("ssl_stapling", HTTP_SERVER, Flag, STAPLING),
    row("ssl_stapling_file", HTTP_SERVER, Once(ONE), STAPLING),
    row("ssl_stapling_responder", HTTP_SERVER, Once(ONE), STAPLING),
    row("ssl_stapling_verify", HTTP_SERVER, Flag, STAPLING),
    row(
        "ssl_trusted_certificate",
        HTTP_SERVER,
        Once(ONE),
        NoEffect("it means something with ssl_stapling and ssl_verify_client alone"),
    ),
    row(
        "ssl_verify_depth",
        HTTP_SERVER,
        Number,
        NoEffect("it means something with ssl_verify_client alone"),
    ),
    row("ssl_ocsp_cache", HTTP_SERVER, Once(ONE), OCSP),
    row("ssl_ocsp_responder", HTTP_SERVER, Once(ONE), OCSP),
    // Not here, or not yet.
    row(
        "ssl_client_certificate",
        HTTP_SERVER,
        Once(ONE),
        NoEffect("it means something with ssl_verify_client alone"),
    ),
    row("ssl_conf_command", HTTP_SERVER, Many(TWO), SSL),
    row(
        "ssl_crl",
        HTTP_SERVER,
        Once(ONE),
        NoEffect("it means something with ssl_verify_client alone"),
    ),
    row(
        "ssl_ech_file",
        HTTP_SERVER,
        Many(ONE),
        Refused("encrypting the server name is not supported yet"),
    ),
    row(
        "ssl_key_log",
        HTTP_SERVER,
        Once(ONE),
        Refused("it writes down what lets others read along"),
    ),
    row("ssl_ocsp", HTTP_SERVER, Word(&["off", "on", "leaf"]), RefusedUnless("off", CLIENTS)),
    row(
        "ssl_verify_client",
        HTTP_SERVER,
        Word(&["off", "on", "optional", "optional_no_ca"]),
        RefusedUnless("off", CLIENTS),
    ),
];

const SSL: Treatment = Does(Family::Ssl);
const STAPLING: Treatment =
    NoEffect("authorities have given up OCSP, and browsers do not ask for it");
const CLIENTS: &str =
    "asking clients for certificates is not supported yet: this would have kept others out";
const OCSP: Treatment = NoEffect("it means something with ssl_ocsp alone");
const PROTOCOLS: &[&str] = &["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
