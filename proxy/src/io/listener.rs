//! Listening sockets: one per worker and address, spread over the workers by SO_REUSEPORT.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

use super::socket::Socket;

/// Binds without sharing: fails when anybody listens there, a process that would share included.
pub fn bind_alone(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = new_socket(address)?;
    net::bind(&socket, &address)?;
    Ok(socket)
}

/// Binds and listens. Options that accepted sockets inherit (TCP_NODELAY, keepalive) are set here
/// once, instead of on every connection.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// A listening socket on its worker.
#[derive(Debug)]
pub struct Listener(monoio::net::TcpListener);

impl Listener {
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self(monoio::net::TcpListener::from_std(listener)?))
    }

    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable(false).await
    }

    /// The next waiting connection; `None` when there is none.
    pub fn accept(&self) -> io::Result<Option<(Socket, SocketAddr)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match net::acceptfrom_with(super::socket::borrow(&self.0), flags) {
            Ok((fd, Some(peer))) => {
                let peer = SocketAddr::try_from(peer).map_err(io::Error::from)?;
                Ok(Some((Socket::new(fd)?, peer)))
            }
            // The peer was gone before we looked.
            Ok((_, None)) => Err(io::ErrorKind::ConnectionAborted.into()),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn new_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

const BACKLOG: i32 = 4096;
/// A peer that vanished without a word (a closed laptop) is found after about five minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
