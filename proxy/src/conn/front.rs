//! What is in force between two requests: bounds of the server that answers at an address until a
//! request names another, and what the location of the last request said of its connection.

use std::time::Duration;

use super::Connection;
use crate::config::ListenAddress;
use crate::limits::Limits;
use crate::route::location::SERVER;
use crate::serve::Ongoing;
use crate::serve::certificate::without_dot;

/// What of nginx.conf is in force between two requests.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// The server of its address, or of the name in the handshake.
    pub(super) host: usize,
    /// `keepalive_timeout` where the last request went.
    pub(super) keep_alive: Option<Duration>,
    /// `reset_timedout_connection`.
    pub(super) resets: bool,
}

impl Connection {
    /// Where the client came to.
    pub(super) fn local(&self) -> &ListenAddress {
        let ask = || self.client.local_address().unwrap_or(ListenAddress::NOWHERE);
        self.identity.local.get_or_init(ask)
    }

    /// Finds the server whose bounds are in force until a request names one: by the address, and by
    /// the name in the handshake.
    pub(super) fn find_front(&mut self) {
        let Some(http) = &self.snapshot.http else { return };
        let handshake = self.identity.handshake.get();
        let local = self.local();
        self.front.host = match handshake.and_then(|handshake| handshake.server_name.as_deref()) {
            None => http.default_at(local),
            Some(name) => {
                let mut spare = self.worker.lend();
                spare.state.begin(&http.variables);
                let name = without_dot(name).as_bytes();
                let host = http.server_of(local, name, &mut spare.state);
                self.worker.give_back(spare);
                host
            }
        };
        self.front.resets = http.hosts[self.front.host].locations[SERVER].resets;
        self.client.set_send_limit(self.limits().timeouts.send);
    }

    /// Bounds in force before a request's location is known.
    pub(super) fn limits(&self) -> &Limits {
        match &self.snapshot.http {
            Some(http) => &http.hosts[self.front.host].limits,
            None => &self.snapshot.limits,
        }
    }

    /// What the location of a request says of its connection.
    pub(super) fn enter_location(&mut self, ongoing: &Ongoing) {
        let location = ongoing.in_force();
        self.client.set_send_limit(location.send_timeout);
        self.front.resets = location.resets;
        self.front.keep_alive = Some(location.limits.timeouts.keep_alive);
    }
}
