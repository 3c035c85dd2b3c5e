//! The numbers of TLS: types of records, handshake messages, alerts.

/// Record types, RFC 8446 section 5.1.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;
/// Type, version, length.
pub(super) const HEADER_BYTES: usize = 5;
/// In the header of every record after the handshake, of TLS 1.2 and 1.3.
pub(super) const VERSION: [u8; 2] = [3, 3];

/// Handshake messages, RFC 8446 section 4.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const KEY_UPDATE: u8 = 24;
/// A whole KeyUpdate, its header included.
pub(super) const KEY_UPDATE_BYTES: usize = 5;

/// Alerts, RFC 8446 section 6.
pub(super) const WARNING: u8 = 1;
pub(super) const FATAL: u8 = 2;
pub(super) const CLOSE_NOTIFY: u8 = 0;
pub(super) const UNEXPECTED_MESSAGE: u8 = 10;
pub(super) const BAD_RECORD_MAC: u8 = 20;
pub(super) const RECORD_OVERFLOW: u8 = 22;
pub(super) const ILLEGAL_PARAMETER: u8 = 47;
pub(super) const DECODE_ERROR: u8 = 50;
pub(super) const PROTOCOL_VERSION: u8 = 70;
pub(super) const INTERNAL_ERROR: u8 = 80;
pub(super) const USER_CANCELED: u8 = 90;
pub(super) const NO_RENEGOTIATION: u8 = 100;
