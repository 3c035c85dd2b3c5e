//! `set_real_ip_from`, `real_ip_header`, `real_ip_recursive`: proxies in front of a server.

use ipnet::IpNet;

use super::super::tree::Directive;
use super::Lower;
use super::scope::Scope;
use crate::config::address::resolve_by_system;
use crate::route::access::network;
use crate::route::real_ip::{RealIp, Source};

impl<'t> Lower<'t> {
    /// What is in force at a level; `None` where no proxy is trusted.
    pub(super) fn real_ip(&mut self, scope: &Scope<'t>) -> Option<RealIp> {
        let lines = scope.lines(&["set_real_ip_from"]);
        let mut real_ip = RealIp {
            source: scope
                .line("real_ip_header")
                .map_or(Source::default(), |line| Source::parse(&line.text(0))),
            recursive: scope.flag("real_ip_recursive", false),
            ..RealIp::default()
        };
        for line in &lines {
            self.real_ip_from(line, &mut real_ip);
        }
        (!lines.is_empty()).then_some(real_ip)
    }

    fn real_ip_from(&mut self, line: &Directive, real_ip: &mut RealIp) {
        let word = line.text(0);
        if word == "unix:" {
            real_ip.from_unix = true;
        } else if let Some(mut net) = network(&word) {
            if net.addr() != net.network() {
                self.note(line, format!("low address bits of {word} are meaningless"));
            }
            // ::ffff:192.0.2.1 is the address of v4 that it stands for.
            if net.prefix_len() == net.max_prefix_len() {
                net = net.addr().to_canonical().into();
            }
            real_ip.from.push(net);
        } else {
            match resolve_by_system(&word, 0) {
                Ok(found) => real_ip.from.extend(found.iter().map(|at| IpNet::from(at.ip()))),
                Err(_) => {
                    let what = format!("host not found in set_real_ip_from \"{word}\"");
                    self.problem(line, what);
                }
            }
        }
    }
}

pub(super) const NAMES: &[&str] = &["set_real_ip_from", "real_ip_header", "real_ip_recursive"];
