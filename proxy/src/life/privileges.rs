//! The `user` of the configuration: who the process is once it has bound its sockets and read its
//! keys.
//!
//! Credentials belong to threads. They are given up while there is one thread, from which all
//! others come. The control threads keep what a renewed key, a log or a low port asks for; the data
//! plane and the log keep nothing.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread;

use nix::unistd::{Group, User as Account, getgrouplist};
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::config::User;
use crate::errno;

/// Who to become.
#[derive(Debug, Clone)]
pub struct Ids {
    name: String,
    user: Uid,
    group: Gid,
    groups: Vec<Gid>,
}

/// What the control threads may do after [`Ids::become_them`].
#[derive(Debug, Clone, Copy)]
pub enum Privileges {
    /// Whatever the process was started with.
    Whole,
    /// Those of a user, and these.
    Kept {
        /// At all times.
        lasting: CapabilitySet,
        /// While [`Privileges::raised`] runs.
        at_need: CapabilitySet,
    },
}

/// Looks a user up, and the groups it is in.
///
/// Errors: in nginx's words.
pub fn look_up(user: &User) -> Result<Ids, String> {
    let name = &user.name;
    let account = Account::from_name(name).ok().flatten();
    let account = account.ok_or_else(|| format!("getpwnam(\"{name}\") failed"))?;
    let group = match &user.group {
        None => account.gid,
        Some(name) => {
            let group = Group::from_name(name).ok().flatten();
            group.ok_or_else(|| format!("getgrnam(\"{name}\") failed"))?.gid
        }
    };
    let groups = CString::new(name.as_str())
        .map_err(io::Error::other)
        .and_then(|name| getgrouplist(&name, group).map_err(io::Error::from))
        .map_err(|error| {
            format!("initgroups({name}, {group}) failed ({})", errno::words(&error))
        })?;
    Ok(Ids {
        name: name.clone(),
        user: Uid::from_raw(account.uid.as_raw()),
        group: Gid::from_raw(group.as_raw()),
        groups: groups.into_iter().map(|group| Gid::from_raw(group.as_raw())).collect(),
    })
}

/// True exactly when root runs us: only then `user` makes sense.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Ids {
    /// Makes this thread that user. To be called while there is no other.
    ///
    /// Errors: in nginx's words.
    pub fn become_them(&self) -> Result<Privileges, String> {
        use rustix::thread as credentials;
        let Self { name, user, group, groups } = self;
        let failed = |call: String| {
            move |error: rustix::io::Errno| {
                format!("{call} failed ({})", errno::words(&error.into()))
            }
        };
        let had = credentials::capabilities(None).map_err(failed("capget()".into()))?;
        let lasting = had.permitted & LASTING;
        let at_need = had.permitted & (LASTING | AT_NEED);
        credentials::set_keep_capabilities(true).map_err(failed("prctl()".into()))?;
        credentials::set_thread_groups(groups)
            .map_err(failed(format!("initgroups({name}, {group})")))?;
        credentials::set_thread_res_gid(*group, *group, *group)
            .map_err(failed(format!("setgid({group})")))?;
        credentials::set_thread_res_uid(*user, *user, *user)
            .map_err(failed(format!("setuid({user})")))?;
        credentials::set_keep_capabilities(false).map_err(failed("prctl()".into()))?;
        set(lasting, at_need).map_err(failed("capset()".into()))?;
        Ok(Privileges::Kept { lasting, at_need })
    }

    /// Gives a log file that root has opened to the user, who opens it again after a rotation.
    pub fn own(&self, file: &File) -> io::Result<()> {
        let meta = file.metadata()?;
        if meta.is_file() && meta.uid() != self.user.as_raw() {
            rustix::fs::fchown(file, Some(self.user), None)?;
        }
        Ok(())
    }
}

impl Privileges {
    /// Runs a deed of the control thread that the user alone may not do: a file in a folder of
    /// root's, a program that is to be root again.
    pub fn raised<T>(&self, deed: impl FnOnce() -> T) -> T {
        let Self::Kept { lasting, at_need } = *self else { return deed() };
        // Where it fails the deed fails, in words of its own.
        let _ = set(at_need, at_need);
        let result = deed();
        let _ = set(lasting, at_need);
        result
    }

    /// Starts threads that keep the lasting privileges only.
    pub fn lasting_only<T: Send>(&self, start: impl FnOnce() -> T + Send) -> T {
        match *self {
            Self::Whole => start(),
            Self::Kept { lasting, .. } => from_thread_with(lasting, start),
        }
    }

    /// Starts threads that keep nothing.
    pub fn without<T: Send>(&self, start: impl FnOnce() -> T + Send) -> T {
        match *self {
            Self::Whole => start(),
            Self::Kept { .. } => from_thread_with(CapabilitySet::empty(), start),
        }
    }

    /// Lets a program that is started from here be root, as we were.
    pub fn hand_on(&self, command: &mut Command) {
        if let Self::Kept { .. } = self {
            command.uid(0).gid(0);
        }
    }
}

/// Threads have the privileges of the thread that starts them: so there is one in between.
fn from_thread_with<T: Send>(privileges: CapabilitySet, start: impl FnOnce() -> T + Send) -> T {
    let deed = move || {
        // Less than we have is always granted.
        let shed = set(privileges, privileges);
        assert!(shed.is_ok(), "privileges are given up: {shed:?}");
        start()
    };
    let ended = thread::scope(|scope| scope.spawn(deed).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn set(effective: CapabilitySet, permitted: CapabilitySet) -> rustix::io::Result<()> {
    let sets = CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

/// To read renewed keys, and to bind low ports at a reload.
const LASTING: CapabilitySet =
    CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::NET_BIND_SERVICE);
/// For the pid file, sockets and logs in folders of root's, and for the next binary.
const AT_NEED: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID);
