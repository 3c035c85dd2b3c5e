//! A connection that has gone over, its client, and a kernel in memory between them.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};

use rustls::ClientConnection;

use super::*;
use crate::limits::RECORD_BYTES_MAX;
use crate::tls::ends::{Direction, deliver, ends, flight};

/// The kernel's part in memory, for TLS 1.3 with AES-128-GCM: one record a receive.
#[derive(Default)]
struct Double {
    send: RefCell<Option<Direction>>,
    receive: RefCell<Option<Direction>>,
    /// Ciphertext from the client and to it.
    from_client: RefCell<Vec<u8>>,
    to_client: RefCell<Vec<u8>>,
    queued: Cell<u64>,
    /// Takes nothing now.
    full: Cell<bool>,
    /// Added to the count of records.
    records_more: Cell<u64>,
    closed: Cell<bool>,
}

impl Double {
    fn seal(&self, kind: u8, payload: &[u8]) {
        let record = self.send.borrow_mut().as_mut().unwrap().seal(kind, payload);
        self.queued.set(self.queued.get() + record.len() as u64);
        self.to_client.borrow_mut().extend(record);
    }
}

impl Wire for Double {
    fn receive(&self, into: &mut [u8]) -> io::Result<Option<Incoming>> {
        let mut bytes = self.from_client.borrow_mut();
        let whole = bytes.len() >= 5
            && bytes.len() >= 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        if !whole {
            return Ok(self.closed.get().then_some(Incoming::End));
        }
        let len = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        let mut record: Vec<u8> = bytes.drain(..5 + len).collect();
        let receive = &mut *self.receive.borrow_mut();
        let Some((kind, payload)) = receive.as_mut().unwrap().open(&mut record) else {
            return Err(io::Error::from_raw_os_error(libc::EBADMSG));
        };
        into[..payload.len()].copy_from_slice(payload);
        Ok(Some(Incoming::Record { kind, len: payload.len() }))
    }

    fn send(&self, data: &[u8]) -> io::Result<Option<usize>> {
        if self.full.get() {
            return Ok(None);
        }
        let piece = &data[..data.len().min(RECORD_BYTES_MAX)];
        self.seal(DATA, piece);
        Ok(Some(piece.len()))
    }

    fn send_record(&self, kind: u8, payload: &[u8]) -> io::Result<bool> {
        if !self.full.get() {
            self.seal(kind, payload);
        }
        Ok(!self.full.get())
    }

    fn install(&self, _suite: &Suite, keys: Keys) -> io::Result<()> {
        match keys {
            Keys::Send(number, secrets) => {
                self.send.replace(Some(Direction::new(number, &secrets)));
                self.records_more.set(0);
            }
            Keys::Receive(number, secrets) => {
                self.receive.replace(Some(Direction::new(number, &secrets)));
            }
        }
        Ok(())
    }

    fn next_record(&self, _suite: &Suite) -> io::Result<u64> {
        Ok(self.send.borrow().as_ref().unwrap().number + self.records_more.get())
    }

    fn bytes_queued(&self) -> io::Result<u64> {
        Ok(self.queued.get())
    }
}

/// A connection that has gone over, and its client.
struct Pair {
    wire: Double,
    kernel: Kernel,
    client: ClientConnection,
    plain: Buf,
    began: Instant,
}

impl Pair {
    /// Handshake, a request, the head of the answer, and the hand-over.
    fn new(rekeys: bool) -> Self {
        let (mut session, mut client) = ends();
        let mut plain = Buf::new();
        while session.is_handshaking() || client.is_handshaking() {
            let mut out = Buf::new();
            session.receive(&mut flight(&mut client), &mut plain, &mut out).unwrap();
            deliver(&mut client, out.data()).unwrap();
        }
        client.writer().write_all(b"request").unwrap();
        // rustls answers it with the next data that it sends.
        client.refresh_traffic_keys().unwrap();
        let mut out = Buf::new();
        session.receive(&mut flight(&mut client), &mut plain, &mut out).unwrap();
        assert!(!session.may_leave(), "it owes a KeyUpdate and does not say so");
        session.send(&mut [], b"head", &mut out).unwrap();
        assert!(session.may_leave());
        assert_eq!(deliver(&mut client, out.data()).unwrap(), b"head");
        let (secrets, rustls) = session.into_kernel().unwrap();
        let (wire, began) = (Double::default(), Instant::now());
        let kernel = Kernel::install(&wire, rustls, secrets, rekeys, began).unwrap();
        Self { wire, kernel, client, plain: Buf::new(), began }
    }

    fn receive_after(&mut self, time: Duration) -> Result<Option<Input>, Cause> {
        self.wire.from_client.borrow_mut().extend(flight(&mut self.client));
        self.kernel.receive(&self.wire, &mut self.plain, self.began + time)
    }

    fn receive(&mut self) -> Result<Option<Input>, Cause> {
        self.receive_after(Duration::ZERO)
    }

    /// What the client gets of what was sent so far.
    fn delivered(&mut self) -> Result<Vec<u8>, Error> {
        let bytes = std::mem::take(&mut *self.wire.to_client.borrow_mut());
        deliver(&mut self.client, &bytes)
    }

    /// Both ways still work.
    fn talks(&mut self) {
        self.client.writer().write_all(b"ping").unwrap();
        assert_eq!(self.receive().unwrap(), Some(Input::Data));
        assert_eq!(self.plain.data(), b"ping");
        self.plain.clear();
        assert_eq!(self.kernel.try_send(&self.wire, b"pong").unwrap(), Some(4));
        assert_eq!(self.delivered().unwrap(), b"pong");
        assert_eq!(self.kernel.unsettled(&self.wire).unwrap(), 0);
    }
}

#[test]
fn bytes_go_both_ways_and_ends_are_told_apart() {
    let mut pair = Pair::new(true);
    pair.talks();
    assert_eq!(pair.receive().unwrap(), None);
    pair.client.send_close_notify();
    assert_eq!(pair.receive().unwrap(), Some(Input::End));
    assert_eq!(pair.receive().unwrap(), Some(Input::End), "and so it stays");

    let mut pair = Pair::new(true);
    pair.wire.closed.set(true);
    assert_eq!(pair.receive().unwrap(), Some(Input::Truncated));
}

#[test]
fn a_record_waits_until_it_is_whole_wherever_it_is_cut() {
    let mut pair = Pair::new(true);
    for cut in 0..26 {
        pair.client.writer().write_all(b"ping").unwrap();
        let record = flight(&mut pair.client);
        pair.wire.from_client.borrow_mut().extend_from_slice(&record[..cut]);
        assert_eq!(pair.receive().unwrap(), None, "{cut}");
        pair.wire.from_client.borrow_mut().extend_from_slice(&record[cut..]);
        assert_eq!(pair.receive().unwrap(), Some(Input::Data), "{cut}");
        pair.plain.clear();
    }
}

#[test]
fn new_keys_are_followed_and_ours_go_out_before_more_data() {
    let mut pair = Pair::new(true);
    for _ in 0..3 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.wire.full.set(true);
        assert_eq!(pair.receive().unwrap(), None);
        assert!(pair.kernel.owes());
        assert_eq!(pair.kernel.try_send(&pair.wire, b"later").unwrap(), None);
        pair.wire.full.set(false);
        pair.talks();
    }
}

#[test]
fn a_kernel_without_new_keys_says_goodbye() {
    let mut pair = Pair::new(false);
    pair.client.refresh_traffic_keys().unwrap();
    let Err(Cause::Tls(error)) = pair.receive() else { panic!("no fault") };
    assert!(error.to_string().contains("can't follow"), "{error}");
    assert_eq!(pair.delivered().unwrap(), b"");
    assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0, "close_notify, no truncation");
}

#[test]
fn so_many_key_updates_a_minute_and_no_more() {
    let mut pair = Pair::new(true);
    let mut renew = |after: u64| {
        pair.client.refresh_traffic_keys().unwrap();
        let result = pair.receive_after(Duration::from_secs(after));
        let _ = pair.kernel.try_flush(&pair.wire);
        let _ = pair.delivered();
        result.is_ok()
    };
    assert!((0..KEY_UPDATES_PER_MINUTE_MAX).all(|_| renew(1)));
    assert!((0..KEY_UPDATES_PER_MINUTE_MAX).all(|_| renew(61)));
    assert!(!renew(62));
}

#[test]
fn a_key_that_is_nearly_worn_out_is_renewed_or_given_up() {
    for rekeys in [true, false] {
        let mut pair = Pair::new(rekeys);
        let limit = pair.kernel.suite.limit;
        pair.wire.records_more.set(limit - RECORDS_LEFT_MIN);
        let sends = (0..SENDS_PER_RECORD_COUNT).map(|_| {
            let sent = pair.kernel.try_send(&pair.wire, b"x");
            sent.map(|_| pair.delivered().unwrap())
        });
        assert_eq!(sends.filter(Result::is_err).count(), usize::from(!rekeys));
        assert_eq!(pair.wire.records_more.get() == 0, rekeys, "new keys");
    }
}

#[test]
fn what_has_no_place_gets_an_alert() {
    let finished = [20, 0, 0, 1, 0];
    let half_a_key_update = [KEY_UPDATE, 0];
    let two_key_updates = [KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE, 0, 0, 1, 0];
    for message in [&finished[..], &half_a_key_update, &two_key_updates] {
        let mut pair = Pair::new(true);
        let result = pair.kernel.control(
            &pair.wire,
            HANDSHAKE,
            &message[..message.len().min(KEY_UPDATE_BYTES)],
            message.len(),
            pair.began,
        );
        assert!(matches!(result, Err(Cause::Tls(_))), "{message:?}");
        let told = pair.delivered().unwrap_err();
        assert_eq!(told, Error::AlertReceived(AlertDescription::UnexpectedMessage));
    }
    let mut pair = Pair::new(true);
    let garbage = b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    pair.wire.from_client.borrow_mut().extend_from_slice(garbage);
    assert!(matches!(pair.receive(), Err(Cause::Tls(Error::DecryptError))));
    let told = pair.delivered().unwrap_err();
    assert_eq!(told, Error::AlertReceived(AlertDescription::BadRecordMac));
}
