//! A connected stream socket, TCP or Unix: readiness from the runtime, data by direct non-blocking
//! calls.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrUnix,
    SocketFlags, SocketType, sockopt,
};

use super::timer;
use crate::config::ListenAddress;

/// A connected socket, non-blocking, closed on exec.
///
/// The runtime is asked for readiness alone, which is the same for every kind of stream; so one of
/// its types serves for TCP and Unix sockets, and a waiting connection stays small.
#[derive(Debug)]
pub struct Socket(monoio::net::TcpStream);

impl Socket {
    pub fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        let socket = std::net::TcpStream::from(socket.into());
        Ok(Self(monoio::net::TcpStream::from_std(socket)?))
    }

    /// Connects over TCP. Dropping the future closes the socket.
    pub async fn connect_tcp(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = new_socket(family)?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        let connected = match rustix::net::connect(&fd, &address) {
            Ok(()) => true,
            Err(Errno::INPROGRESS) => false,
            Err(error) => return Err(error.into()),
        };
        let socket = Self::new(fd)?;
        if !connected {
            socket.writable().await?;
            sockopt::socket_error(socket.fd())?.map_err(io::Error::from)?;
        }
        Ok(socket)
    }

    /// The address that the other side connected to.
    pub fn local_address(&self) -> io::Result<ListenAddress> {
        super::listener::local_address(self.fd())
    }

    /// Connects to a Unix socket, waiting while its queue of connections is full.
    pub async fn connect_unix(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        loop {
            let fd = new_socket(AddressFamily::UNIX)?;
            match rustix::net::connect(&fd, &address) {
                Ok(()) => return Self::new(fd),
                // There is no readiness for a full queue (connect(2)), so ask again.
                Err(Errno::AGAIN) => timer::sleep(UNIX_QUEUE_RETRY).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until a read would not block.
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        self.0.readable(false)
    }

    /// Waits until a write would not block.
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        self.0.writable(false)
    }

    /// Bytes received, 0 at the end of the stream, `None` when there is nothing yet.
    pub fn try_recv(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        retry(|| rustix::net::recv(self.fd(), &mut *into, RecvFlags::DONTWAIT).map(|(n, _)| n))
    }

    /// As [`Socket::try_recv`], and what is received stays to be received again.
    pub fn try_peek(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        retry(|| rustix::net::recv(self.fd(), &mut *into, flags).map(|(n, _)| n))
    }

    /// Bytes taken by the kernel, `None` when it takes none now.
    pub fn try_send(&self, from: &[u8]) -> io::Result<Option<usize>> {
        retry(|| rustix::net::send(self.fd(), from, SEND_FLAGS))
    }

    /// As [`Socket::try_send`], from several pieces in one call.
    pub fn try_send_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        retry(|| {
            let mut control = SendAncillaryBuffer::default();
            rustix::net::sendmsg(self.fd(), from, &mut control, SEND_FLAGS)
        })
    }

    /// True when bytes or the end of the stream are waiting to be read: an idle pooled connection
    /// in that state is of no use.
    pub fn has_input(&self) -> bool {
        self.poll_now(PollFlags::IN)
    }

    /// True when the peer has closed its side, or the connection is broken.
    pub fn peer_closed(&self) -> bool {
        self.poll_now(PollFlags::RDHUP)
    }

    /// True when neither side can send any more: a reset, as a rule.
    pub fn is_broken(&self) -> bool {
        self.poll_now(PollFlags::ERR)
    }

    pub fn shutdown_write(&self) {
        // Fails only when the connection is gone already.
        let _ = rustix::net::shutdown(self.fd(), Shutdown::Write);
    }

    pub fn reset_on_close(&self) {
        // Where it fails the peer sees an ordinary end.
        let _ = sockopt::set_socket_linger(self.fd(), Some(Duration::ZERO));
    }

    fn poll_now(&self, events: PollFlags) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), events)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut fds, Some(&at_once)), Ok(1..))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        borrow(&self.0)
    }

    /// For [`super::receive`].
    pub(super) fn inner(&self) -> &monoio::net::TcpStream {
        &self.0
    }
}

/// The descriptor of a socket of the runtime, for direct system calls.
#[allow(unsafe_code)]
pub(super) fn borrow<S: AsRawFd>(socket: &S) -> BorrowedFd<'_> {
    // SAFETY: the runtime's socket owns the descriptor and closes it only when dropped; the
    // returned value borrows that socket, so it cannot outlive the descriptor.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

/// `None` for "not now"; an interrupted call is made again.
pub(super) fn retry(
    mut call: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<Option<usize>> {
    loop {
        return match call() {
            Ok(n) => Ok(Some(n)),
            Err(Errno::AGAIN) => Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
const UNIX_QUEUE_RETRY: Duration = Duration::from_millis(10);
