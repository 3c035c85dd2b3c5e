//! What was negotiated, as far as the kernel and the counts need it.

use rustls::{ProtocolVersion, SupportedCipherSuite};

/// A version and a cipher, and how long a key lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tls) struct Suite {
    pub(in crate::tls) tls13: bool,
    pub(in crate::tls) cipher: Cipher,
    /// Records that may be sent under one key.
    pub(in crate::tls) limit: u64,
}

/// The ciphers that rustls and the kernel share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tls) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    Chacha20Poly1305,
}

impl Suite {
    /// `None`: one that we do not know.
    pub(in crate::tls) fn of(suite: SupportedCipherSuite) -> Option<Self> {
        use rustls::CipherSuite as Name;
        let (tls13, limit) = match suite {
            SupportedCipherSuite::Tls13(suite) => (true, suite.common.confidentiality_limit),
            SupportedCipherSuite::Tls12(suite) => (false, suite.common.confidentiality_limit),
        };
        let cipher = match suite.suite() {
            Name::TLS13_AES_128_GCM_SHA256
            | Name::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | Name::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Cipher::Aes128Gcm,
            Name::TLS13_AES_256_GCM_SHA384
            | Name::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | Name::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Cipher::Aes256Gcm,
            Name::TLS13_CHACHA20_POLY1305_SHA256
            | Name::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | Name::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Cipher::Chacha20Poly1305,
            _ => return None,
        };
        Some(Self { tls13, cipher, limit })
    }

    pub(in crate::tls) fn version(&self) -> ProtocolVersion {
        if self.tls13 { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 }
    }

    /// Bytes that a record is longer than its plaintext: header, tag, and the explicit nonce of
    /// TLS 1.2 or the inner type of TLS 1.3.
    pub(super) fn overhead(&self) -> u64 {
        match (self.tls13, self.cipher) {
            (true, _) => 5 + 1 + 16,
            (false, Cipher::Aes128Gcm | Cipher::Aes256Gcm) => 5 + 8 + 16,
            (false, Cipher::Chacha20Poly1305) => 5 + 16,
        }
    }
}
