//! The top of the file: how many workers there are, and the process they are in.

use super::super::tree::{Directive, Tree, find};
use super::super::values;
use super::{Lower, text};
use crate::config::{PID_FILE, Process, User};
use crate::life::privileges;
use crate::limits::WORKERS_MAX;

impl<'t> Lower<'t> {
    /// `daemon`, `pid`, `user`, `worker_rlimit_nofile`: a daemon unless told otherwise, as nginx is.
    pub(super) fn process(&mut self, tree: &'t Tree) -> Process {
        let daemon = find(&tree.main, "daemon").is_none_or(Directive::is_on);
        let pid = match text(&tree.main, "pid") {
            Some(file) => Some(self.options.prefix.join(&*file)),
            None => daemon.then(|| PID_FILE.into()),
        };
        let user = find(&tree.main, "user").map(|line| {
            let group = (line.args().len() > 1).then(|| line.text(1).into_owned());
            let user = User { name: line.text(0).into_owned(), group };
            // Nobody else is asked for it.
            if privileges::is_root() {
                self.check(line, privileges::look_up(&user));
            }
            user
        });
        let files = text(&tree.main, "worker_rlimit_nofile");
        let files = files.and_then(|number| values::number(number.as_bytes()));
        Process { daemon, pid, user, files }
    }

    /// `worker_processes`: threads here. nginx's default is one; `auto` is one for each core.
    pub(super) fn workers(&mut self, tree: &'t Tree) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let number = match text(&tree.main, "worker_processes").as_deref() {
            None => 1,
            Some("auto") => cores(),
            Some(number) => values::number(number.as_bytes())
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(1),
        };
        number.clamp(1, WORKERS_MAX)
    }
}
