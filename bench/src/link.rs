//! A client connection of the load: a non-blocking socket with or without TLS.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::pki;

#[derive(Debug)]
pub(crate) struct Link {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Plaintext that the kernel has not taken yet; links without TLS only.
    unsent: Vec<u8>,
}

impl Link {
    /// Begins to connect; everything may be sent at once and leaves when it can.
    pub(crate) fn connect(to: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let name = ServerName::try_from(pki::NAME).expect("it is a name");
        let tls = tls.map(|config| ClientConnection::new(config.clone(), name));
        let tls = tls.transpose().map_err(io::Error::other)?.map(|mut tls| {
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        Ok(Self { socket: socket.into(), tls, unsent: Vec::new() })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// How the handshake went: resumed or not, and the version.
    pub(crate) fn handshake(&self) -> Option<(bool, &'static str)> {
        let tls = self.tls.as_ref()?;
        let resumed = tls.handshake_kind()? == HandshakeKind::Resumed;
        let version = match tls.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
            rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
            _ => "?",
        };
        Some((resumed, version))
    }

    /// True when everything given to [`Link::send`] is in the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        match &self.tls {
            Some(tls) => !tls.is_handshaking() && !tls.wants_write(),
            None => self.unsent.is_empty(),
        }
    }

    pub(crate) fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(plain)?,
            None => self.unsent.extend_from_slice(plain),
        }
        self.flush()
    }

    /// Gives the kernel what it takes now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                while tls.wants_write() {
                    if unless_blocked(tls.write_tls(&mut self.socket))?.is_none() {
                        break;
                    }
                }
            }
            None => {
                while !self.unsent.is_empty() {
                    match unless_blocked(self.socket.write(&self.unsent))? {
                        Some(sent) => drop(self.unsent.drain(..sent)),
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    /// Receives once and hands the plaintext on. `scratch` is memory that any link may use
    /// meanwhile.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut plain: impl FnMut(&[u8]),
    ) -> io::Result<Receipt> {
        let received = match unless_blocked(self.socket.read(scratch))? {
            None => return Ok(Receipt::Drained),
            Some(0) => return Ok(Receipt::End),
            Some(received) => received,
        };
        match &mut self.tls {
            None => plain(&scratch[..received]),
            Some(tls) => {
                let mut rest = &scratch[..received];
                while !rest.is_empty() {
                    tls.read_tls(&mut rest)?;
                    let state = tls.process_new_packets().map_err(io::Error::other)?;
                    let mut left = state.plaintext_bytes_to_read();
                    while left > 0 {
                        let mut reader = tls.reader();
                        let n = reader.fill_buf()?.len();
                        plain(reader.fill_buf()?);
                        reader.consume(n);
                        left -= n;
                    }
                    if state.peer_has_closed() {
                        return Ok(Receipt::End);
                    }
                }
                self.flush()?;
            }
        }
        Ok(if received < scratch.len() { Receipt::Drained } else { Receipt::More })
    }

    /// Ends as a browser does: with close_notify and FIN.
    pub(crate) fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Whatever the peer thinks of it now, we are gone.
            let _ = self.flush();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// The next event tells of more.
    Drained,
    /// There may be more at once.
    More,
    End,
}

/// `None` for "not now".
pub(crate) fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) => match error.kind() {
            // ENOTCONN: the connection is being made.
            ErrorKind::WouldBlock | ErrorKind::NotConnected => Ok(None),
            ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        },
    }
}
