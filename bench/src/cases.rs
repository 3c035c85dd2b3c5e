//! The cases: what is asked of every peer.

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::{Pace, Plan, Tls};
use crate::peers::{Kind, Manner, Peer, Setting};
use crate::talk::{Work, get};
use crate::{changes, pki};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) word: &'static str,
    pub(crate) title: &'static str,
    /// What CPU time is counted for.
    pub(crate) unit: &'static str,
    pub(crate) kind: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Redirect,
    Get {
        bytes: u64,
        connections: usize,
    },
    /// On 64 connections, from an upstream at a Unix socket.
    GetUnix {
        bytes: u64,
    },
    Download,
    Upload,
    Handshake {
        resumed: bool,
    },
    Echo {
        connections: usize,
    },
    /// A steady echo, first alone and then while others shake hands.
    EchoUnderHandshakes,
    Idle,
    Mix,
    /// A new certificate under the mix.
    Swap,
    /// The configuration again under the mix.
    Reload,
    /// One worker and two.
    Scaling,
    /// nginx.conf with many rules and with none.
    Rules,
}

pub(crate) const CASES: [Case; 23] = [
    case("redirect", "redirect on plain HTTP, 64 connections", "request", Shape::Redirect),
    case("get-5b", "GET 5 B, 64 connections", "request", get_of(5, 64)),
    case("get-1k", "GET 1 KB, 64 connections", "request", get_of(1000, 64)),
    case("get-10k", "GET 10 KB, 64 connections", "request", get_of(10_000, 64)),
    case("get-one-5b", "GET 5 B, 1 connection", "request", get_of(5, 1)),
    case("get-one-1k", "GET 1 KB, 1 connection", "request", get_of(1000, 1)),
    case("get-one-10k", "GET 10 KB, 1 connection", "request", get_of(10_000, 1)),
    case("unix-5b", "GET 5 B, upstream at a Unix socket", "request", unix(5)),
    case("unix-1k", "GET 1 KB, upstream at a Unix socket", "request", unix(1000)),
    case("download", "download of 100 MB", "MB", Shape::Download),
    case("upload", "upload of 100 MB", "MB", Shape::Upload),
    case("handshake-full", "full handshake + request", "connection", handshake(false)),
    case("handshake-resumed", "resumed handshake + request", "connection", handshake(true)),
    case("echo-one", "WebSocket echo 64 B, 1 connection", "message", echo(1)),
    case("echo-64", "WebSocket echo 64 B, 64 connections", "message", echo(64)),
    case("echo-1000", "WebSocket echo 64 B, 1,000 connections", "message", echo(1000)),
    case("echo-busy", "echo under 500 handshakes/s", "second", Shape::EchoUnderHandshakes),
    case("idle", "idle WebSockets: memory of one", "connection", Shape::Idle),
    case("mix", "500 Shiny sessions", "session-second", Shape::Mix),
    case("swap", "certificate swap under 500 sessions", "session-second", Shape::Swap),
    case("reload", "reload under 500 sessions", "session-second", Shape::Reload),
    case("scaling", "GET 1 KB, one worker and two", "request", Shape::Scaling),
    case("rules", "GET 1 KB, nginx.conf of 50 locations", "request", Shape::Rules),
];

const fn case(word: &'static str, title: &'static str, unit: &'static str, kind: Shape) -> Case {
    Case { word, title, unit, kind }
}

const fn get_of(bytes: u64, connections: usize) -> Shape {
    Shape::Get { bytes, connections }
}

const fn unix(bytes: u64) -> Shape {
    Shape::GetUnix { bytes }
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
            Shape::Redirect => kind != Kind::Hitch,
            Shape::Handshake { .. } | Shape::EchoUnderHandshakes | Shape::Scaling => {
                kind != Kind::Floor
            }
            Shape::Swap | Shape::Reload => changes::can_reload(kind),
            Shape::Rules => matches!(kind, Kind::Sheen | Kind::Nginx),
            _ => true,
        }
    }

    /// How peers run for it.
    pub(crate) fn manner(&self, setting: &Setting<'_>) -> Manner {
        match self.kind {
            Shape::GetUnix { .. } => Manner { upstream: setting.unix.clone(), ..setting.usual() },
            _ => setting.usual(),
        }
    }

    /// True where what a process has been through would be seen in its memory.
    pub(crate) fn wants_a_fresh_process(&self) -> bool {
        matches!(self.kind, Shape::Idle | Shape::Swap | Shape::Reload)
    }

    /// How often it runs when `asked` is the usual.
    pub(crate) fn rounds(&self, asked: usize) -> usize {
        match self.kind {
            // Each has three changes in it, and lasts long.
            Shape::Swap | Shape::Reload => asked.min(3),
            _ => asked,
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
            Shape::GetUnix { bytes } => (64, get_bytes(bytes, false)),
            Shape::Download => (1, get_bytes(BULK_BYTES, false)),
            Shape::Upload => (1, Work::Upload { bytes: BULK_BYTES }),
            Shape::Handshake { .. } => (HANDSHAKES_AT_ONCE, get_bytes(5, true)),
            Shape::EchoUnderHandshakes => (64, Work::Echo { bytes: 64 }),
            Shape::Scaling | Shape::Rules => (64, get_bytes(1000, false)),
            Shape::Echo { connections } => (connections, Work::Echo { bytes: 64 }),
            Shape::Idle => (idle, Work::Idle),
            Shape::Mix | Shape::Swap | Shape::Reload => {
                (SESSIONS, Work::Sessions { life: SESSION_LIFE })
            }
        };
        let pace = match self.kind {
            Shape::EchoUnderHandshakes => Pace::Steady(MESSAGES_PER_SECOND),
            _ => Pace::Eager,
        };
        Plan { to: self.address(peer), tls: self.tls(peer), connections, work, pace }
    }

    /// What goes on beside an echo: newcomers at a steady rate, each with a full handshake and one
    /// request.
    pub(crate) fn newcomers(peer: &Peer) -> Plan {
        let work = Work::Get { request: get("/bytes/5"), status: 200, one_each: true };
        Plan {
            to: peer.https,
            tls: Tls::Full(pki::client(false)),
            connections: NEWCOMERS_AT_ONCE,
            work,
            pace: Pace::Steady(HANDSHAKES_PER_SECOND),
        }
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
/// On 64 connections.
const MESSAGES_PER_SECOND: f64 = 3200.0;
const HANDSHAKES_PER_SECOND: f64 = 500.0;
/// More than that and the proxy is too slow for the rate.
const NEWCOMERS_AT_ONCE: usize = 256;
const HANDSHAKES_AT_ONCE: usize = 16;
pub(crate) const SESSIONS: usize = 500;
const MIX_MIN: Duration = Duration::from_secs(4);
const SESSION_LIFE: Duration = Duration::from_secs(20);
