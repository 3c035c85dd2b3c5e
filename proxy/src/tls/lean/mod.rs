//! TLS after the handshake, without rustls's connection: the record layer of a tunnel.
//!
//! rustls keeps 2.9 KiB for a connection, most of which only handshakes need. A WebSocket lives for
//! hours after its handshake; so when it becomes a tunnel, rustls gives its keys away and stays
//! behind as the half KiB that makes the next ones (`Stream::rest`). What is done here:
//!
//! ```text
//!   record --- header wrong, too long ------> alert protocol_version, record_overflow
//!      |  '--- not made with this key ------> alert bad_record_mac
//!      v
//!   data ----------------------------------> plaintext
//!   alert close_notify --------------------> end of input
//!   alert user_canceled, or 1.2's warnings -> nothing, a few times
//!   alert, other --------------------------> error
//!   KeyUpdate (1.3, however it is cut) ----> new receive key; ours too, if asked for
//!   ClientHello (1.2) ---------------------> warning no_renegotiation, a few times
//!   anything else -------------------------> alert unexpected_message
//! ```
//! Every error is fatal and tells the client by an alert first. What goes out is appended to one
//! buffer in order, so keys change exactly behind the KeyUpdate that says so.

use std::fmt;
use std::mem;

use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, Error, ExtractedSecrets, InvalidMessage, PeerMisbehaved};

use self::direction::Direction;
use super::kernel::Suite;
use super::records::{
    ALERT, BAD_RECORD_MAC, CHANGE_CIPHER_SPEC, CLIENT_HELLO, CLOSE_NOTIFY, DATA, DECODE_ERROR,
    FATAL, HANDSHAKE, HEADER_BYTES, ILLEGAL_PARAMETER, INTERNAL_ERROR, KEY_UPDATE,
    KEY_UPDATE_BYTES, NO_RENEGOTIATION, PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE,
    USER_CANCELED, VERSION, WARNING,
};
use super::session::Received;
use crate::buf::Buf;
use crate::limits::{
    KEY_UPDATES_BETWEEN_DATA_MAX, RECORD_BYTES_MAX, RECORDS_IN_RESERVE, WARNING_ALERTS_MAX,
};

mod contexts;
mod direction;
#[cfg(test)]
mod tests;

/// See the module.
pub struct Lean {
    suite: Suite,
    send: Direction,
    receive: Direction,
    /// Makes the next keys; TLS 1.2 has none.
    rustls: Option<KernelConnection<ServerConnectionData>>,
    /// The beginning of a KeyUpdate whose rest comes in another record.
    part: [u8; KEY_UPDATE_BYTES],
    part_len: u8,
    /// The client has sent close_notify.
    ended: bool,
    /// We have.
    closing: bool,
    /// Of the client, since data came last.
    key_updates: u8,
    warnings: u8,
}

/// Why a record ends the connection: the alert that tells the client, and the words for the log.
type Refusal = (Option<u8>, Error);
/// Header and body.
type Record<'i> = ([u8; HEADER_BYTES], &'i [u8]);

impl fmt::Debug for Lean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lean({:?})", self.suite)
    }
}

impl Lean {
    /// Goes on where rustls left off.
    ///
    /// Errors: a suite that is not known here.
    pub(super) fn new(
        secrets: ExtractedSecrets,
        rustls: KernelConnection<ServerConnectionData>,
    ) -> Result<Self, Error> {
        let suite = Suite::of(rustls.negotiated_cipher_suite())
            .ok_or_else(|| Error::General("a suite that is not known here".into()))?;
        Ok(Self {
            send: Direction::new(&suite, secrets.tx)?,
            receive: Direction::new(&suite, secrets.rx)?,
            rustls: suite.tls13.then_some(rustls),
            suite,
            part: [0; KEY_UPDATE_BYTES],
            part_len: 0,
            ended: false,
            closing: false,
            key_updates: 0,
            warnings: 0,
        })
    }

    /// Decrypts the whole records of `input`: plaintext is appended to `plain`, what there is to
    /// send to `out`.
    ///
    /// On an error, `out` holds the alert for the client.
    pub fn receive(
        &mut self,
        input: &[u8],
        plain: &mut Buf,
        out: &mut Buf,
    ) -> Result<Received, Error> {
        let mut consumed = 0;
        while !self.ended {
            let result = match self.first_record(&input[consumed..]) {
                Ok(None) => break,
                Ok(Some((header, body))) => {
                    consumed += HEADER_BYTES + body.len();
                    self.record(header, body, plain, out)
                }
                Err(refusal) => Err(refusal),
            };
            if let Err((alert, error)) = result {
                if let Some(description) = alert.filter(|_| !self.closing) {
                    // Without it the client sees the end alone.
                    let _ = self.send.seal(&self.suite, ALERT, &[FATAL, description], out);
                }
                return Err(error);
            }
        }
        Ok(Received { consumed, end: self.ended })
    }

    /// The record that `input` begins with, if it is whole.
    fn first_record<'i>(&self, input: &'i [u8]) -> Result<Option<Record<'i>>, Refusal> {
        let Some((header, rest)) = input.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [kind, major, minor, high, low] = *header;
        if [major, minor] != VERSION {
            let error = Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion);
            return Err((Some(PROTOCOL_VERSION), error));
        }
        // Of TLS 1.3 all records look like data, RFC 8446 section 5.2.
        let kind_is_known = kind == DATA || !self.suite.tls13 && CIPHERED.contains(&kind);
        if !kind_is_known {
            return Err(unexpected());
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        let more_max = if self.suite.tls13 { 256 } else { 2048 };
        if len > RECORD_BYTES_MAX + more_max {
            return Err((Some(RECORD_OVERFLOW), Error::PeerSentOversizedRecord));
        }
        Ok(rest.get(..len).map(|body| (*header, body)))
    }

    fn record(
        &mut self,
        header: [u8; HEADER_BYTES],
        body: &[u8],
        plain: &mut Buf,
        out: &mut Buf,
    ) -> Result<(), Refusal> {
        let space = plain.space(body.len());
        let opened = self.receive.open(&self.suite, header, body, space);
        let read = opened.map_err(|error| (Some(BAD_RECORD_MAC), error)).and_then(|len| {
            let text = &space[..len];
            let (kind, payload) = if self.suite.tls13 { inner(text)? } else { (header[0], text) };
            if payload.len() > RECORD_BYTES_MAX {
                return Err((Some(RECORD_OVERFLOW), Error::PeerSentOversizedRecord));
            }
            let mut start = [0; START_BYTES];
            let start_len = payload.len().min(START_BYTES);
            start[..start_len].copy_from_slice(&payload[..start_len]);
            Ok((kind, payload.len(), start))
        });
        if let Ok((DATA, len, _)) = read
            && self.part_len == 0
        {
            plain.filled(len);
        }
        if plain.is_empty() {
            plain.clear();
        }
        let (kind, len, start) = read?;
        let start = &start[..len.min(START_BYTES)];
        match kind {
            // Nothing may come between the parts of a message, RFC 8446 section 5.1.
            DATA | ALERT if self.part_len > 0 => Err(unexpected()),
            DATA => {
                if len > 0 {
                    self.key_updates = 0;
                }
                Ok(())
            }
            ALERT => self.alert(start),
            HANDSHAKE if self.suite.tls13 => self.key_update(start, out),
            HANDSHAKE => self.renegotiation(start, out),
            _ => Err(unexpected()),
        }
    }

    fn alert(&mut self, alert: &[u8]) -> Result<(), Refusal> {
        match *alert {
            [_, CLOSE_NOTIFY] => {
                self.ended = true;
                Ok(())
            }
            // TLS 1.3 has no other warning than user_canceled; 1.2 says itself which are.
            [level, description]
                if description == USER_CANCELED || !self.suite.tls13 && level == WARNING =>
            {
                self.warn()
            }
            [_, description] => {
                let description = AlertDescription::from(description);
                Err((None, Error::AlertReceived(description)))
            }
            _ => Err((
                Some(DECODE_ERROR),
                Error::InvalidMessage(InvalidMessage::MissingData("alert")),
            )),
        }
    }

    fn warn(&mut self) -> Result<(), Refusal> {
        self.warnings += 1;
        if self.warnings > WARNING_ALERTS_MAX { Err(unexpected()) } else { Ok(()) }
    }

    /// A piece of a handshake message, which can only be a KeyUpdate (RFC 8446 section 4.6.3) and
    /// must end with its record, because the next one has another key.
    fn key_update(&mut self, piece: &[u8], out: &mut Buf) -> Result<(), Refusal> {
        let begun = usize::from(self.part_len);
        let len = begun + piece.len();
        let Some(space) = self.part.get_mut(begun..len).filter(|_| !piece.is_empty()) else {
            return Err(unexpected());
        };
        space.copy_from_slice(piece);
        self.part_len = len as u8;
        let known = len.min(KEY_UPDATE_HEADER.len());
        if self.part[0] != KEY_UPDATE {
            return Err(unexpected());
        }
        if self.part[..known] != KEY_UPDATE_HEADER[..known] {
            let error = InvalidMessage::TrailingData("KeyUpdate");
            return Err((Some(DECODE_ERROR), Error::InvalidMessage(error)));
        }
        if len < KEY_UPDATE_BYTES {
            return Ok(());
        }
        self.part_len = 0;
        let asked = match self.part[KEY_UPDATE_BYTES - 1] {
            0 => false,
            1 => true,
            _ => {
                let error = InvalidMessage::InvalidKeyUpdate;
                return Err((Some(ILLEGAL_PARAMETER), Error::InvalidMessage(error)));
            }
        };
        self.key_updates += 1;
        if self.key_updates > KEY_UPDATES_BETWEEN_DATA_MAX {
            let error = PeerMisbehaved::TooManyKeyUpdateRequests.into();
            return Err((Some(UNEXPECTED_MESSAGE), error));
        }
        let ours = |error| (Some(INTERNAL_ERROR), error);
        let rustls = self.rustls.as_mut().ok_or_else(unexpected)?;
        let secrets = rustls.update_rx_secret().map_err(ours)?;
        self.receive = Direction::new(&self.suite, secrets).map_err(ours)?;
        // Nothing goes behind close_notify.
        if asked && !self.closing { self.renew(out).map_err(ours) } else { Ok(()) }
    }

    /// We send under our next key from now on.
    fn renew(&mut self, out: &mut Buf) -> Result<(), Error> {
        let rustls = self.rustls.as_mut().ok_or(Error::EncryptError)?;
        let mut message = [0; KEY_UPDATE_BYTES];
        message[..KEY_UPDATE_HEADER.len()].copy_from_slice(&KEY_UPDATE_HEADER);
        self.send.seal(&self.suite, HANDSHAKE, &message, out)?;
        self.send = Direction::new(&self.suite, rustls.update_tx_secret()?)?;
        Ok(())
    }

    /// TLS 1.2: a client that would shake hands again is told that we do not.
    fn renegotiation(&mut self, start: &[u8], out: &mut Buf) -> Result<(), Refusal> {
        if start.first() != Some(&CLIENT_HELLO) {
            return Err(unexpected());
        }
        self.warn()?;
        if self.closing {
            return Ok(());
        }
        let sealed = self.send.seal(&self.suite, ALERT, &[WARNING, NO_RENEGOTIATION], out);
        sealed.map_err(|error| (Some(INTERNAL_ERROR), error))
    }

    /// Encrypts all of `plain` into records appended to `out`.
    ///
    /// Errors: the key is worn out, and TLS 1.2 has no other.
    pub fn send(&mut self, plain: &[u8], out: &mut Buf) -> Result<(), Error> {
        debug_assert!(!self.closing, "nothing goes behind close_notify");
        for piece in plain.chunks(RECORD_BYTES_MAX) {
            if self.send.number() >= self.suite.limit - RECORDS_IN_RESERVE {
                self.renew(out)?;
            }
            self.send.seal(&self.suite, DATA, piece, out)?;
        }
        Ok(())
    }

    /// Appends close_notify to `out`, once.
    pub fn send_close_notify(&mut self, out: &mut Buf) {
        if !mem::replace(&mut self.closing, true) {
            // Without it the client sees a truncation.
            let _ = self.send.seal(&self.suite, ALERT, &[WARNING, CLOSE_NOTIFY], out);
        }
    }
}

/// Type and content of TLS 1.3's inner plaintext, without its padding (RFC 8446 section 5.4).
fn inner(text: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    if text.len() > RECORD_BYTES_MAX + 1 {
        return Err((Some(RECORD_OVERFLOW), Error::PeerSentOversizedRecord));
    }
    let end = text.iter().rposition(|byte| *byte != 0).ok_or_else(unexpected)?;
    Ok((text[end], &text[..end]))
}

fn unexpected() -> Refusal {
    let words = "the client sent a TLS record that has no place here";
    (Some(UNEXPECTED_MESSAGE), Error::General(words.into()))
}

/// Types that TLS 1.2 encrypts.
const CIPHERED: [u8; 4] = [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA];
/// As much of a record that is not data as is ever looked at; one byte more shows that it is longer.
const START_BYTES: usize = KEY_UPDATE_BYTES + 1;
/// Type and length.
const KEY_UPDATE_HEADER: [u8; 4] = [KEY_UPDATE, 0, 0, 1];
