//! Connections to the apps.

pub mod pool;
pub mod resolve;

use std::io;
use std::pin::pin;
use std::time::Duration;

use crate::config::UpstreamAddress;
use crate::fault::{Cause, Fault, Side};
use crate::io::socket::Socket;
use crate::stage::{Interrupt, Stage, Watch};
use crate::tls::stream::Stream;
use crate::tries::Tries;

/// Opens a connection to the first of `addresses` that takes one.
///
/// Errors: what the last one said, or that the time for all of them together is up.
pub async fn connect(
    addresses: &[UpstreamAddress],
    tries: &Tries,
    watch: Watch,
    connect_limit: Duration,
    send_limit: Duration,
) -> Result<(Stream, UpstreamAddress), Fault> {
    let mut failure = Cause::Io(io::Error::other("the upstream has no address"));
    for (tried, address) in addresses.iter().enumerate() {
        // One that swallows packets must leave time for the others.
        let shares = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        watch.enter(Stage::ConnectUpstream, connect_limit / shares);
        tries.begin(address);
        let attempt = async {
            match address {
                UpstreamAddress::Tcp(address) => Socket::connect_tcp(*address).await,
                UpstreamAddress::Unix(path) => Socket::connect_unix(path).await,
            }
        };
        match watch.wait(pin!(attempt)).await {
            Ok(Ok(socket)) => {
                tries.connected();
                let stream = Stream::new(socket, watch, Side::Upstream, send_limit);
                return Ok((stream, address.clone()));
            }
            Ok(Err(error)) => {
                tries.fail(Some(502));
                failure = Cause::Io(error);
            }
            Err(Fault { cause: cause @ Cause::Interrupted(Interrupt::Deadline), .. }) => {
                tries.fail(Some(504));
                failure = cause;
            }
            Err(fault) => return Err(fault),
        }
    }
    // Running out of descriptors is not the app's fault.
    let out_of_files = matches!(&failure, Cause::Io(error)
        if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()));
    let side = if out_of_files { Side::Sheen } else { Side::Upstream };
    Err(Fault { stage: Stage::ConnectUpstream, side, cause: failure })
}
