//! The lines of the access logs, `log_format` and `access_log` as nginx.conf has them.

use super::ongoing::{Ongoing, Seen};
use crate::context::Worker;
use crate::record::Record;

impl Ongoing {
    /// Writes the lines of a request that has come to its end, for which the client was sent so many
    /// bytes.
    pub fn log(&mut self, worker: &Worker, record: &Record, bytes: u64) {
        if self.in_force().logs.is_empty() {
            return;
        }
        let (at, http) = (self.location, self.http.clone());
        let seen = Seen {
            status: record.status.get(),
            bytes,
            body_bytes: bytes.saturating_sub(record.head_sent.get()),
            body_received: record.body_received.get(),
            is_complete: record.is_complete.get(),
        };
        // The status that was sent is the last word.
        self.state.status_override = 0;
        self.with(&seen, |mut context, host, _| {
            for wanted in &host.locations[at].logs {
                let unwanted =
                    wanted.condition.as_ref().is_some_and(|condition| context.is_false(condition));
                if !unwanted {
                    worker.log.line(&http.logs, wanted.file, |out| {
                        wanted.format.append(&mut context, out)
                    });
                }
            }
        });
    }
}
