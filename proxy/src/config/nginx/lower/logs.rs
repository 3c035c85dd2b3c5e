//! `access_log`, `log_format` and `error_log`.

use super::super::tree::{Directive, Tree, all};
use super::scope::Scope;
use super::timeouts::everywhere;
use super::{Lower, words};
use crate::config::{AccessFormat, Level, LogConfig, LogTarget};
use crate::route::http::AccessLog;
use crate::route::log_format::LogFormat;
use crate::route::template::Template;

impl<'t> Lower<'t> {
    pub(super) fn formats(&mut self, http: &'t [Directive]) {
        if let Ok(combined) = LogFormat::combined(&mut self.registry) {
            self.formats.insert(b"combined".to_vec(), combined);
        }
        for line in all(http, "log_format") {
            self.at(line);
            let words = words(line);
            let Some((name, rest)) = words.split_first() else { continue };
            let format = LogFormat::parse(rest, &mut self.registry);
            if let Some(format) = self.check(line, format) {
                self.formats.insert(name.to_vec(), format);
            }
        }
    }

    /// The logs of a location; one on stdout where none is named at all.
    pub(super) fn access_logs(&mut self, scope: &Scope<'t>) -> Box<[AccessLog]> {
        let lines = scope.lines(&["access_log"]);
        if lines.is_empty() {
            let file = self.log_file(LogTarget::Stdout);
            let format = self.formats.get(&b"combined"[..]).cloned();
            let logs = format.map(|format| AccessLog { file, format, condition: None });
            return logs.into_iter().collect();
        }
        if lines.iter().any(|line| line.arg(0) == b"off") {
            return Box::default();
        }
        lines.into_iter().filter_map(|line| self.access_log(line)).collect()
    }

    fn access_log(&mut self, line: &'t Directive) -> Option<AccessLog> {
        self.at(line);
        let words = words(line);
        let mut name = &b"combined"[..];
        let mut condition = None;
        for (number, word) in words.iter().enumerate().skip(1) {
            if let Some(value) = word.strip_prefix(b"if=") {
                let compiled = Template::compile(value, &mut self.registry);
                condition = self.check(line, compiled);
            } else if word.starts_with(b"gzip") {
                self.problem(line, "\"gzip\" of \"access_log\" is not supported yet");
            } else if number == 1 && !word.starts_with(b"buffer=") && !word.starts_with(b"flush=") {
                name = word;
            }
        }
        let Some(format) = self.formats.get(name).cloned() else {
            self.problem(line, format!("unknown log format \"{}\"", name.escape_ascii()));
            return None;
        };
        let target = self.target(line)?;
        Some(AccessLog { file: self.log_file(target), format, condition })
    }

    /// The number of a log file.
    fn log_file(&mut self, target: LogTarget) -> usize {
        let known = self.log_files.iter().position(|known| *known == target);
        known.unwrap_or_else(|| {
            self.log_files.push(target);
            self.log_files.len() - 1
        })
    }

    /// All that is logged to; the locations have been read.
    pub(super) fn log_config(&mut self, tree: &'t Tree, http: &'t [Directive]) -> LogConfig {
        let (error, level) = self.error_log(tree, http);
        let mut files = std::mem::take(&mut self.log_files).into_iter();
        LogConfig {
            access: files.next(),
            others: files.collect(),
            format: AccessFormat::Combined,
            error,
            level,
        }
    }

    fn error_log(&mut self, tree: &'t Tree, http: &'t [Directive]) -> (LogTarget, Level) {
        let mut lines: Vec<&Directive> = all(&tree.main, "error_log").collect();
        lines.extend(everywhere(http, "error_log"));
        for line in lines.iter().skip(1) {
            if line.arg(0) != lines[0].arg(0) {
                let main = lines[0].text(0);
                let what =
                    format!("there is one error log for all servers: errors go to \"{main}\"");
                self.note(line, what);
            }
        }
        let Some(line) = lines.first() else {
            let named = self.options.error_log.as_deref().and_then(|name| self.named(name));
            return (named.unwrap_or(LogTarget::Stderr), Level::Error);
        };
        let level = Level::ALL.into_iter().find(|level| level.word().as_bytes() == line.arg(1));
        let target = self.target(line).unwrap_or_else(|| LogTarget::File("/dev/null".into()));
        (target, level.unwrap_or(Level::Error))
    }

    /// `None` for a log that nobody keeps.
    fn target(&mut self, line: &Directive) -> Option<LogTarget> {
        let name = line.text(0);
        if name.starts_with("syslog:") || name.starts_with("memory:") || name.contains('$') {
            self.problem(line, format!("a log in \"{name}\" is not supported yet"));
            return None;
        }
        self.named(&name)
    }

    /// A log by its name; `None` for one that nobody keeps.
    fn named(&self, name: &str) -> Option<LogTarget> {
        match name {
            "stderr" | "/dev/stderr" => Some(LogTarget::Stderr),
            "/dev/stdout" => Some(LogTarget::Stdout),
            "/dev/null" => None,
            name => Some(LogTarget::File(self.options.prefix.join(name))),
        }
    }
}
