//! The top of the file: how many workers there are.

use super::super::tree::Tree;
use super::super::values;
use super::{Lower, text};
use crate::limits::WORKERS_MAX;

impl<'t> Lower<'t> {
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
