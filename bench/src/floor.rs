//! The floor: a bare relay on the runtime that sheen uses, without TLS and without HTTP, and beside
//! it somebody who says the same to everything: what the kernel costs.

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

/// Relays every connection to `to`, and answers those that come to `redirect`, until the process
/// ends.
pub(crate) fn run(listen: SocketAddr, redirect: SocketAddr, to: Address) -> io::Result<()> {
    let options = ListenOptions::default();
    let (bound, plain) = (listener::bind(listen, &options)?, listener::bind(redirect, &options)?);
    let (rung, _) = runtime::best();
    let rung = if rung == Rung::Epoll { rung } else { Rung::DeferTaskrun };
    runtime::run(rung, async {
        runtime::spawn(async {
            if let Err(error) = accept_plain(plain).await {
                eprintln!("floor: {error}");
            }
        });
        accept(bound, to).await
    })?
}

async fn accept_plain(bound: OwnedFd) -> io::Result<()> {
    let listener = Listener::new(bound)?;
    loop {
        listener.readable().await?;
        while let Some((client, _)) = listener.accept()? {
            runtime::spawn(redirect(client));
        }
    }
}

/// Takes whatever comes at once for a request.
async fn redirect(client: Socket) {
    let mut request = [0; 4096];
    while client.readable().await.is_ok() {
        match client.try_recv(&mut request) {
            Ok(None) => {}
            Ok(Some(1..)) if matches!(client.try_send(REDIRECT), Ok(Some(_))) => {}
            _ => return,
        }
    }
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

/// As long as sheen's.
const REDIRECT: &[u8] = b"HTTP/1.1 301 Moved Permanently\r\nServer: floor\r\n\
    Location: https://bench.example/bytes/1000\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
const PIECE_BYTES: usize = 64 * 1024;
