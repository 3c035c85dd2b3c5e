//! The cases: what is asked of every peer, and where sheen must land.

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::{Plan, Tls};
use crate::peers::{Kind, Peer};
use crate::pki;
use crate::talk::{Work, get};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) word: &'static str,
    pub(crate) title: &'static str,
    /// What CPU time is counted for.
    pub(crate) unit: &'static str,
    /// The ratio to nginx that sheen is to reach, or kB per connection.
    pub(crate) target: Option<f64>,
    pub(crate) kind: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Redirect,
    Get {
        bytes: u64,
        connections: usize,
    },
    Download,
    Upload,
    Handshake {
        resumed: bool,
    },
    Echo {
        connections: usize,
    },
    Idle,
    Mix,
    /// A new certificate under the mix.
    Swap,
    /// The configuration again under the mix.
    Reload,
}

pub(crate) const CASES: [Case; 18] = [
    case("redirect", "redirect on plain HTTP, 64 connections", "request", 0.70, Shape::Redirect),
    case("get-5b", "GET 5 B, 64 connections", "request", 0.70, get_of(5, 64)),
    case("get-1k", "GET 1 KB, 64 connections", "request", 0.70, get_of(1000, 64)),
    case("get-10k", "GET 10 KB, 64 connections", "request", 0.70, get_of(10_000, 64)),
    case("get-one-5b", "GET 5 B, 1 connection", "request", 0.0, get_of(5, 1)),
    case("get-one-1k", "GET 1 KB, 1 connection", "request", 0.0, get_of(1000, 1)),
    case("get-one-10k", "GET 10 KB, 1 connection", "request", 0.0, get_of(10_000, 1)),
    case("download", "download of 100 MB", "MB", 0.42, Shape::Download),
    case("upload", "upload of 100 MB", "MB", 0.50, Shape::Upload),
    case("handshake-full", "full handshake + request", "connection", 0.50, handshake(false)),
    case("handshake-resumed", "resumed handshake + request", "connection", 0.50, handshake(true)),
    case("echo-one", "WebSocket echo 64 B, 1 connection", "message", 0.95, echo(1)),
    case("echo-64", "WebSocket echo 64 B, 64 connections", "message", 0.70, echo(64)),
    case("echo-1000", "WebSocket echo 64 B, 1,000 connections", "message", 0.0, echo(1000)),
    case("idle", "idle WebSockets: memory of one", "connection", 5.0, Shape::Idle),
    case("mix", "500 Shiny sessions", "session-second", 0.0, Shape::Mix),
    case("swap", "certificate swap under 500 sessions", "session-second", 0.0, Shape::Swap),
    case("reload", "reload under 500 sessions", "session-second", 0.0, Shape::Reload),
];

const fn case(
    word: &'static str,
    title: &'static str,
    unit: &'static str,
    target: f64,
    kind: Shape,
) -> Case {
    Case { word, title, unit, target: if target > 0.0 { Some(target) } else { None }, kind }
}

const fn get_of(bytes: u64, connections: usize) -> Shape {
    Shape::Get { bytes, connections }
}

const fn handshake(resumed: bool) -> Shape {
    Shape::Handshake { resumed }
}

const fn echo(connections: usize) -> Shape {
    Shape::Echo { connections }
}

impl Case {
    /// False where the comparison would say nothing.
    pub(crate) fn is_for(&self, kind: Kind) -> bool {
        match self.kind {
            Shape::Redirect => !matches!(kind, Kind::Hitch | Kind::Floor),
            Shape::Handshake { .. } => kind != Kind::Floor,
            // Others have to be restarted, or replaced by a process of their own making.
            Shape::Swap | Shape::Reload => matches!(kind, Kind::Sheen | Kind::Nginx),
            _ => true,
        }
    }

    /// How long one measurement takes when `asked` is the usual.
    pub(crate) fn window(&self, asked: Duration) -> Duration {
        match self.kind {
            // Sessions begin one by one; fewer seconds see too few of them.
            Shape::Mix | Shape::Swap | Shape::Reload => asked.max(MIX_MIN),
            _ => asked,
        }
    }

    pub(crate) fn plan(&self, peer: &Peer, idle: usize) -> Plan {
        let get_bytes = |bytes: u64, one_each| {
            let request = get(&format!("/bytes/{bytes}"));
            Work::Get { request, status: 200, one_each }
        };
        let (connections, work) = match self.kind {
            Shape::Redirect => {
                let request = get("/a/page?with=query");
                (64, Work::Get { request, status: 301, one_each: false })
            }
            Shape::Get { bytes, connections } => (connections, get_bytes(bytes, false)),
            Shape::Download => (1, get_bytes(BULK_BYTES, false)),
            Shape::Upload => (1, Work::Upload { bytes: BULK_BYTES }),
            Shape::Handshake { .. } => (HANDSHAKES_AT_ONCE, get_bytes(5, true)),
            Shape::Echo { connections } => (connections, Work::Echo { bytes: 64 }),
            Shape::Idle => (idle, Work::Idle),
            Shape::Mix | Shape::Swap | Shape::Reload => {
                (SESSIONS, Work::Sessions { life: SESSION_LIFE })
            }
        };
        Plan { to: self.address(peer), tls: self.tls(peer), connections, work }
    }

    fn address(&self, peer: &Peer) -> SocketAddr {
        if self.kind == Shape::Redirect { peer.http } else { peer.https }
    }

    fn tls(&self, peer: &Peer) -> Tls {
        match self.kind {
            _ if !peer.is_encrypted() => Tls::None,
            Shape::Redirect => Tls::None,
            Shape::Handshake { resumed: true } | Shape::Mix | Shape::Swap | Shape::Reload => {
                Tls::Resumed(pki::client(true))
            }
            _ => Tls::Full(pki::client(false)),
        }
    }
}

/// 100 MB.
const BULK_BYTES: u64 = 100_000_000;
const HANDSHAKES_AT_ONCE: usize = 16;
pub(crate) const SESSIONS: usize = 500;
const MIX_MIN: Duration = Duration::from_secs(4);
const SESSION_LIFE: Duration = Duration::from_secs(20);
