//! Connections to the apps.

pub mod pool;

use std::io;
use std::pin::pin;
use std::time::Duration;

use crate::config::UpstreamAddress;
use crate::fault::{Cause, Fault, Side};
use crate::io::socket::Socket;
use crate::stage::{Stage, Watch};
use crate::tls::stream::Stream;

/// Opens a connection to the first of `addresses` that takes one.
///
/// Errors: what the last one said, or that the time for all of them together is up.
pub async fn connect(
    addresses: &[UpstreamAddress],
    watch: Watch,
    connect_limit: Duration,
    send_limit: Duration,
) -> Result<(Stream, UpstreamAddress), Fault> {
    watch.enter(Stage::ConnectUpstream, connect_limit);
    let mut failure = io::Error::other("the upstream has no address");
    for address in addresses {
        let attempt = async {
            match address {
                UpstreamAddress::Tcp(address) => Socket::connect_tcp(*address).await,
                UpstreamAddress::Unix(path) => Socket::connect_unix(path).await,
            }
        };
        match watch.wait(pin!(attempt)).await? {
            Ok(socket) => {
                let stream = Stream::new(socket, watch, Side::Upstream, send_limit);
                return Ok((stream, address.clone()));
            }
            Err(error) => failure = error,
        }
    }
    Err(Fault { stage: Stage::ConnectUpstream, side: Side::Upstream, cause: Cause::Io(failure) })
}
