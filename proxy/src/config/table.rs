//! Reading a table of keys, and the likely cause of a key that is none.

use super::draft::Written;
use super::keys::homes;
use super::raw::{Checker, Entry, Field, Value};
use super::values::nearest;

/// A table of the file and the keys it may have.
pub(crate) struct Table<T: 'static> {
    /// As it is written in the file.
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Key<T>],
}

pub(crate) struct Key<T> {
    pub(crate) name: &'static str,
    /// What the value must be, as it follows "must be".
    pub(crate) expects: &'static str,
    /// Stores a right value, reports a wrong one.
    pub(crate) read: fn(&mut T, &Field<'_>, &mut Checker),
}

pub(crate) const fn key<T>(
    name: &'static str,
    expects: &'static str,
    read: fn(&mut T, &Field<'_>, &mut Checker),
) -> Key<T> {
    Key { name, expects, read }
}

pub(crate) fn read_table<T>(
    field: &Field<'_>,
    table: &'static Table<T>,
    into: &mut T,
    checker: &mut Checker,
) -> Written {
    let mut written = Written::new();
    let Value::Table(entries) = &field.node.value else {
        checker.wrong_kind(field, "");
        return written;
    };
    for entry in entries {
        match table.keys.iter().find(|key| key.name == entry.name) {
            Some(key) => {
                written.insert(key.name, entry.place.clone());
                let field = Field { key: key.name, expects: key.expects, node: &entry.node };
                (key.read)(into, &field, checker);
            }
            None => refuse_unknown(entry, table, checker),
        }
    }
    written
}

fn refuse_unknown<T>(entry: &Entry, table: &'static Table<T>, checker: &mut Checker) {
    let name = &entry.name;
    let here: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
    if let Some((_, ours)) = NGINX_WORDS.iter().find(|(theirs, _)| theirs == name) {
        checker.refuse(&entry.place, format!("unknown key `{name}`"), format!("write {ours}"));
    } else if let Some((title, _)) = homes().find(|(_, key)| key == name) {
        let what = format!("`{name}` stands in the wrong place");
        let hint = match title {
            "the top level" => "write it above the first [table]".to_owned(),
            title => format!("it belongs into {title}"),
        };
        checker.refuse(&entry.place, what, hint);
    } else if let Some(near) = nearest(name, here.iter().copied()) {
        let what = format!("unknown key `{name}`, did you mean `{near}`?");
        checker.refuse_plainly(&entry.place, what);
    } else if let Some((title, near)) =
        homes().find(|(_, key)| nearest(name, [*key].into_iter()).is_some())
    {
        let what = format!("unknown key `{name}`, did you mean `{near}` of {title}?");
        checker.refuse_plainly(&entry.place, what);
    } else {
        let what = format!("unknown key `{name}`");
        checker.refuse(&entry.place, what, format!("{} takes {}", table.title, here.join(", ")));
    }
}

pub(crate) fn tables<T>(
    field: &Field<'_>,
    checker: &mut Checker,
    read: fn(&Field<'_>, &mut Checker) -> T,
) -> Vec<T> {
    match &field.node.value {
        Value::List(nodes) if nodes.is_empty() && field.key != "certificates" => {
            let hint = "write [[site]] or [[site.location]] on a line of its own instead";
            checker.refuse(&field.node.place, format!("`{}` is an empty list", field.key), hint);
            Vec::new()
        }
        Value::List(nodes) => {
            nodes.iter().map(|node| read(&field.with_node(node), checker)).collect()
        }
        other => {
            let hint = match (field.key, other) {
                ("certificates", _) => "write certificates = [{ cert = \"...\", key = \"...\" }]",
                (_, Value::Table(_)) => "write two brackets: [[site]] and [[site.location]]",
                (_, _) => "",
            };
            checker.wrong_kind(field, hint);
            Vec::new()
        }
    }
}

/// What people know from nginx, and what it is called here.
const NGINX_WORDS: [(&str, &str); 17] = [
    ("listen", "listen_https or listen_http, above the first [table]"),
    ("server_name", "names in [[site]]"),
    ("server", "[[site]]"),
    ("sites", "[[site]], once for each"),
    ("locations", "[[site.location]], once for each"),
    ("proxy_pass", "to in [[site]] or [[site.location]]"),
    ("upstream", "to in [[site]] or [[site.location]]"),
    ("ssl_certificate", "certificates in [[site]]"),
    ("ssl_certificate_key", "certificates in [[site]]"),
    ("ssl_protocols", "protocols in [tls]"),
    ("client_max_body_size", "request_body_bytes in [limits]"),
    ("proxy_read_timeout", "upstream_answer and tunnel_idle in [timeouts]"),
    ("proxy_connect_timeout", "upstream_connect in [timeouts]"),
    ("keepalive_timeout", "keep_alive in [timeouts]"),
    ("worker_processes", "workers"),
    ("access_log", "access in [log]"),
    ("error_log", "error in [log]"),
];
