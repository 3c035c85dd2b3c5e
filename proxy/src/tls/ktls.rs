//! TLS handed to the kernel: what this kernel can, found out once, and the moment at which a
//! connection goes over.
//!
//! ```text
//!   Session ------------------------- hand_over ------------------------> Kernel
//!      |  all of: the suite is one that the kernel does; nothing received      |
//!      |  and undecrypted; nothing encrypted and unsent; nothing that rustls   |
//!      |  might owe; the ULP taken                                             |
//!      '-- otherwise it stays: this answer is copied,             an error between
//!          the next large one asks again                       here and there: Lost
//! ```
//! There is no way back, so everything that can be refused is refused before.

use std::fmt::Write as _;
use std::io;
use std::mem;
use std::pin::pin;
use std::time::{Duration, Instant};

use ktls_core::setup::{TlsCryptoInfoRx, TlsCryptoInfoTx, setup_ulp};
use ktls_core::tls::{AeadKey, ConnectionTrafficSecrets, ProtocolVersion};
use rustls::SupportedCipherSuite;

use super::kernel::{Cipher, Kernel, Keys, Suite, Wire};
use super::stream::{Layer, Stream, Tls};
use crate::config::{Ktls, Protocols};
use crate::fault::{Cause, Fault};
use crate::io::ktls::{Incoming, loopback_pair};
use crate::io::socket::Socket;
use crate::io::splice::Pipe;
use crate::io::timer;

/// What the kernel does for connections, as configured and probed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offload {
    /// Version (TLS 1.3 or not) and cipher.
    suites: Vec<(bool, Cipher)>,
    rekeys: bool,
}

/// Finds out what this kernel can and decides what to use of it; one line about that is added to
/// `notes`.
///
/// Errors: `on`, and it can't be had; in words for the user.
pub fn decide(
    ktls: Ktls,
    protocols: Protocols,
    notes: &mut Vec<String>,
) -> Result<Offload, String> {
    if ktls == Ktls::Off {
        return Ok(Offload::default());
    }
    let probed = probe(protocols).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => "the kernel has no TLS, or its module `tls` is not loaded".to_owned(),
        _ => format!("the kernel refuses: {error}"),
    });
    // Asking for the ciphers has loaded them, so the list is complete now.
    let crypto = std::fs::read_to_string("/proc/crypto").unwrap_or_default();
    let (offload, words) = choose(ktls, probed, &crypto)?;
    notes.push(words);
    Ok(offload)
}

fn choose(
    ktls: Ktls,
    probed: Result<Offload, String>,
    crypto: &str,
) -> Result<(Offload, String), String> {
    let nothing = |why: &str| {
        if ktls == Ktls::On {
            return Err(format!(
                "ktls = \"on\" can't be had here: {why}\n  hint: `modprobe tls` as root, and at \
                 boot from /etc/modules-load.d/; ktls = \"auto\" does without where it must"
            ));
        }
        Ok((Offload::default(), format!("kernel TLS is not used: {why}")))
    };
    let mut offload = match probed {
        Ok(offload) => offload,
        Err(why) => return nothing(&why),
    };
    if offload.suites.is_empty() {
        return nothing("it does none of the ciphers of the TLS versions that are configured");
    }
    if ktls == Ktls::Auto {
        offload.suites.retain(|(_, cipher)| is_accelerated(crypto, *cipher));
        if offload.suites.is_empty() {
            return nothing("this kernel computes the ciphers without the processor's help");
        }
    }
    let words = offload.words(crypto);
    Ok((offload, words))
}

impl Offload {
    /// True when there is a connection that could go over.
    pub fn is_some(&self) -> bool {
        !self.suites.is_empty()
    }

    fn does(&self, suite: Option<SupportedCipherSuite>) -> bool {
        let suite = suite.and_then(Suite::of);
        suite.is_some_and(|suite| self.suites.contains(&(suite.tls13, suite.cipher)))
    }

    /// "kernel TLS for large answers: TLS 1.2 AES-128-GCM (generic-gcm-aesni), ..."
    fn words(&self, crypto: &str) -> String {
        let mut words = "kernel TLS for large answers:".to_owned();
        for (index, (tls13, cipher)) in self.suites.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let version = if *tls13 { "1.3" } else { "1.2" };
            let driver = driver(crypto, *cipher).unwrap_or("unknown driver");
            let name = cipher.name();
            write!(words, "{comma} TLS {version} {name} ({driver})")
                .expect("a String takes every write");
        }
        words.push_str(match self.rekeys {
            true => "; it follows key updates",
            false => "; a client that renews its keys is disconnected (Linux 6.14 can follow)",
        });
        words
    }
}

impl Cipher {
    const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::Chacha20Poly1305];

    fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
            Self::Chacha20Poly1305 => "ChaCha20-Poly1305",
        }
    }

    /// As /proc/crypto has it.
    fn algorithm(self) -> &'static str {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => "gcm(aes)",
            Self::Chacha20Poly1305 => "rfc7539(chacha20,poly1305)",
        }
    }

    /// Size of the structure in which the kernel takes and gives keys and numbers.
    fn info_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => size_of::<libc::tls12_crypto_info_aes_gcm_128>(),
            Self::Aes256Gcm => size_of::<libc::tls12_crypto_info_aes_gcm_256>(),
            Self::Chacha20Poly1305 => size_of::<libc::tls12_crypto_info_chacha20_poly1305>(),
        }
    }
}

/// Tries every suite on a connection of its own.
fn probe(protocols: Protocols) -> io::Result<Offload> {
    let mut offload = Offload::default();
    let versions = [(protocols.tls12, false), (protocols.tls13, true)];
    for (_, tls13) in versions.into_iter().filter(|(wanted, _)| *wanted) {
        for cipher in Cipher::ALL {
            let (near, _far) = loopback_pair()?;
            setup_ulp(&near).map_err(io::Error::from)?;
            let send = || trial_keys(tls13, cipher)?.set(&near).map_err(io::Error::from);
            if send().is_err() {
                continue;
            }
            offload.suites.push((tls13, cipher));
            offload.rekeys |= tls13 && send().is_ok();
        }
    }
    Ok(offload)
}

fn trial_keys(tls13: bool, cipher: Cipher) -> io::Result<TlsCryptoInfoTx> {
    let secrets = match cipher {
        Cipher::Aes128Gcm => ConnectionTrafficSecrets::Aes128Gcm {
            key: AeadKey::new([1; 16]),
            iv: [0; 8],
            salt: [0; 4],
        },
        Cipher::Aes256Gcm => ConnectionTrafficSecrets::Aes256Gcm {
            key: AeadKey::new([1; 32]),
            iv: [0; 8],
            salt: [0; 4],
        },
        Cipher::Chacha20Poly1305 => ConnectionTrafficSecrets::Chacha20Poly1305 {
            key: AeadKey::new([1; 32]),
            iv: [0; 12],
            salt: [],
        },
    };
    let version = if tls13 { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
    TlsCryptoInfoTx::new(version, secrets, 0).map_err(io::Error::from)
}

/// The driver that the kernel prefers for `cipher`.
fn driver(crypto: &str, cipher: Cipher) -> Option<&str> {
    let blocks = crypto.split("\n\n").filter_map(|block| {
        let value = |key: &str| {
            block.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                (name.trim() == key).then(|| value.trim())
            })
        };
        let matches = value("name")? == cipher.algorithm();
        let priority: i32 = value("priority")?.parse().ok()?;
        matches.then_some((priority, value("driver")?))
    });
    blocks.max_by_key(|(priority, _)| *priority).map(|(_, driver)| driver)
}

/// True when the processor's own instructions do the whole cipher. The template `gcm_base` puts it
/// together of parts, of which one at least is slow.
fn is_accelerated(crypto: &str, cipher: Cipher) -> bool {
    driver(crypto, cipher).is_some_and(|driver| {
        let marks: &[&str] = match cipher {
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => &["aesni", "vaes", "aes-ce", "p10"],
            Cipher::Chacha20Poly1305 => &["simd", "neon", "-lib", "p10"],
        };
        !driver.starts_with("gcm_base(") && marks.iter().any(|mark| driver.contains(mark))
    })
}

impl Stream {
    /// Gives the connection's TLS to the kernel, if it can have it now: see the module's picture.
    /// True when the kernel has it, since now or before.
    ///
    /// Errors leave a connection that can only be closed.
    pub fn hand_over(&self, offload: &Offload) -> Result<bool, Fault> {
        let Some(tls) = &self.tls else { return Ok(false) };
        let Tls { layer, incoming, outgoing, ended } = &mut *tls.borrow_mut();
        let session = match layer {
            Layer::Kernel(_) => return Ok(true),
            Layer::Lean(_) | Layer::Lost => return Ok(false),
            Layer::Session(session) => session,
        };
        // Bytes that the ring receives would come past the kernel's TLS.
        let unposted = self.posted.borrow().is_none();
        let between_records = unposted && incoming.is_empty() && outgoing.is_empty() && !*ended;
        if !between_records || !session.may_leave() || !offload.does(session.suite()) {
            return Ok(false);
        }
        // Does nothing by itself.
        if setup_ulp(&self.socket.fd()).is_err() {
            return Ok(false);
        }
        let Layer::Session(session) = mem::replace(layer, Layer::Lost) else { return Ok(false) };
        let (secrets, rustls) =
            session.into_kernel().map_err(|error| self.fault(Cause::Tls(error)))?;
        let kernel = Kernel::install(&self.socket, rustls, secrets, offload.rekeys, Instant::now());
        *layer = Layer::Kernel(Box::new(kernel.map_err(|error| self.fault(Cause::Io(error)))?));
        Ok(true)
    }

    /// Waits until a read would not block, within the step of the caller.
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        self.socket.readable()
    }

    /// True when what comes next on this stream may go past us.
    pub fn may_be_spliced(&self) -> bool {
        !self.is_tls() && self.posted.borrow().is_none()
    }

    /// Moves up to `bytes` of a plain stream into `pipe`: as [`Pipe::fill`].
    pub fn fill(&self, pipe: &mut Pipe, bytes: usize) -> Result<Option<usize>, Fault> {
        debug_assert!(self.may_be_spliced());
        pipe.fill(&self.socket, bytes).map_err(|error| self.fault(Cause::Io(error)))
    }

    /// Moves up to `bytes` from `pipe` to the peer: as [`Pipe::drain`]. Only for a stream whose TLS
    /// the kernel does.
    pub fn drain(&self, pipe: &mut Pipe, bytes: usize) -> Result<Option<usize>, Fault> {
        let Some(tls) = &self.tls else { return Err(self.fault(lost())) };
        let Layer::Kernel(kernel) = &mut tls.borrow_mut().layer else {
            return Err(self.fault(lost()));
        };
        if !kernel.may_send(&self.socket).map_err(|cause| self.sending(cause))? {
            return Ok(None);
        }
        let moved =
            pipe.drain(&self.socket, bytes).map_err(|error| self.sending(Cause::Io(error)))?;
        kernel.count(moved.unwrap_or(0));
        self.count_sent(moved.unwrap_or(0));
        Ok(moved)
    }

    /// What the end of our direction would cut off: see [`Kernel::unsettled`].
    pub(super) fn unsettled(&self) -> Result<u64, Fault> {
        let Some(tls) = &self.tls else { return Ok(0) };
        let Layer::Kernel(kernel) = &tls.borrow().layer else { return Ok(0) };
        kernel.unsettled(&self.socket).map_err(|error| self.sending(Cause::Io(error)))
    }

    /// Waits until nothing would be cut off, as long as the client takes something. The kernel has
    /// no readiness for this.
    pub(super) async fn settle(&self) -> Result<(), Fault> {
        let watch = self.watch.beside();
        watch.enter(self.send_stage(), self.send_limit.get());
        let mut least = u64::MAX;
        loop {
            let left = self.unsettled()?;
            if left == 0 || self.socket.is_broken() {
                return Ok(());
            }
            if left < least {
                least = left;
                watch.postpone(self.send_limit.get());
            }
            watch.wait(pin!(timer::sleep(SETTLE_INTERVAL))).await?;
        }
    }
}

const SETTLE_INTERVAL: Duration = Duration::from_millis(10);

/// What a stream says whose hand-over failed half-way.
pub(super) fn lost() -> Cause {
    Cause::Tls(rustls::Error::General("the hand-over to the kernel failed".into()))
}

impl Wire for Socket {
    fn receive(&self, into: &mut [u8]) -> io::Result<Option<Incoming>> {
        self.try_recv_record(into)
    }

    fn send(&self, data: &[u8]) -> io::Result<Option<usize>> {
        self.try_send(data)
    }

    fn send_record(&self, kind: u8, payload: &[u8]) -> io::Result<bool> {
        self.try_send_record(kind, payload)
    }

    fn install(&self, suite: &Suite, keys: Keys) -> io::Result<()> {
        let version = suite.version().into();
        match keys {
            Keys::Send(number, secrets) => {
                TlsCryptoInfoTx::new(version, secrets.try_into()?, number)?.set(&self.fd())?;
            }
            Keys::Receive(number, secrets) => {
                TlsCryptoInfoRx::new(version, secrets.try_into()?, number)?.set(&self.fd())?;
            }
        }
        Ok(())
    }

    fn next_record(&self, suite: &Suite) -> io::Result<u64> {
        Socket::next_record(self, suite.cipher.info_bytes())
    }

    fn bytes_queued(&self) -> io::Result<u64> {
        Socket::bytes_queued(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AESNI: &str = "name         : __gcm(aes)\ndriver       : cryptd(__generic-gcm-aesni)\n\
                         priority     : 450\n\nname         : gcm(aes)\n\
                         driver       : generic-gcm-aesni\npriority     : 400\n\n\
                         name         : gcm(aes)\ndriver       : gcm_base(ctr-aes-aesni,ghash-generic)\n\
                         priority     : 100\n";
    const PARTS: &str = "name : gcm(aes)\ndriver : gcm_base(ctr-aes-aesni,ghash-generic)\n\
                         priority : 100\n";

    fn all() -> Offload {
        let suites = [false, true].into_iter();
        let suites = suites.flat_map(|v| Cipher::ALL.map(|cipher| (v, cipher))).collect();
        Offload { suites, rekeys: true }
    }

    #[test]
    fn auto_takes_what_the_processor_helps_with() {
        let (offload, words) = choose(Ktls::Auto, Ok(all()), AESNI).unwrap();
        let ciphers: Vec<_> = offload.suites.iter().map(|(_, cipher)| *cipher).collect();
        assert!(!ciphers.contains(&Cipher::Chacha20Poly1305));
        assert_eq!(ciphers.len(), 4);
        assert!(words.contains("TLS 1.3 AES-128-GCM (generic-gcm-aesni)"), "{words}");
        for crypto in [PARTS, ""] {
            let (offload, words) = choose(Ktls::Auto, Ok(all()), crypto).unwrap();
            assert!(!offload.is_some());
            assert!(words.contains("without the processor's help"), "{words}");
        }
    }

    #[test]
    fn on_takes_all_or_fails_and_auto_never_fails() {
        assert_eq!(choose(Ktls::On, Ok(all()), "").unwrap().0, all());
        let missing = || Err("no module".to_owned());
        let error = choose(Ktls::On, missing(), AESNI).unwrap_err();
        assert!(error.contains("ktls = \"on\"") && error.contains("no module"), "{error}");
        assert!(error.contains("modprobe tls"), "{error}");
        assert!(!choose(Ktls::Auto, missing(), AESNI).unwrap().0.is_some());
        assert!(choose(Ktls::On, Ok(Offload::default()), AESNI).is_err());
    }

    #[test]
    fn off_asks_nothing_and_says_nothing() {
        let protocols = Protocols { tls12: true, tls13: true };
        let mut notes = Vec::new();
        assert_eq!(decide(Ktls::Off, protocols, &mut notes), Ok(Offload::default()));
        assert!(notes.is_empty());
    }
}
