//! Listening sockets: on TCP one per worker and address, spread over the workers by SO_REUSEPORT;
//! in the file system one that the workers share.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::{
    self, AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use super::socket::Socket;
use crate::config::{Keepalive, ListenAddress, ListenOptions};
use crate::peer::Peer;

/// Binds without sharing: fails when anybody listens there, a process that would share included.
pub fn bind_alone(address: SocketAddr, options: &ListenOptions) -> io::Result<OwnedFd> {
    let socket = new_tcp(address, options)?;
    net::bind(&socket, &address)?;
    Ok(socket)
}

/// Binds and listens. Options that accepted sockets inherit (TCP_NODELAY, keepalive) are set here
/// once, instead of on every connection.
pub fn bind(address: SocketAddr, options: &ListenOptions) -> io::Result<OwnedFd> {
    let socket = new_tcp(address, options)?;
    if options.reuseport {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    tune(socket.as_fd(), options)?;
    Ok(socket)
}

/// Binds in the file system for everybody, as nginx does, and listens. A socket that a dead process
/// has left is replaced.
pub fn bind_unix(path: &Path, options: &ListenOptions) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    match net::bind(&socket, &address) {
        Err(rustix::io::Errno::ADDRINUSE) if is_stale(path) => {
            fs::remove_file(path)?;
            net::bind(&socket, &address)?;
        }
        bound => bound?,
    }
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    tune(socket.as_fd(), options)?;
    Ok(socket)
}

/// Sets what may change while a socket listens, the length of its queue included.
pub fn tune(socket: BorrowedFd<'_>, options: &ListenOptions) -> io::Result<()> {
    if !matches!(local_address(socket)?, ListenAddress::Unix(_)) {
        sockopt::set_tcp_nodelay(socket, true)?;
        let keepalive = options.keepalive;
        sockopt::set_socket_keepalive(socket, keepalive != Keepalive::Off)?;
        if let Keepalive::On { idle, interval, probes } = keepalive {
            idle.map_or(Ok(()), |idle| sockopt::set_tcp_keepidle(socket, idle))?;
            interval.map_or(Ok(()), |interval| sockopt::set_tcp_keepintvl(socket, interval))?;
            probes.map_or(Ok(()), |probes| sockopt::set_tcp_keepcnt(socket, probes))?;
        }
    }
    net::listen(socket, i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(())
}

/// Where a socket is bound.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<ListenAddress> {
    let address = net::getsockname(socket)?;
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Ok(ListenAddress::Tcp(address));
    }
    let path = SocketAddrUnix::try_from(address)?.path().map(|path| path.to_bytes().to_vec());
    let no_path = || io::Error::other("a socket without an address");
    let path = String::from_utf8(path.ok_or_else(no_path)?).map_err(io::Error::other)?;
    Ok(ListenAddress::Unix(PathBuf::from(path)))
}

/// True exactly when nobody answers at a socket in the file system.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

/// A listening socket on its worker.
#[derive(Debug)]
pub struct Listener(monoio::net::TcpListener);

impl Listener {
    /// The runtime is asked for readiness alone, which is the same for every kind of socket.
    pub fn new(listener: OwnedFd) -> io::Result<Self> {
        Ok(Self(monoio::net::TcpListener::from_std(listener.into())?))
    }

    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable(false).await
    }

    /// The next waiting connection; `None` when there is none.
    pub fn accept(&self) -> io::Result<Option<(Socket, Peer)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match net::acceptfrom_with(super::socket::borrow(&self.0), flags) {
            Ok((fd, Some(peer))) => Ok(Some((Socket::new(fd)?, peer_of(peer)?))),
            // The peer was gone before we looked.
            Ok((_, None)) => Err(io::ErrorKind::ConnectionAborted.into()),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn peer_of(address: SocketAddrAny) -> io::Result<Peer> {
    if address.address_family() == AddressFamily::UNIX {
        return Ok(Peer::Unix);
    }
    Ok(Peer::Tcp(SocketAddr::try_from(address)?))
}

fn new_tcp(address: SocketAddr, options: &ListenOptions) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, options.ipv6only)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn options_reach_the_socket() {
        let address: SocketAddr = "[::]:0".parse().unwrap();
        let keepalive = Keepalive::On {
            idle: Some(Duration::from_secs(77)),
            interval: Some(Duration::from_secs(7)),
            probes: Some(3),
        };
        let options =
            ListenOptions { keepalive, ipv6only: false, reuseport: false, ..Default::default() };
        let Ok(socket) = bind(address, &options) else {
            eprintln!("SKIPPED: this machine has no IPv6");
            return;
        };
        assert!(sockopt::socket_acceptconn(&socket).unwrap());
        assert!(!sockopt::ipv6_v6only(&socket).unwrap());
        assert!(!sockopt::socket_reuseport(&socket).unwrap());
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(77));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(7));
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 3);
        let off = ListenOptions { keepalive: Keepalive::Off, ..Default::default() };
        tune(socket.as_fd(), &off).unwrap();
        assert!(!sockopt::socket_keepalive(&socket).unwrap());
        let shared = bind(address, &ListenOptions::default()).unwrap();
        assert!(sockopt::socket_reuseport(&shared).unwrap());
        assert!(sockopt::ipv6_v6only(&shared).unwrap());
    }
}
