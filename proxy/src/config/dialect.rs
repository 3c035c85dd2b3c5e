//! Which of the languages a configuration file is written in.

use std::path::Path;

/// A language that configurations are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// sheen.toml.
    Native,
    /// nginx.conf.
    Nginx,
}

impl Dialect {
    /// By the name of the file, where its content does not tell.
    fn of_name(path: &Path) -> Self {
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if is_toml { Self::Native } else { Self::Nginx }
    }
}

/// The dialect of a file with these bytes. Its name is asked only where nothing is written or what
/// is written is neither.
pub fn dialect(bytes: &[u8], path: &Path) -> Dialect {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines
        .filter(|line| !line.is_empty() && line[0] != b'#')
        .find_map(of_line)
        .unwrap_or_else(|| Dialect::of_name(path))
}

/// The dialect of the first line that has one: `[table]` and `key = value` against `word ...;` and
/// `word ... {`. A line that could go on on the next one, such as `events`, tells nothing.
fn of_line(line: &[u8]) -> Option<Dialect> {
    if line[0] == b'[' {
        return Some(Dialect::Native);
    }
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let quoted = line[0] == b'"' || line[0] == b'\'';
    let key = if quoted {
        line[1..].iter().position(|byte| *byte == line[0]).map_or(0, |end| end + 2)
    } else {
        line.iter().position(|byte| !is_key(byte)).unwrap_or(line.len())
    };
    match line[key..].trim_ascii_start() {
        [b'=', ..] => Some(Dialect::Native),
        [b';' | b'{', ..] => Some(Dialect::Nginx),
        rest if !quoted && rest.iter().any(|byte| matches!(byte, b';' | b'{')) => {
            Some(Dialect::Nginx)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_the_dialect() {
        for (text, expected) in [
            ("[[site]]\nto = \":3838\"\n", Dialect::Native),
            ("workers = 3", Dialect::Native),
            ("tls.protocols = [\"1.3\"]", Dialect::Native),
            ("\"workers\" = 3 # a; b {", Dialect::Native),
            ("# user nobody;\nlisten_https = [\n", Dialect::Native),
            ("user www-data;\n", Dialect::Nginx),
            ("# workers = 3\nevents {}\n", Dialect::Nginx),
            ("\n\n  events\n{\n worker_connections 9;\n}", Dialect::Nginx),
            ("server{listen 80;}", Dialect::Nginx),
            ("map $a $b { default \"x=y\"; }", Dialect::Nginx),
            ("\u{feff}worker_processes auto; pid /run/x.pid;", Dialect::Nginx),
            ("include /etc/nginx/a=b.conf;", Dialect::Nginx),
            ("if ($a = b) {", Dialect::Nginx),
        ] {
            for name in ["x.toml", "x.conf", "x"] {
                assert_eq!(dialect(text.as_bytes(), Path::new(name)), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn the_name_tells_where_the_content_does_not() {
        for text in ["", "\n", "# nothing\n", "events\n", "\"unended\n", "\u{0}\u{1}"] {
            assert_eq!(dialect(text.as_bytes(), Path::new("/a/sheen.toml")), Dialect::Native);
            assert_eq!(dialect(text.as_bytes(), Path::new("/a/nginx.conf")), Dialect::Nginx);
            assert_eq!(
                dialect(text.as_bytes(), Path::new("/sites-enabled/default")),
                Dialect::Nginx
            );
        }
    }
}
