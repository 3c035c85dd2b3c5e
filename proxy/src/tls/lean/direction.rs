//! One direction's records: its key, its nonces, and the number of the next record.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce,
    UnboundKey,
};
use aws_lc_rs::error::Unspecified;
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::{ConnectionTrafficSecrets, Error};

use super::contexts::Context;
use crate::buf::Buf;
use crate::tls::kernel::{Cipher, Suite};
use crate::tls::records::{DATA, HEADER_BYTES, VERSION};

/// See the module. The key is wiped when it is dropped: rustls's [`AeadKey`] does that.
pub(super) struct Direction {
    key: AeadKey,
    iv: Iv,
    /// Of the next record.
    number: u64,
    context: Context,
}

impl Direction {
    /// Errors: the secrets are of another cipher than `suite`.
    pub(super) fn new(
        suite: &Suite,
        (number, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Self, Error> {
        let (cipher, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (Cipher::Chacha20Poly1305, key, iv)
            }
            _ => return Err(Error::General("a cipher that is not known here".into())),
        };
        if cipher != suite.cipher {
            return Err(Error::General("keys of another cipher".into()));
        }
        Ok(Self { key, iv, number, context: Context::new() })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    #[cfg(test)]
    pub(super) fn skip_to(&mut self, number: u64) {
        self.number = number;
    }

    /// Appends a record to `out`.
    ///
    /// Errors: the numbers are used up, or aws-lc fails.
    pub(super) fn seal(
        &mut self,
        suite: &Suite,
        kind: u8,
        payload: &[u8],
        out: &mut Buf,
    ) -> Result<(), Error> {
        let nonce = self.nonce();
        let before = HEADER_BYTES + explicit_nonce_bytes(suite);
        let inner = payload.len() + usize::from(suite.tls13);
        let len = before + inner + MAX_TAG_LEN;
        let kind_seen = if suite.tls13 { DATA } else { kind };
        let header = header(kind_seen, len - HEADER_BYTES);
        let space = &mut out.space(len)[..len];
        space[..HEADER_BYTES].copy_from_slice(&header);
        space[HEADER_BYTES..before].copy_from_slice(&nonce[NONCE_LEN - (before - HEADER_BYTES)..]);
        space[before..before + payload.len()].copy_from_slice(payload);
        if suite.tls13 {
            space[before + payload.len()] = kind;
        }
        let number = self.next_number().ok_or(Error::EncryptError)?;
        let (text, tag) = space[before..].split_at_mut(inner);
        let (data, data_len) = additional(suite, header, number, payload.len());
        let sealed = self.context.with(
            || expand(suite.cipher, &self.key),
            |key| {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_separate_tag(nonce, Aad::from(&data[..data_len]), text)
            },
        );
        tag.copy_from_slice(sealed.map_err(|_| Error::EncryptError)?.as_ref());
        out.filled(len);
        Ok(())
    }

    /// Decrypts `body`, what follows a record's header, to the front of `into`, which has room for
    /// it: the plaintext's length, TLS 1.3's type and padding included.
    ///
    /// Errors: it was not made with this key and number, or is too short for a record.
    pub(super) fn open(
        &mut self,
        suite: &Suite,
        header: [u8; HEADER_BYTES],
        body: &[u8],
        into: &mut [u8],
    ) -> Result<usize, Error> {
        let explicit = explicit_nonce_bytes(suite);
        let len = body.len().checked_sub(explicit + MAX_TAG_LEN).ok_or(Error::DecryptError)?;
        let (text, tag) = body[explicit..].split_at(len);
        let mut nonce = self.nonce();
        nonce[NONCE_LEN - explicit..].copy_from_slice(&body[..explicit]);
        let number = self.next_number().ok_or(Error::DecryptError)?;
        let (data, data_len) = additional(suite, header, number, len);
        let opened = self.context.with(
            || expand(suite.cipher, &self.key),
            |key| {
                let (nonce, data) =
                    (Nonce::assume_unique_for_key(nonce), Aad::from(&data[..data_len]));
                key.open_separate_gather(nonce, data, text, tag, &mut into[..len])
            },
        );
        opened.map_err(|_| Error::DecryptError)?;
        Ok(len)
    }

    /// RFC 8446 section 5.3, RFC 7905 section 2. The explicit nonces of TLS 1.2 with AES-GCM (RFC
    /// 5288 section 3) are ours to choose; rustls makes them the same way, so ours go on where its
    /// ended.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(self.iv.as_ref());
        for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= of_number;
        }
        nonce
    }

    /// The number of this record. `None`: it was the last one there is.
    fn next_number(&mut self) -> Option<u64> {
        let number = self.number;
        self.number = number.checked_add(1)?;
        Some(number)
    }
}

fn explicit_nonce_bytes(suite: &Suite) -> usize {
    match (suite.tls13, suite.cipher) {
        (false, Cipher::Aes128Gcm | Cipher::Aes256Gcm) => 8,
        (false, Cipher::Chacha20Poly1305) | (true, _) => 0,
    }
}

fn header(kind: u8, len: usize) -> [u8; HEADER_BYTES] {
    let len = u16::try_from(len).expect("a record is shorter than 64 KiB").to_be_bytes();
    [kind, VERSION[0], VERSION[1], len[0], len[1]]
}

/// The additional data: of TLS 1.3 the header (RFC 8446 section 5.2), of TLS 1.2 the number, the
/// type, the version and the plaintext's length (RFC 5246 section 6.2.3.3).
fn additional(
    suite: &Suite,
    header: [u8; HEADER_BYTES],
    number: u64,
    len: usize,
) -> ([u8; 8 + HEADER_BYTES], usize) {
    let mut data = [0; 8 + HEADER_BYTES];
    if suite.tls13 {
        data[..HEADER_BYTES].copy_from_slice(&header);
        return (data, HEADER_BYTES);
    }
    let len = u16::try_from(len).expect("a record is shorter than 64 KiB");
    data[..8].copy_from_slice(&number.to_be_bytes());
    data[8..].copy_from_slice(&header);
    data[8 + HEADER_BYTES - 2..].copy_from_slice(&len.to_be_bytes());
    (data, 8 + HEADER_BYTES)
}

fn expand(cipher: Cipher, key: &AeadKey) -> Result<LessSafeKey, Unspecified> {
    let algorithm = match cipher {
        Cipher::Aes128Gcm => &AES_128_GCM,
        Cipher::Aes256Gcm => &AES_256_GCM,
        Cipher::Chacha20Poly1305 => &CHACHA20_POLY1305,
    };
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref())?))
}
