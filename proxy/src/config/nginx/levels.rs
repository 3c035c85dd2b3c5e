//! What is wrong with a configuration only once its levels are put together: sizes of buffers that
//! do not go with one another, each of them from the innermost level that has it.

use std::collections::HashSet;

use super::tree::{Directive, all, find};
use super::values;
use crate::config::raw::Place;

/// What nginx would refuse, in its words and its order: each once, at the directive that makes it
/// wrong.
pub(super) fn wrong(main: &[Directive]) -> Vec<(Place, String)> {
    let mut wrong = Vec::new();
    for http in all(main, "http") {
        let outer = Sizes::default().within(http.block());
        for server in all(http.block(), "server") {
            let sizes = outer.within(server.block());
            wrong.extend(sizes.head());
            sizes.locations(server.block(), &mut wrong);
        }
    }
    let mut seen = HashSet::new();
    wrong.retain(|(place, what)| seen.insert((place.file.clone(), place.line, what.clone())));
    wrong
}

/// The lines that are in force.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes<'t> {
    connection_pool: Option<&'t Directive>,
    large_head: Option<&'t Directive>,
    buffer: Option<&'t Directive>,
    buffers: Option<&'t Directive>,
    busy: Option<&'t Directive>,
    temp_write: Option<&'t Directive>,
    temp_max: Option<&'t Directive>,
}

impl<'t> Sizes<'t> {
    fn within(self, block: &'t [Directive]) -> Self {
        let own = |name: &str, outer| find(block, name).or(outer);
        Self {
            connection_pool: own("connection_pool_size", self.connection_pool),
            large_head: own("large_client_header_buffers", self.large_head),
            buffer: own("proxy_buffer_size", self.buffer),
            buffers: own("proxy_buffers", self.buffers),
            busy: own("proxy_busy_buffers_size", self.busy),
            temp_write: own("proxy_temp_file_write_size", self.temp_write),
            temp_max: own("proxy_max_temp_file_size", self.temp_max),
        }
    }

    /// This level, and the locations in it at any depth.
    fn locations(self, block: &'t [Directive], wrong: &mut Vec<(Place, String)>) {
        wrong.extend(self.proxy());
        for location in all(block, "location") {
            self.within(location.block()).locations(location.block(), wrong);
        }
    }

    fn head(&self) -> Option<(Place, String)> {
        let place = self.large_head.or(self.connection_pool)?;
        let bytes = |line: Option<&Directive>, at| line.and_then(|it| values::size(it.arg(at)));
        let large = bytes(self.large_head, 1).unwrap_or(LARGE_HEAD_BYTES);
        let pool = bytes(self.connection_pool, 0).unwrap_or(CONNECTION_POOL_BYTES);
        let is_small = large < pool;
        is_small.then(|| {
            let what = "the \"large_client_header_buffers\" size must be equal to or greater than \
                        \"connection_pool_size\"";
            (place.place.clone(), what.to_owned())
        })
    }

    fn proxy(&self) -> Option<(Place, String)> {
        let bytes = |line: Option<&Directive>| line.and_then(|line| values::size(line.arg(0)));
        let number = self.buffers.and_then(|line| values::number(line.arg(0)));
        let number = number.unwrap_or(PROXY_BUFFERS);
        let one = self.buffers.and_then(|line| values::size(line.arg(1))).unwrap_or(PAGE_BYTES);
        let largest = bytes(self.buffer).unwrap_or(PAGE_BYTES).max(one);
        let busy = bytes(self.busy).unwrap_or(largest.saturating_mul(2));
        let at = |line: Option<&Directive>, what: String| line.map(|it| (it.place.clone(), what));
        let small = |name: &str| {
            format!(
                "\"{name}\" must be equal to or greater than the maximum of the value of \
                 \"proxy_buffer_size\" and one of the \"proxy_buffers\""
            )
        };
        if number < 2 {
            return at(self.buffers, "there must be at least 2 \"proxy_buffers\"".to_owned());
        }
        if busy < largest {
            return at(self.busy, small("proxy_busy_buffers_size"));
        }
        if busy > (number - 1).saturating_mul(one) {
            let what = "\"proxy_busy_buffers_size\" must be less than the size of all \
                        \"proxy_buffers\" minus one buffer";
            return at(self.busy.or(self.buffers).or(self.buffer), what.to_owned());
        }
        if bytes(self.temp_write).is_some_and(|bytes| bytes < largest) {
            return at(self.temp_write, small("proxy_temp_file_write_size"));
        }
        if bytes(self.temp_max).is_some_and(|bytes| bytes > 0 && bytes < largest) {
            let name = "proxy_max_temp_file_size";
            let equal = "must be equal to zero to disable temporary files usage or must be equal";
            let what = small(name).replacen("must be equal", equal, 1);
            return at(self.temp_max, what);
        }
        None
    }
}

/// nginx's defaults, with pages of 4 kB.
const PAGE_BYTES: u64 = 4 << 10;
const PROXY_BUFFERS: u64 = 8;
const CONNECTION_POOL_BYTES: u64 = 512;
const LARGE_HEAD_BYTES: u64 = 8 << 10;
