//! Addresses in the configuration: where to listen, where an app is, whom to trust.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::names::parse_name;
use super::raw::{Complaint, Resolve};
use super::{ListenAddress, Upstream, UpstreamAddress};

/// An address to listen on; true exactly when it may be missing on this machine.
pub(crate) type ParsedListen = (ListenAddress, bool);

/// `ADDR:PORT`, `[V6]:PORT`, `unix:/path`, or `:PORT` for the v4 and the v6 wildcard.
pub(crate) fn parse_listen(text: &str, base: &Path) -> Result<Vec<ParsedListen>, Complaint> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![(ListenAddress::Tcp(address), false)]);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(vec![(ListenAddress::Unix(unix_path(text, path, base)?), false)]);
    }
    if let Ok(ip) = bare_ip(text) {
        return Err(Complaint::new(
            format!("`{text}` has no port"),
            format!("write \"{}\"", SocketAddr::new(ip, 443)),
        ));
    }
    if let Some(port) = text.strip_prefix(':') {
        let port = parse_port(text, port)?;
        return Ok(wildcards(port).into());
    }
    if text.parse::<u16>().is_ok() {
        return Err(Complaint::new(
            format!("`{text}` is a port without its colon"),
            format!("write \":{text}\""),
        ));
    }
    if let Some(port) = text.strip_prefix("*:") {
        return Err(Complaint::new(
            format!("`{text}` is no address"),
            format!("write \":{port}\" for all addresses, v4 and v6"),
        ));
    }
    let hint = if text.starts_with('/') {
        format!("for a socket in the file system write \"unix:{text}\"")
    } else {
        "write ADDR:PORT, [V6]:PORT or :PORT, with an address and not a name: \"127.0.0.1:8443\""
            .to_owned()
    };
    Err(Complaint::new(format!("`{text}` is no address to listen on"), hint))
}

/// All addresses of this machine; v6 may be missing.
pub(crate) fn wildcards(port: u16) -> [ParsedListen; 2] {
    [
        (ListenAddress::Tcp((Ipv4Addr::UNSPECIFIED, port).into()), false),
        (ListenAddress::Tcp((Ipv6Addr::UNSPECIFIED, port).into()), true),
    ]
}

/// `HOST:PORT`, `:PORT`, `unix:/path`, each also behind `http://`.
pub(crate) fn parse_upstream(
    text: &str,
    base: &Path,
    resolve: Resolve,
) -> Result<Upstream, Complaint> {
    let plain = without_scheme(text)?;
    let addresses = if let Some(path) = plain.strip_prefix("unix:") {
        // nginx ends the path with a colon: http://unix:/run/app.sock:
        let path = path.strip_suffix(':').unwrap_or(path);
        vec![UpstreamAddress::Unix(unix_path(text, path, base)?)]
    } else {
        tcp_addresses(text, plain, resolve)?.into_iter().map(UpstreamAddress::Tcp).collect()
    };
    Ok(Upstream { name: text.to_owned(), addresses })
}

/// An address or a network, and the network as written when it named a host inside it.
pub(crate) fn parse_network(text: &str) -> Result<(IpNet, bool), Complaint> {
    if let Ok(ip) = bare_ip(text) {
        return Ok((IpNet::from(ip), false));
    }
    match text.parse::<IpNet>() {
        Ok(network) => Ok((network.trunc(), network != network.trunc())),
        Err(_) => Err(Complaint::new(
            format!("`{text}` is no address and no network"),
            "write an address such as \"10.0.0.7\" or a network such as \"10.0.0.0/8\"",
        )),
    }
}

/// The resolver of the machine, v4 first.
pub(crate) fn resolve_by_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    Ok(addresses)
}

fn without_scheme(text: &str) -> Result<&str, Complaint> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(text);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(rest.strip_suffix('/').unwrap_or(rest)),
        "https" | "wss" => Err(Complaint::new(
            format!("`{text}` asks for TLS to the app, which is not supported yet"),
            "let the app listen without TLS on this machine or a private network, as Shiny does",
        )),
        "ws" => Err(Complaint::new(
            format!("`{text}` names the WebSocket scheme"),
            format!(
                "write \"{}\"; WebSockets go the same way as pages",
                rest.trim_end_matches('/')
            ),
        )),
        _ => Err(Complaint::new(
            format!("`{text}` has the unknown scheme `{scheme}`"),
            "write HOST:PORT, :PORT or unix:/path",
        )),
    }
}

fn unix_path(text: &str, path: &str, base: &Path) -> Result<PathBuf, Complaint> {
    if path.is_empty() || path.contains('\0') {
        let hint = "write unix: and the path of the socket: \"unix:/run/shiny.sock\"";
        return Err(Complaint::new(format!("`{text}` has no path"), hint));
    }
    let path = base.join(path);
    if path.as_os_str().len() > UNIX_PATH_BYTES_MAX {
        return Err(Complaint::new(
            format!("`{text}` is too long for a socket's path"),
            format!("the most is {UNIX_PATH_BYTES_MAX} bytes"),
        ));
    }
    Ok(path)
}

fn tcp_addresses(text: &str, plain: &str, resolve: Resolve) -> Result<Vec<SocketAddr>, Complaint> {
    if let Some(at) = plain.find(['/', '?', '#']) {
        return Err(Complaint::new(
            format!("`{text}` has a path"),
            format!(
                "write \"{}\"; for paths use [[site.location]] with prefix and strip_prefix",
                &plain[..at]
            ),
        ));
    }
    if let Ok(address) = plain.parse::<SocketAddr>() {
        parse_port(text, &address.port().to_string()).and_then(|port| not_zero(text, port))?;
        return Ok(vec![address]);
    }
    if plain.parse::<u16>().is_ok() {
        return Err(Complaint::new(
            format!("`{text}` is a port without its colon"),
            format!("write \":{plain}\" for this machine"),
        ));
    }
    if let Ok(ip) = bare_ip(plain) {
        let hint = match ip {
            IpAddr::V4(ip) => {
                format!("write \"{ip}:3838\" for Shiny Server, \"{ip}:8787\" for RStudio")
            }
            IpAddr::V6(_) => {
                "write it in brackets and the port after it: \"[::1]:3838\"".to_owned()
            }
        };
        return Err(Complaint::new(format!("`{text}` has no port"), hint));
    }
    let Some((host, port)) = plain.rsplit_once(':') else {
        return Err(if plain.is_empty() {
            Complaint::new(
                "the address of the app is empty",
                "write HOST:PORT, :PORT or unix:/path",
            )
        } else {
            Complaint::new(
                format!("`{text}` has no port"),
                format!("write \"{plain}:3838\" for Shiny Server, \"{plain}:8787\" for RStudio"),
            )
        });
    };
    let port = not_zero(text, parse_port(text, port)?)?;
    if host.is_empty() {
        return Ok(vec![
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ]);
    }
    if parse_name(host).is_err() || host.starts_with('*') {
        return Err(Complaint::new(
            format!("`{text}` has the host `{host}`, which is no name and no address"),
            "write HOST:PORT, :PORT or unix:/path; v6 addresses stand in brackets: [::1]:3838",
        ));
    }
    resolved(text, host, resolve(host, port))
}

fn resolved(
    text: &str,
    host: &str,
    answer: io::Result<Vec<SocketAddr>>,
) -> Result<Vec<SocketAddr>, Complaint> {
    let hint = "check the spelling and /etc/hosts, or write the address itself: \"127.0.0.1:3838\"";
    match answer {
        Ok(addresses) if addresses.is_empty() => {
            Err(Complaint::new(format!("`{text}`: the name `{host}` has no address"), hint))
        }
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(Complaint::new(
            format!("`{text}`: the name `{host}` cannot be resolved: {error}"),
            hint,
        )),
    }
}

fn parse_port(text: &str, port: &str) -> Result<u16, Complaint> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| {
        Complaint::new(format!("`{text}` has no valid port"), "a port is a number up to 65535")
    })
}

fn not_zero(text: &str, port: u16) -> Result<u16, Complaint> {
    if port == 0 {
        return Err(Complaint::new(
            format!("`{text}` has port 0"),
            "write the port the app listens on: 3838 for Shiny Server, 8787 for RStudio",
        ));
    }
    Ok(port)
}

/// An address without a port; v6 with or without brackets.
fn bare_ip(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).parse()
}

/// `sun_path` holds 108 bytes with the NUL.
pub(super) const UNIX_PATH_BYTES_MAX: usize = 107;
