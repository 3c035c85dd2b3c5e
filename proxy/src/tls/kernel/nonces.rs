//! The nonces with which the kernel goes on where rustls left off.

use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::Iv;

/// Moves the explicit nonces of TLS 1.2 (RFC 5288 section 3) out of the way of those that rustls has
/// used. rustls makes them of a start value XOR the record's number; the kernel begins at the start
/// value and counts up, so that its first record would have the nonce of our Finished, and two
/// records with one nonce give the key away. With the highest bit turned over the two never meet.
pub(super) fn fresh_nonces(secrets: ConnectionTrafficSecrets) -> ConnectionTrafficSecrets {
    let turned = |iv: Iv| {
        let mut bytes = [0; 12];
        bytes.copy_from_slice(iv.as_ref());
        bytes[4] ^= 0x80;
        Iv::new(bytes)
    };
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv: turned(iv) }
        }
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
            ConnectionTrafficSecrets::Aes256Gcm { key, iv: turned(iv) }
        }
        // The nonces of all others are start value XOR number with the kernel too.
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::AeadKey;

    use super::*;

    #[test]
    fn the_nonces_of_tls_1_2_never_meet_those_of_rustls() {
        for start in [[0; 12], [0xff; 12], [0x7f; 12]] {
            let key = AeadKey::from([7; 32]);
            let secrets = ConnectionTrafficSecrets::Aes256Gcm { key, iv: Iv::new(start) };
            let ConnectionTrafficSecrets::Aes256Gcm { iv, .. } = fresh_nonces(secrets) else {
                panic!("another cipher")
            };
            assert_eq!(iv.as_ref()[..4], start[..4], "the salt stays");
            let of = |iv: &[u8]| u64::from_be_bytes(iv[4..].try_into().unwrap());
            let (ours, kernels) = (of(&start), of(iv.as_ref()));
            for number in (0..1 << 16).chain((1 << 40)..(1 << 40) + 64) {
                let used = ours ^ number;
                // The kernel counts up from its start: how far would it have to?
                assert!(used.wrapping_sub(kernels) > 1 << 48, "{number}");
            }
        }
    }
}
