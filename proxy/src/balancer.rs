//! A connection that comes through a load balancer: its PROXY protocol header is taken off before
//! anything else.

use std::pin::pin;

use crate::context::Worker;
use crate::io::socket::Socket;
use crate::limits::PROXY_HEADER_BYTES_MAX;
use crate::proxy_protocol::{self, Header, Parsed};
use crate::stage::Stage;

/// Takes the header off the connection, and not a byte more.
///
/// Errors: why there is none, for the log.
pub async fn read_header(worker: &Worker, socket: &Socket) -> Result<Header, String> {
    let watch = worker.registry.watch();
    watch.enter(Stage::ReadProxyHeader, worker.snapshot().limits.timeouts.handshake);
    let mut bytes = Vec::new();
    loop {
        let wait = watch.wait(pin!(socket.readable())).await;
        wait.map_err(|fault| fault.to_string())?.map_err(|error| error.to_string())?;
        let known = bytes.len();
        bytes.resize(PROXY_HEADER_BYTES_MAX, 0);
        let seen = socket.try_peek(&mut bytes[known..]).map_err(|error| error.to_string())?;
        bytes.truncate(known + seen.unwrap_or_default());
        if seen == Some(0) {
            return Err("client closed connection while reading PROXY protocol".to_owned());
        }
        let parsed = proxy_protocol::parse(&bytes);
        let (len, header) = match parsed {
            Ok(Parsed::Incomplete) => (bytes.len(), None),
            Ok(Parsed::Header(header)) => (header.len, Some(header)),
            Err(broken) => {
                return Err(format!("broken header: {} while reading PROXY protocol", broken.0));
            }
        };
        // What was seen is there to be taken.
        let taken = socket.try_recv(&mut bytes[known..len]).map_err(|error| error.to_string())?;
        debug_assert!(len == known || taken == Some(len - known), "peeked bytes stay");
        if let Some(header) = header {
            return Ok(header);
        }
    }
}
