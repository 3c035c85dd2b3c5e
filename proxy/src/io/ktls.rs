//! A TCP socket whose TLS is done by the kernel: records with their types, and how far they have
//! come. No protocol here: see `tls/kernel`.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use zeroize::Zeroizing;

use super::socket::{Socket, retry};

/// What one receive gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// Plaintext of one record, or of several data records.
    Record { kind: u8, len: usize },
    /// The end of the TCP stream.
    End,
}

impl Socket {
    /// What has come, decrypted; `None` when there is no whole record yet. Without room for the
    /// record's type the kernel would answer EIO to all that is not data.
    pub fn try_recv_record(&self, into: &mut [u8]) -> io::Result<Option<Incoming>> {
        let mut control = Control::default();
        let mut piece = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        // SAFETY: a msghdr of zeros is a valid, empty one.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        let received = retry(|| {
            message.msg_control = (&raw mut control).cast();
            message.msg_controllen = mem::size_of::<Control>() as _;
            // SAFETY: `message` points at `into` and `control`, which live and are borrowed
            // mutably until the call has returned.
            let n = unsafe {
                libc::recvmsg(self.fd().as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT)
            };
            usize::try_from(n).map_err(|_| last_error())
        })?;
        let Some(len) = received else { return Ok(None) };
        match control.kind(message.msg_controllen as usize) {
            Some(kind) => Ok(Some(Incoming::Record { kind, len })),
            None if len == 0 => Ok(Some(Incoming::End)),
            None => Err(io::Error::other("the kernel gave a TLS record without its type")),
        }
    }

    /// Sends one record of a type other than data; false when the kernel takes none now.
    pub fn try_send_record(&self, kind: u8, payload: &[u8]) -> io::Result<bool> {
        let mut control = Control::of(kind);
        let mut piece =
            libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        // SAFETY: a msghdr of zeros is a valid, empty one.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = mem::size_of::<Control>() as _;
        let sent = retry(|| {
            // SAFETY: `message` points at `payload`, which sendmsg only reads, and at `control`;
            // both live until the call has returned.
            let n = unsafe {
                let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                libc::sendmsg(self.fd().as_raw_fd(), &raw const message, flags)
            };
            usize::try_from(n).map_err(|_| last_error())
        })?;
        Ok(sent.is_some())
    }

    /// The number of the next record that the kernel sends under the present key. `info_bytes`: the
    /// size of the cipher's `tls12_crypto_info_*`.
    pub fn next_record(&self, info_bytes: usize) -> io::Result<u64> {
        // The key is among these bytes.
        let mut info = Zeroizing::new([0; INFO_BYTES_MAX]);
        let n = self.option(libc::SOL_TLS, libc::TLS_TX, &mut info[..info_bytes])?;
        // Every one of these structures ends with the number, big-endian.
        let number = n.checked_sub(8).and_then(|start| info[start..n].first_chunk());
        number.map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(short_answer)
    }

    /// Bytes that TCP has been given since the connection began, but for a constant.
    pub fn bytes_queued(&self) -> io::Result<u64> {
        // Acknowledged first: an acknowledgement in between makes the sum too small, never too large.
        let mut info = [0; TCP_INFO_BYTES];
        let n = self.option(libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
        let acknowledged = info[..n].get(BYTES_ACKED..).and_then(|rest| rest.first_chunk());
        let acknowledged =
            acknowledged.copied().map(u64::from_ne_bytes).ok_or_else(short_answer)?;
        let mut queued: libc::c_int = 0;
        // SAFETY: TIOCOUTQ writes one int, and `queued` is one.
        let result = unsafe { libc::ioctl(self.fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(acknowledged + u64::from(queued.unsigned_abs()))
    }

    fn option(&self, level: i32, name: i32, into: &mut [u8]) -> io::Result<usize> {
        let mut len = into.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes, which `into` has, and the length.
        let result = unsafe {
            libc::getsockopt(
                self.fd().as_raw_fd(),
                level,
                name,
                into.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(len as usize) }
    }
}

/// Two ends of a TCP connection on this machine, to try on what the kernel can.
pub fn loopback_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    Ok((near, listener.accept()?.0))
}

/// One control message that carries a record's type.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    kind: u8,
    padding: [u8; mem::align_of::<libc::cmsghdr>() - 1],
}

impl Default for Control {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Control {
    fn of(kind: u8) -> Self {
        // SAFETY: a cmsghdr is integers, for which zeros are a value.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        header.cmsg_len = (mem::size_of::<libc::cmsghdr>() + 1) as _;
        header.cmsg_level = libc::SOL_TLS;
        header.cmsg_type = libc::TLS_SET_RECORD_TYPE;
        Self { header, kind, padding: [0; mem::align_of::<libc::cmsghdr>() - 1] }
    }

    /// The type that the kernel has written, if it has.
    fn kind(&self, written: usize) -> Option<u8> {
        let ours = written > mem::size_of::<libc::cmsghdr>()
            && self.header.cmsg_level == libc::SOL_TLS
            && self.header.cmsg_type == libc::TLS_GET_RECORD_TYPE;
        ours.then_some(self.kind)
    }
}

fn last_error() -> rustix::io::Errno {
    let error = io::Error::last_os_error();
    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
}

fn short_answer() -> io::Error {
    io::Error::other("the kernel answered less than it was asked for")
}

/// The largest of the `tls12_crypto_info_*` in use.
const INFO_BYTES_MAX: usize = 64;
/// `tcpi_bytes_acked` in `struct tcp_info`, and enough of the structure to hold it.
const BYTES_ACKED: usize = 120;
const TCP_INFO_BYTES: usize = 128;

const _: () = assert!(mem::offset_of!(Control, kind) == mem::size_of::<libc::cmsghdr>());
