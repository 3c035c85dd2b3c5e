//! The listening sockets of all workers: inherited, bound when they are new, kept when they are
//! not.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread;

use crate::config::{Level, Listen, ListenAddress};
use crate::errno;
use crate::io::listener;
use crate::life::voice::announce;
use crate::limits::BIND_PAUSE;
use crate::worker::{Bound, Protocol};

/// A listener that the workers have. Its sockets stay open here too: for workers to come, and for
/// the next binary.
#[derive(Debug, Clone)]
pub struct Active {
    /// Tells it from every other listener of this process.
    pub key: usize,
    pub listen: Listen,
    /// With the port that the kernel chose where the configuration says 0.
    pub address: ListenAddress,
    pub sockets: Arc<[OwnedFd]>,
}

/// What there is to take sockets from before new ones are bound.
#[derive(Debug, Default)]
pub struct Known {
    /// Of the configuration before.
    pub active: Vec<Active>,
    /// Of the process before, in the order in which they were bound.
    pub inherited: Vec<(ListenAddress, OwnedFd)>,
}

impl Active {
    /// For whoever starts the process.
    pub fn words(&self) -> String {
        let scheme = if self.listen.tls { "https" } else { "http" };
        match &self.address {
            ListenAddress::Tcp(address) => format!("listening on {scheme}://{address}"),
            address @ ListenAddress::Unix(_) => format!("listening on {address} for {scheme}"),
        }
    }

    /// Takes the socket out of the file system.
    pub fn unlink(&self) {
        if let ListenAddress::Unix(path) = &self.address {
            // One that is gone already is what we want.
            let _ = fs::remove_file(path);
        }
    }
}

/// Sockets for every address that is wanted. Addresses that others have are asked for `tries` times in
/// all: who has them may be about to end.
///
/// Errors: every address that can't be had, with the likely cause.
pub fn bind_all(
    wanted: &[Listen],
    workers: usize,
    mut tries: u32,
    mut known: Known,
    next_key: &mut usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Active>, Vec<String>> {
    let (mut active, mut problems) = (Vec::new(), Vec::new());
    // Asked of all before any is bound: `*:80` and `127.0.0.1:80` of ours stand in each other's way.
    let held: Vec<_> = wanted.iter().map(|listen| wait_for(listen, &known, &mut tries)).collect();
    for (listen, held) in wanted.iter().zip(held) {
        // Several may say port 0 and mean one each.
        let is_free = |known: &Active| !active.iter().any(|taken: &Active| taken.key == known.key);
        let any_port = listen.address.tcp().is_some_and(|address| address.port() == 0);
        let same = |known: &&Active| {
            known.listen.address == listen.address
                && (known.listen.tls == listen.tls || !any_port)
                && is_free(known)
        };
        if let Some(known) = known.active.iter().find(same) {
            match tune(listen, &known.sockets) {
                Ok(()) => active.push(Active { listen: listen.clone(), ..known.clone() }),
                Err(error) => problems.push(bind_words(&listen.address, &error)),
            }
            continue;
        }
        let found = match known.claim(listen) {
            Some((address, sockets)) => tune(listen, &sockets).map(|()| (address, sockets)),
            None => held.and_then(|()| bind(listen, workers)),
        };
        match found {
            Ok((address, sockets)) => {
                *next_key += 1;
                active.push(Active { key: *next_key, listen: listen.clone(), address, sockets });
            }
            Err(error) if listen.optional && is_without_ipv6(&error) => {
                notes.push(format!("not listening on {}: {error}", listen.address));
            }
            Err(error) => problems.push(bind_words(&listen.address, &error)),
        }
    }
    if problems.is_empty() { Ok(active) } else { Err(problems) }
}

/// What of `wanted` a start would fail at because this machine has no such address. Nothing is taken
/// from whoever listens.
pub fn absent(wanted: &[Listen]) -> Vec<String> {
    let absent = |listen: &Listen| {
        let error = listener::bind_alone(listen.address.tcp()?, &listen.options).err()?;
        let is_absent = error.kind() == io::ErrorKind::AddrNotAvailable && !listen.optional;
        is_absent.then(|| bind_words(&listen.address, &error))
    };
    wanted.iter().filter_map(absent).collect()
}

/// For each worker the whole list of listeners, with duplicates of their sockets where `is_new`
/// says that it lacks them. Every socket has a worker: where there are more of them than workers, as
/// after an upgrade, one takes several.
///
/// Errors: no more descriptors can be had.
pub fn deal(
    active: &[Active],
    workers: usize,
    is_new: impl Fn(&Active) -> bool,
) -> io::Result<Vec<Vec<Bound>>> {
    let mut hands: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
    for listener in active {
        let Listen { tls, options, .. } = listener.listen;
        let protocol = Protocol { tls, proxy_header: options.proxy_protocol };
        for hand in &mut hands {
            hand.push(Bound { key: listener.key, protocol, sockets: Vec::new() });
        }
        let count = if is_new(listener) { listener.sockets.len().max(workers) } else { 0 };
        for number in 0..count {
            let socket = listener.sockets[number % listener.sockets.len()].try_clone()?;
            let bound = hands[number % workers].last_mut().expect("one was pushed to each");
            bound.sockets.push(socket);
        }
    }
    Ok(hands)
}

impl Known {
    /// Inherited sockets that are bound where `listen` wants them.
    fn claim(&mut self, listen: &Listen) -> Option<(ListenAddress, Arc<[OwnedFd]>)> {
        let any_port = |a: SocketAddr, b: SocketAddr| b.port() == 0 && a.ip() == b.ip();
        let fits = |bound: &ListenAddress| match (bound, &listen.address) {
            (ListenAddress::Tcp(bound), ListenAddress::Tcp(wanted)) => {
                bound == wanted || any_port(*bound, *wanted)
            }
            (bound, wanted) => bound == wanted,
        };
        let first = self.inherited.iter().find(|(bound, _)| fits(bound))?.0.clone();
        let inherited = std::mem::take(&mut self.inherited);
        let (claimed, rest) = inherited.into_iter().partition(|(bound, _)| *bound == first);
        self.inherited = rest;
        Some((first, claimed.into_iter().map(|(_, socket)| socket).collect()))
    }
}

fn tune(listen: &Listen, sockets: &[OwnedFd]) -> io::Result<()> {
    sockets.iter().try_for_each(|socket| listener::tune(socket.as_fd(), &listen.options))
}

/// Errors: another process has the address. SO_REUSEPORT would let a second sheen steal half of the
/// connections without a word. Where this process or the one before listens on that port already,
/// nobody is asked: it will stop when the workers have the new sockets.
fn is_held(listen: &Listen, known: &Known) -> io::Result<()> {
    let Some(address) = listen.address.tcp().filter(|address| address.port() != 0) else {
        return Ok(());
    };
    let active = known.active.iter().map(|active| &active.address);
    let mut ours = active.chain(known.inherited.iter().map(|(address, _)| address));
    if ours.any(|ours| ours.tcp().is_some_and(|ours| ours.port() == address.port())) {
        return Ok(());
    }
    listener::bind_alone(address, &listen.options).map(drop)
}

fn bind(listen: &Listen, workers: usize) -> io::Result<(ListenAddress, Arc<[OwnedFd]>)> {
    let address = match &listen.address {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(path) => {
            let socket = listener::bind_unix(path, &listen.options)?;
            return Ok((listen.address.clone(), Arc::new([socket])));
        }
    };
    let first = listener::bind(address, &listen.options)?;
    let bound = listener::local_address(first.as_fd())?;
    let mut sockets = vec![first];
    if let ListenAddress::Tcp(address) = bound
        && listen.options.reuseport
    {
        for _ in 1..workers {
            sockets.push(listener::bind(address, &listen.options)?);
        }
    }
    Ok((bound, sockets.into()))
}

/// Asks for an address as often as there are tries, while another has it.
fn wait_for(listen: &Listen, known: &Known, tries: &mut u32) -> io::Result<()> {
    let mut is_said = false;
    loop {
        match is_held(listen, known) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && *tries > 1 => {
                if !is_said {
                    let words = errno::words(&error);
                    let words = format!("bind() to {} failed ({words})", listen.address);
                    announce(Level::Warn, format!("{words}, trying again"));
                }
                is_said = true;
                *tries -= 1;
                thread::park_timeout(BIND_PAUSE);
            }
            result => return result,
        }
    }
}

fn bind_words(address: &ListenAddress, error: &io::Error) -> String {
    let hint = match (address, error.kind()) {
        (ListenAddress::Unix(_), io::ErrorKind::PermissionDenied) => {
            "the folder must be writable for whoever runs sheen"
        }
        (ListenAddress::Unix(_), io::ErrorKind::AddrInUse) => {
            "another program listens there, or the file is no socket: `ss -lxp` tells which"
        }
        (ListenAddress::Unix(_), _) => "check the path: its folder must be there",
        (_, io::ErrorKind::PermissionDenied) => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; \
             or listen elsewhere: --listen-https :8443 --listen-http :8080"
        }
        (_, io::ErrorKind::AddrInUse) => {
            "another program listens there, perhaps nginx: `ss -ltnp` tells which"
        }
        (_, io::ErrorKind::AddrNotAvailable) => {
            "this machine has no such address: `ip addr` lists them"
        }
        _ => "check the address",
    };
    format!("bind() to {address} failed ({})\n  hint: {hint}", errno::words(error))
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}
