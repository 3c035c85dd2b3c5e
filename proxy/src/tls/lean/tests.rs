//! A lean session and its client, rustls's own.

use std::io::Write;

use rustls::crypto::aws_lc_rs::cipher_suite::{self, TLS13_AES_128_GCM_SHA256};
use rustls::{ClientConnection, SupportedCipherSuite};

use super::*;
use crate::tls::ends::{self, deliver, ends_of, flight};

/// All that we offer to a client with an ECDSA certificate; RSA's differ in the handshake alone.
const SUITES: [SupportedCipherSuite; 6] = [
    TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

struct Pair {
    lean: Lean,
    client: ClientConnection,
    incoming: Vec<u8>,
    plain: Buf,
}

impl Pair {
    /// Handshake, a request, its answer, and rustls is gone.
    fn new(suite: SupportedCipherSuite) -> Self {
        let (mut session, mut client) = ends_of(suite);
        let (mut plain, mut out) = (Buf::new(), Buf::new());
        while session.is_handshaking() || client.is_handshaking() {
            session.receive(&mut flight(&mut client), &mut plain, &mut out).unwrap();
            deliver(&mut client, out.data()).unwrap();
            out.clear();
        }
        client.writer().write_all(b"request").unwrap();
        session.receive(&mut flight(&mut client), &mut plain, &mut out).unwrap();
        assert!(!session.may_leave(), "it may owe something and not say so");
        session.send(&mut [], b"answer", &mut out).unwrap();
        assert!(session.may_leave());
        assert_eq!(deliver(&mut client, out.data()).unwrap(), b"answer");
        let lean = session.into_lean().unwrap();
        Self { lean, client, incoming: Vec::new(), plain: Buf::new() }
    }

    /// Gives `bytes` to the session: what it has to send then.
    fn receive(&mut self, bytes: &[u8]) -> Result<Vec<u8>, (Error, Vec<u8>)> {
        self.incoming.extend_from_slice(bytes);
        let mut out = Buf::new();
        match self.lean.receive(&self.incoming, &mut self.plain, &mut out) {
            Ok(received) => {
                self.incoming.drain(..received.consumed);
                Ok(out.data().to_vec())
            }
            Err(error) => Err((error, out.data().to_vec())),
        }
    }

    fn send(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Buf::new();
        self.lean.send(plain, &mut out).unwrap();
        out.data().to_vec()
    }

    /// Both directions work.
    fn converse(&mut self) {
        self.client.writer().write_all(b"question").unwrap();
        let bytes = flight(&mut self.client);
        let answer = self.receive(&bytes).unwrap();
        assert_eq!(deliver(&mut self.client, &answer).unwrap(), b"");
        assert_eq!(self.plain.data(), b"question");
        self.plain.clear();
        let bytes = self.send(b"reply");
        assert_eq!(deliver(&mut self.client, &bytes).unwrap(), b"reply");
    }

    /// The client renews its keys, and asks for ours.
    fn client_renews(&mut self) {
        self.client.refresh_traffic_keys().unwrap();
        let bytes = flight(&mut self.client);
        let answer = self.receive(&bytes).unwrap();
        assert!(!answer.is_empty(), "ours are renewed too");
        assert_eq!(deliver(&mut self.client, &answer).unwrap(), b"");
    }

    /// The client with its own records in the hands of the test: TLS 1.3 with AES-128-GCM.
    fn by_hand(self) -> (ByHand, ends::Direction) {
        let secrets = self.client.dangerous_extract_secrets().unwrap();
        let direction = |(number, secrets)| ends::Direction::new(number, &secrets);
        let Self { lean, incoming, plain, .. } = self;
        let told = direction(secrets.rx);
        (ByHand { lean, incoming, plain, told }, direction(secrets.tx))
    }
}

struct ByHand {
    lean: Lean,
    incoming: Vec<u8>,
    plain: Buf,
    /// What the session sends.
    told: ends::Direction,
}

impl ByHand {
    fn receive(&mut self, bytes: &[u8]) -> Result<Received, Error> {
        self.incoming.extend_from_slice(bytes);
        let mut out = Buf::new();
        let result = self.lean.receive(&self.incoming, &mut self.plain, &mut out);
        self.incoming.clear();
        if result.is_err() {
            let mut alert = out.data().to_vec();
            let opened = self.told.open(&mut alert).map(|(kind, text)| (kind, text.to_vec()));
            assert!(opened.is_none_or(|(kind, text)| kind == ALERT && text[0] == FATAL));
        }
        result
    }
}

/// The alert that a session sends to a client who sends `records`, made by `make`.
#[track_caller]
fn is_refused(description: u8, make: impl Fn(&mut ends::Direction) -> Vec<u8>) {
    let (mut session, mut client) = Pair::new(TLS13_AES_128_GCM_SHA256).by_hand();
    let mut out = Buf::new();
    let bytes = make(&mut client);
    session.lean.receive(&bytes, &mut session.plain, &mut out).unwrap_err();
    let mut alert = out.data().to_vec();
    assert_eq!(session.told.open(&mut alert), Some((ALERT, &[FATAL, description][..])));
    assert!(session.plain.is_empty(), "nothing of it goes on");
}

#[test]
fn bytes_go_both_ways_with_every_suite_however_they_are_cut() {
    let data: Vec<u8> = (0..40_000u32).map(|i| i as u8).collect();
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        pair.converse();
        pair.client.writer().write_all(&data).unwrap();
        for piece in flight(&mut pair.client).chunks(997) {
            pair.receive(piece).unwrap();
        }
        assert_eq!(pair.plain.data(), &data[..], "{suite:?}");
        assert!(pair.incoming.is_empty());
        pair.plain.clear();
        let bytes = pair.send(&data);
        assert_eq!(deliver(&mut pair.client, &bytes).unwrap(), data, "{suite:?}");
        pair.converse();
    }
}

#[test]
fn an_end_is_said_and_heard() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        pair.client.writer().write_all(b"last words").unwrap();
        pair.client.send_close_notify();
        let bytes = flight(&mut pair.client);
        let mut out = Buf::new();
        let received = pair.lean.receive(&bytes, &mut pair.plain, &mut out).unwrap();
        assert_eq!(received, Received { consumed: bytes.len(), end: true });
        assert_eq!(pair.plain.data(), b"last words");
        let bytes = pair.send(b"ours");
        assert_eq!(deliver(&mut pair.client, &bytes).unwrap(), b"ours");
        pair.lean.send_close_notify(&mut out);
        pair.lean.send_close_notify(&mut out);
        let mut bytes = out.data();
        pair.client.read_tls(&mut bytes).unwrap();
        let state = pair.client.process_new_packets().unwrap();
        assert!(state.peer_has_closed() && bytes.is_empty(), "it is said once: {suite:?}");
    }
}

#[test]
fn keys_are_renewed_as_often_as_the_client_likes() {
    for suite in &SUITES[..3] {
        let mut pair = Pair::new(*suite);
        for _ in 0..100 {
            pair.client_renews();
            pair.converse();
        }
    }
}

#[test]
fn key_updates_without_data_end_the_connection() {
    let mut pair = Pair::new(TLS13_AES_128_GCM_SHA256);
    (0..KEY_UPDATES_BETWEEN_DATA_MAX).for_each(|_| pair.client_renews());
    pair.client.refresh_traffic_keys().unwrap();
    let bytes = flight(&mut pair.client);
    let (error, told) = pair.receive(&bytes).unwrap_err();
    assert_eq!(error, PeerMisbehaved::TooManyKeyUpdateRequests.into());
    let told = deliver(&mut pair.client, &told).unwrap_err();
    assert_eq!(told, Error::AlertReceived(AlertDescription::UnexpectedMessage));
}

#[test]
fn a_key_update_may_come_byte_by_byte() {
    let (mut session, mut client) = Pair::new(TLS13_AES_128_GCM_SHA256).by_hand();
    for byte in [KEY_UPDATE, 0, 0, 1] {
        session.receive(&client.seal(HANDSHAKE, &[byte])).unwrap();
        assert_eq!(session.lean.key_updates, 0);
    }
    session.receive(&client.seal(HANDSHAKE, &[0])).unwrap();
    assert_eq!(session.lean.key_updates, 1);
    // From now on the key is another.
    let error = session.receive(&client.seal(DATA, b"under the old one")).unwrap_err();
    assert_eq!(error, Error::DecryptError);
}

#[test]
fn a_key_that_is_nearly_worn_out_is_renewed_or_given_up() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        // The client counts too: so the limit moves to the session, not the session to the limit.
        pair.lean.suite.limit = pair.lean.send.number() + RECORDS_IN_RESERVE + 2;
        let mut out = Buf::new();
        let sends: Vec<bool> = (0..10).map(|_| pair.lean.send(b"x", &mut out).is_ok()).collect();
        let sent = sends.iter().filter(|sent| **sent).count();
        assert_eq!(sent, if pair.lean.suite.tls13 { 10 } else { 2 }, "{suite:?}");
        assert_eq!(deliver(&mut pair.client, out.data()).unwrap().len(), sent);
    }
}

#[test]
fn the_last_number_is_never_passed() {
    let mut pair = Pair::new(cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    let mut out = Buf::new();
    pair.lean.send.skip_to(u64::MAX);
    let sealed = pair.lean.send.seal(&pair.lean.suite, DATA, b"x", &mut out);
    assert_eq!(sealed, Err(Error::EncryptError));
    pair.client.writer().write_all(b"x").unwrap();
    pair.lean.receive.skip_to(u64::MAX);
    let bytes = flight(&mut pair.client);
    assert_eq!(pair.receive(&bytes).unwrap_err().0, Error::DecryptError);
}

#[test]
fn what_has_no_place_gets_an_alert() {
    let finished = [20, 0, 0, 1, 0];
    let two = [KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE, 0, 0, 1, 0];
    for message in [&finished[..], &two, &[]] {
        is_refused(UNEXPECTED_MESSAGE, |client| client.seal(HANDSHAKE, message));
    }
    is_refused(DECODE_ERROR, |client| client.seal(HANDSHAKE, &[KEY_UPDATE, 0, 0, 2, 0]));
    is_refused(ILLEGAL_PARAMETER, |client| client.seal(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 2]));
    is_refused(UNEXPECTED_MESSAGE, |client| {
        let half = client.seal(HANDSHAKE, &[KEY_UPDATE, 0]);
        [half, client.seal(DATA, b"between")].concat()
    });
    is_refused(UNEXPECTED_MESSAGE, |client| client.seal(CHANGE_CIPHER_SPEC, &[1]));
    is_refused(UNEXPECTED_MESSAGE, |_| vec![CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1]);
    is_refused(UNEXPECTED_MESSAGE, |_| vec![ALERT, 3, 3, 0, 2, WARNING, CLOSE_NOTIFY]);
    // A record of padding alone.
    is_refused(UNEXPECTED_MESSAGE, |client| client.seal(0, &[0; 10]));
    is_refused(DECODE_ERROR, |client| client.seal(ALERT, &[WARNING]));
    is_refused(DECODE_ERROR, |client| client.seal(ALERT, &[1, 0, 1, 0]));
    is_refused(PROTOCOL_VERSION, |_| vec![DATA, 3, 1, 0, 20]);
    is_refused(BAD_RECORD_MAC, |_| vec![DATA, 3, 3, 0, 0]);
    is_refused(BAD_RECORD_MAC, |_| [&[DATA, 3, 3, 0, 16][..], &[0; 16]].concat());
    is_refused(BAD_RECORD_MAC, |client| {
        let mut record = client.seal(DATA, b"changed on its way");
        record[HEADER_BYTES] ^= 1;
        record
    });
    is_refused(BAD_RECORD_MAC, |client| {
        client.seal(DATA, b"one that is lost");
        client.seal(DATA, b"the next")
    });
    is_refused(RECORD_OVERFLOW, |client| client.seal(DATA, &[1; RECORD_BYTES_MAX + 1]));
    is_refused(RECORD_OVERFLOW, |_| vec![DATA, 3, 3, 0x41, 1]);
}

#[test]
fn padding_is_taken_off_and_warnings_are_few() {
    let (mut session, mut client) = Pair::new(TLS13_AES_128_GCM_SHA256).by_hand();
    // Type 0 at the end: what is sealed is the text, its type, and padding.
    let padded = client.seal(0, &[b"text\x17".as_slice(), &[0; 99]].concat());
    session.receive(&padded).unwrap();
    assert_eq!(session.plain.data(), b"text");
    session.receive(&client.seal(DATA, b"")).unwrap();
    session.receive(&client.seal(DATA, &[7; RECORD_BYTES_MAX])).unwrap();
    assert_eq!(session.plain.len(), 4 + RECORD_BYTES_MAX);
    for _ in 0..WARNING_ALERTS_MAX {
        session.receive(&client.seal(ALERT, &[WARNING, USER_CANCELED])).unwrap();
    }
    session.receive(&client.seal(ALERT, &[WARNING, USER_CANCELED])).unwrap_err();
}

#[test]
fn an_alert_of_the_client_is_the_end_and_gets_no_answer() {
    let (mut session, mut client) = Pair::new(TLS13_AES_128_GCM_SHA256).by_hand();
    let mut out = Buf::new();
    let bytes = client.seal(ALERT, &[FATAL, BAD_RECORD_MAC]);
    let error = session.lean.receive(&bytes, &mut session.plain, &mut out).unwrap_err();
    assert_eq!(error, Error::AlertReceived(AlertDescription::BadRecordMac));
    assert!(out.is_empty());
}

#[test]
fn a_renegotiation_is_declined() {
    let mut pair = Pair::new(SUITES[3]);
    let suite = pair.lean.suite;
    // The client's direction in the hands of the test: the same keys, one record further.
    let secrets = pair.client.dangerous_extract_secrets().unwrap();
    let mut client = Direction::new(&suite, secrets.tx).unwrap();
    let mut told = Direction::new(&suite, secrets.rx).unwrap();
    let hello = [CLIENT_HELLO, 0, 0, 4, 3, 3, 0, 0];
    for round in 0..=WARNING_ALERTS_MAX {
        let (mut record, mut out, mut text) = (Buf::new(), Buf::new(), [0; 64]);
        client.seal(&suite, HANDSHAKE, &hello, &mut record).unwrap();
        let result = pair.lean.receive(record.data(), &mut pair.plain, &mut out);
        let (header, body) = out.data().split_first_chunk().unwrap();
        let len = told.open(&suite, *header, body, &mut text).unwrap();
        let alert = match round < WARNING_ALERTS_MAX {
            true => [WARNING, NO_RENEGOTIATION],
            false => [FATAL, UNEXPECTED_MESSAGE],
        };
        assert_eq!(result.is_ok(), round < WARNING_ALERTS_MAX);
        assert_eq!((header[0], &text[..len]), (ALERT, &alert[..]));
    }
}
