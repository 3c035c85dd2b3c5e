//! What a location serves: a file, or a request to the app; or another decision, where neither can be
//! had.

use std::cell::RefCell;
use std::ops::ControlFlow;

use rustix::io::Errno;

use super::files::{self, Complaint, Sought};
use super::plan::Choice;
use super::request::{self, Proxied};
use crate::config::Level;
use crate::errno;
use crate::h1::framing::Length;
use crate::h1::kept::KeptHead;
use crate::h1::websocket::Upgrade;
use crate::route::http::{Content, Host, Http, RequestBody};
use crate::route::phases::{Decision, Probe, Run};

/// What the content of a location is made with.
pub(super) struct Contents<'a> {
    pub(super) http: &'a Http,
    pub(super) host: &'a Host,
    /// What has come of the request's.
    pub(super) body: &'a [u8],
    pub(super) length: Length,
    pub(super) upgrade: Upgrade,
    pub(super) is_spent: bool,
    /// The type that an app has given; else empty.
    pub(super) media: &'a [u8],
    /// The length of the body has been looked at: an error page does not ask again.
    pub(super) is_judged: bool,
    /// It is too large, which has been said.
    pub(super) is_refused: bool,
    /// Bytes of the body that `$request_length` does not have yet, and has once an app is asked.
    pub(super) uncounted: u64,
    pub(super) scratch: &'a mut Vec<u8>,
    pub(super) proxied: Proxied,
    /// The location whose app that is.
    pub(super) proxies: usize,
    /// The lines of an answer of status 416.
    pub(super) range: Vec<u8>,
    pub(super) complaints: &'a RefCell<Vec<Complaint>>,
}

impl Contents<'_> {
    /// The content of a location, or another decision.
    pub(super) fn of(
        &mut self,
        run: &mut Run<'_, '_>,
        location: usize,
        head: &KeptHead,
    ) -> ControlFlow<Choice, Decision> {
        let place = &self.host.locations[location];
        if !self.is_judged
            && let Some(bytes) = too_large(self.host, location, self.length)
        {
            let words = format!("client intended to send too large body: {bytes} bytes");
            self.complaints.borrow_mut().push((Level::Error, words));
            (self.is_judged, self.is_refused, self.is_spent) = (true, true, true);
            self.length = Length::None;
            return ControlFlow::Continue(run.fail(413, location));
        }
        let Content::Proxy(proxy) = &place.content else {
            let mut complain = |level, words| self.complaints.borrow_mut().push((level, words));
            let wanted = files::Wanted {
                content: &place.files,
                location,
                added: &place.added,
                media: self.media,
            };
            let range = &mut self.range;
            return match files::seek(run, &wanted, range, &mut complain) {
                Sought::Answer(answer) => {
                    ControlFlow::Break(Choice::File(Box::new(answer), std::mem::take(range)))
                }
                Sought::Other(decision) => ControlFlow::Continue(decision),
            };
        };
        let passes_body = matches!(proxy.body, RequestBody::Passed);
        if self.is_spent && passes_body && !run.context.state.method_is_get {
            // A named location asks for the request as it was, and its body is gone.
            let state = &run.context.state;
            let said = [state.status_override, state.failed].into_iter().find(|status| *status > 0);
            let status = said.unwrap_or(502);
            return ControlFlow::Continue(Decision::Status { status, location });
        }
        let (length, upgrade) = (self.length, self.upgrade);
        let http = self.http;
        let kept = place.body_kept_bytes;
        let body = whole(self.body, length).filter(|body| body.len() <= kept);
        self.proxies = location;
        let uncounted = self.uncounted;
        let asked = request::Asked { proxy, head, body, length, uncounted, upgrade, http };
        match asked.write(&mut run.context, self.scratch, &mut self.proxied) {
            Ok((named, upgrade)) => ControlFlow::Break(Choice::Proxy { named, upgrade }),
            Err(request::Failed { status, words }) => {
                self.complaints.borrow_mut().push((Level::Error, words));
                ControlFlow::Continue(run.fail(status, location))
            }
        }
    }
}

/// A body of known length, if all of it has come.
pub(super) fn whole(body: &[u8], length: Length) -> Option<&[u8]> {
    match length {
        Length::Sized(bytes) => body.get(..usize::try_from(bytes).ok()?),
        Length::None | Length::Chunked | Length::UntilClose => None,
    }
}

/// How many bytes a body says it has, if the location does not take so many.
fn too_large(host: &Host, location: usize, length: Length) -> Option<u64> {
    match (length, host.locations[location].limits.request_body_bytes_max) {
        (Length::Sized(bytes), Some(limit)) if bytes > limit => Some(bytes),
        _ => None,
    }
}

/// What `try_files` and `if (-f ...)` ask of the file system; a call that may wait for the disk.
/// What else is wrong than that nothing is there, becomes a complaint.
pub fn probe(path: &[u8], complain: &mut dyn FnMut(Level, String)) -> Probe {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let metadata = match std::fs::metadata(OsStr::from_bytes(path)) {
        Ok(metadata) => metadata,
        Err(error) => {
            let is_news = Errno::from_io_error(&error).is_some_and(|errno| {
                !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG)
            });
            if is_news {
                let (path, error) = (String::from_utf8_lossy(path), errno::words(&error));
                let words = format!("stat() {path:?} failed ({error})");
                complain(Level::Crit, words);
            }
            return Probe::Nothing;
        }
    };
    let is_executable = metadata.permissions().mode() & 0o100 != 0;
    if metadata.is_dir() {
        Probe::Directory { is_executable }
    } else if metadata.is_file() {
        Probe::File { is_executable }
    } else {
        Probe::Other
    }
}
