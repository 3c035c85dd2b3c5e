//! The listening sockets of all workers: bound when they are new, kept when they are not.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::Listen;
use crate::io::listener;

/// A listener that the workers have.
#[derive(Debug, Clone)]
pub struct Active {
    /// Tells it from every other listener of this process.
    pub key: usize,
    pub listen: Listen,
    /// With the port that the kernel chose where the configuration says 0.
    pub address: SocketAddr,
}

impl Active {
    /// For whoever starts the process.
    pub fn words(&self) -> String {
        let scheme = if self.listen.tls { "https" } else { "http" };
        format!("listening on {scheme}://{}", self.address)
    }
}

/// New sockets by the key of their listener, one for each worker.
pub type Sockets = Vec<(usize, Vec<TcpListener>)>;

/// One socket per worker for each address that is not in `old` already.
///
/// Errors: every address that can't be had, with the likely cause.
pub fn bind_all(
    wanted: &[Listen],
    workers: usize,
    old: &[Active],
    next_key: &mut usize,
    notes: &mut Vec<String>,
) -> Result<(Vec<Active>, Sockets), Vec<String>> {
    let (mut active, mut sockets, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for listen in wanted {
        let same = |known: &&Active| {
            (known.listen.address, known.listen.tls) == (listen.address, listen.tls)
        };
        if let Some(known) = old.iter().find(same) {
            active.push(known.clone());
            continue;
        }
        let ours = old.iter().any(|old| old.address.port() == listen.address.port());
        match bind(listen.address, workers, ours) {
            Ok((address, bound)) => {
                *next_key += 1;
                active.push(Active { key: *next_key, listen: *listen, address });
                sockets.push((*next_key, bound));
            }
            Err(error) if listen.optional && is_without_ipv6(&error) => {
                notes.push(format!("not listening on {}: {error}", listen.address));
            }
            Err(error) => problems.push(bind_words(listen.address, &error)),
        }
    }
    if problems.is_empty() { Ok((active, sockets)) } else { Err(problems) }
}

/// `ours`: this process listens on that port already, and will stop when the workers have the new
/// sockets.
fn bind(
    address: SocketAddr,
    workers: usize,
    ours: bool,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // SO_REUSEPORT would let a second sheen steal half of the connections without a word.
    if address.port() != 0 && !ours {
        drop(listener::bind_alone(address)?);
    }
    let first = listener::bind(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(listener::bind(address)?);
    }
    Ok((address, sockets))
}

fn bind_words(address: SocketAddr, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; \
             or listen elsewhere: --listen-https :8443 --listen-http :8080"
        }
        io::ErrorKind::AddrInUse => {
            "another program listens there, perhaps nginx: `ss -ltnp` tells which"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: `ip addr` lists them",
        _ => "check the address",
    };
    format!("[emerg] bind() to {address} failed ({error})\n  hint: {hint}")
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}
