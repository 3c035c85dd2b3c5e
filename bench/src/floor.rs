//! The floor: a bare relay on the runtime that sheen uses, without TLS and without HTTP: what the
//! kernel costs.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use sheen::config::{ListenOptions, Rung};
use sheen::io::listener::{self, Listener};
use sheen::io::runtime;
use sheen::io::socket::Socket;

use crate::address::Address;

/// Relays every connection to `to`, until the process ends.
pub(crate) fn run(listen: SocketAddr, to: Address) -> io::Result<()> {
    let bound = listener::bind(listen, &ListenOptions::default())?;
    let (rung, _) = runtime::best();
    runtime::run(if rung == Rung::Epoll { rung } else { Rung::DeferTaskrun }, accept(bound, to))?
}

async fn accept(bound: OwnedFd, to: Address) -> io::Result<()> {
    let listener = Listener::new(bound)?;
    let scratch: Scratch = Rc::new(RefCell::new(vec![0; PIECE_BYTES]));
    loop {
        listener.readable().await?;
        while let Some((client, _)) = listener.accept()? {
            runtime::spawn(relay(client, to.clone(), scratch.clone()));
        }
    }
}

async fn relay(client: Socket, to: Address, scratch: Scratch) {
    let upstream = match to {
        Address::Tcp(address) => Socket::connect_tcp(address).await,
        Address::Unix(path) => Socket::connect_unix(&path).await,
    };
    let Ok(upstream) = upstream else { return };
    let (client, upstream) = (Rc::new(client), Rc::new(upstream));
    runtime::spawn(pump(client.clone(), upstream.clone(), scratch.clone()));
    pump(upstream, client, scratch).await;
}

/// One direction. The buffer is everybody's, so that an idle connection has none.
async fn pump(from: Rc<Socket>, to: Rc<Socket>, scratch: Scratch) {
    while from.readable().await.is_ok() {
        let mut rest = Vec::new();
        match move_now(&from, &to, &mut scratch.borrow_mut(), &mut rest) {
            Ok(false) => {}
            Ok(true) | Err(_) => return to.shutdown_write(),
        }
        while !rest.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            let Ok(sent) = to.try_send(&rest) else { return };
            rest.drain(..sent.unwrap_or(0));
        }
    }
}

/// Moves what there is; what the other side does not take is put into `rest`. True at the end of
/// the stream.
fn move_now(from: &Socket, to: &Socket, piece: &mut [u8], rest: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let n = match from.try_recv(piece)? {
            None => return Ok(false),
            Some(0) => return Ok(true),
            Some(n) => n,
        };
        let sent = to.try_send(&piece[..n])?.unwrap_or(0);
        rest.extend_from_slice(&piece[sent..n]);
        if n < piece.len() || !rest.is_empty() {
            return Ok(false);
        }
    }
}

type Scratch = Rc<RefCell<Vec<u8>>>;

const PIECE_BYTES: usize = 64 * 1024;
