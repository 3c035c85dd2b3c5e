//! How a running peer is told of a new certificate or a new configuration: by its own best way.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::process::Signal;

use crate::peers::{Kind, Peer};
use crate::pki;
use crate::process::Running;

/// True for peers that can take over a configuration without an end of service.
pub(crate) fn can_reload(kind: Kind) -> bool {
    kind != Kind::Floor
}

impl Peer {
    /// Reads its configuration again.
    ///
    /// Errors: the peer's own program for it failed, with what it said.
    pub(crate) fn reload(&self) -> Result<(), String> {
        match self.found.kind {
            Kind::Haproxy => self.running.signal(Signal::USR2),
            Kind::Caddy => return self.caddy_reload(),
            _ => self.running.signal(Signal::HUP),
        }
        Ok(())
    }

    /// Puts a new certificate in the place of the old one. sheen sees that by itself, haproxy takes
    /// it over its socket, the others have to read everything again.
    pub(crate) fn swap(&self) -> Result<(), String> {
        let files = pki::write(&self.dir, self.rsa)?;
        match self.found.kind {
            Kind::Sheen => Ok(()),
            Kind::Haproxy => haproxy_swap(&self.dir.join(SOCKET), &files.both),
            _ => self.reload(),
        }
    }

    /// It waits until the new configuration is in force.
    fn caddy_reload(&self) -> Result<(), String> {
        let admin = format!("unix/{}", self.dir.join(SOCKET).display());
        let config = self.dir.join("peer.conf").display().to_string();
        let mut command = self.found.command(&self.dir)?;
        command.args(["reload", "--force", "--adapter", "caddyfile", "--config", &config]);
        command.args(["--address", &admin]).envs(self.environment.iter().cloned());
        let log = self.dir.join("reload.log");
        let mut reload = Running::start(command, &log)?;
        if reload.succeeds_within(RELOAD_MAX) {
            return Ok(());
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(format!("caddy reload: {}", said.lines().last().unwrap_or("no end in time")))
    }
}

fn haproxy_swap(socket: &Path, both: &Path) -> Result<(), String> {
    let say = |error: io::Error| format!("{}: {error}", socket.display());
    let (name, pem) = (both.display(), fs::read_to_string(both).map_err(say)?);
    let orders = [
        (format!("set ssl cert {name} <<\n{}\n\n", pem.trim_end()), "Transaction"),
        (format!("commit ssl cert {name}\n"), "Success"),
    ];
    for (order, wanted) in orders {
        let mut stream = UnixStream::connect(socket).map_err(say)?;
        stream.set_read_timeout(Some(RELOAD_MAX)).map_err(say)?;
        stream.write_all(order.as_bytes()).map_err(say)?;
        stream.shutdown(Shutdown::Write).map_err(say)?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map_err(say)?;
        if !said.contains(wanted) {
            return Err(format!("haproxy on its socket: {}", said.trim()));
        }
    }
    Ok(())
}

/// In the peer's folder.
const SOCKET: &str = "admin.sock";
const RELOAD_MAX: Duration = Duration::from_secs(10);
