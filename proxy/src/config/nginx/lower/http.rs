//! What stands in `http` beside the servers: `map` and `upstream`.

use std::sync::Arc;

use super::super::address::{self, Target};
use super::super::tree::{Directive, all};
use super::Lower;
use crate::config::address::resolve_by_system;
use crate::config::{Upstream, UpstreamAddress};
use crate::route::map::Map;

impl<'t> Lower<'t> {
    pub(super) fn maps(&mut self, block: &'t [Directive]) {
        for directive in all(block, "map") {
            self.at(directive);
            let map = Map::new(directive.arg(0), &mut self.registry);
            let Some(mut map) = self.check(directive, map) else { continue };
            for line in directive.block() {
                self.at(line);
                let words: Vec<&[u8]> = line.words().iter().map(|word| &*word.bytes).collect();
                let added = map.entry(&words, &mut self.registry);
                self.check(line, added);
            }
            let name = directive.arg(1);
            let defined = match name.strip_prefix(b"$") {
                Some(name) => self.registry.define_map(name, map).map(|_| ()),
                None => Err(format!("invalid variable name \"{}\"", name.escape_ascii())),
            };
            self.check(directive, defined);
        }
    }

    /// `upstream` groups, by their names in lower case. One server each: choosing between several is
    /// refused.
    pub(super) fn groups(&mut self, block: &'t [Directive]) {
        for directive in all(block, "upstream") {
            let servers: Vec<_> = all(directive.block(), "server").collect();
            if let [_, second, ..] = &*servers {
                self.problem(
                    second,
                    "choosing between several servers of an \"upstream\" is not supported yet",
                );
            }
            let Some(server) = servers.first() else { continue };
            let member = address::member(server.args());
            let Some(member) = self.check(server, member) else { continue };
            if member.down || member.max_conns > 0 || member.resolve {
                self.problem(
                    server,
                    "\"down\", \"max_conns\" and \"resolve\" are not supported yet",
                );
            }
            if member.backup {
                let what = format!("no servers in upstream \"{}\"", directive.text(0));
                self.problem(directive, what);
            }
            let addresses = self.resolve(server, &member.target, 80);
            let name = directive.text(0).into_owned();
            let key = name.to_ascii_lowercase().into_bytes();
            self.upstreams.insert(key.into(), Arc::new(Upstream { name, addresses }));
        }
    }

    /// The addresses of a target, by the resolver of this machine as nginx does at its start.
    pub(super) fn resolve(
        &mut self,
        directive: &Directive,
        target: &Target,
        default_port: u16,
    ) -> Vec<UpstreamAddress> {
        match target {
            Target::Ip { ip, port } => {
                vec![UpstreamAddress::Tcp((*ip, port.unwrap_or(default_port)).into())]
            }
            Target::Unix(path) => vec![UpstreamAddress::Unix(path.into())],
            Target::Host { name, port } => {
                match resolve_by_system(name, port.unwrap_or(default_port)) {
                    Ok(addresses) => addresses.into_iter().map(UpstreamAddress::Tcp).collect(),
                    Err(_) => {
                        self.problem(directive, format!("host not found in upstream \"{name}\""));
                        Vec::new()
                    }
                }
            }
        }
    }

    /// The upstream of a `proxy_pass` without variables.
    pub(super) fn upstream(&mut self, directive: &Directive) -> Option<Arc<Upstream>> {
        let url = address::url(&directive.text(0));
        let address::Url::Fixed { https, target, host, .. } = self.check(directive, url)? else {
            return None;
        };
        if https {
            self.problem(
                directive,
                "TLS to the app (https:// in \"proxy_pass\") is not supported yet",
            );
            return None;
        }
        if let Target::Host { name, port } = &target
            && let Some(group) = self.upstreams.get(&*name.to_ascii_lowercase().into_bytes())
        {
            if let Some(port) = port {
                let what = format!("upstream \"{name}\" may not have port {port}");
                self.problem(directive, what);
                return None;
            }
            return Some(group.clone());
        }
        let addresses = self.resolve(directive, &target, 80);
        Some(Arc::new(Upstream { name: host, addresses }))
    }

    /// Compiles lines of one kind.
    pub(super) fn each(
        &mut self,
        lines: &[&'t Directive],
        mut take: impl FnMut(&[&[u8]], &mut crate::route::variable::Registry) -> Result<(), String>,
    ) {
        for line in lines {
            self.at(line);
            let taken = take(&line.slices(), &mut self.registry);
            self.check(line, taken);
        }
    }
}
