//! The process as scripts, units and logrotate meet it: daemon, pid file, user.

use std::path::PathBuf;

use super::raw::{Checker, Field};
use super::values::{is_word, path_in_prefix, text};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The program goes into the background once everything listens.
    pub daemon: bool,
    /// Written once everything listens; `None`: no file.
    pub pid: Option<PathBuf>,
    /// Whom the process becomes once it has bound its sockets and read its keys; `None`: it stays
    /// who it is.
    pub user: Option<User>,
    /// Open files at most, where that is not left to whoever starts us.
    pub files: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// `None`: the user's own.
    pub group: Option<String>,
}

impl Default for Process {
    /// What a command line without a file means.
    fn default() -> Self {
        Self { daemon: false, pid: None, user: None, files: None }
    }
}

/// Where a daemon has its pid file, and where `-s` looks, when the configuration names none.
pub const PID_FILE: &str = "/run/sheen.pid";

/// `None`: no pid file.
pub(crate) fn pid_file(field: &Field<'_>, checker: &mut Checker) -> Option<PathBuf> {
    if is_word(field, "off") { None } else { path_in_prefix(field, checker) }
}

/// The name of a user or a group; `None`: off.
pub(crate) fn account(field: &Field<'_>, checker: &mut Checker) -> Option<String> {
    if is_word(field, "off") {
        return None;
    }
    let name = text(field, checker)?;
    let is_name = |byte: u8| byte.is_ascii_graphic() && !b":,/".contains(&byte);
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(is_name) {
        let what = format!("`{}` is {name:?}, which is no name of an account", field.key);
        checker.refuse(&field.node.place, what, "write one of /etc/passwd: \"www-data\"");
        return None;
    }
    Some(name.to_owned())
}
