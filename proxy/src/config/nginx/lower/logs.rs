//! `access_log`, `log_format` and `error_log`.

use super::super::syslog::syslog;
use super::super::tree::{Directive, Tree, all, find};
use super::scope::Scope;
use super::timeouts::everywhere;
use super::{Lower, said};
use crate::config::{AccessFormat, ErrorLog, Level, LogConfig, LogTarget, Syslog};
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
            let words = line.slices();
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
        let words = line.slices();
        let mut name = &b"combined"[..];
        let mut condition = None;
        for (number, word) in words.iter().enumerate().skip(1) {
            if number == 1 {
                name = word;
            } else if let Some(value) = word.strip_prefix(b"if=") {
                let compiled = Template::compile(value, &mut self.registry);
                condition = self.check(line, compiled);
            } else if word.starts_with(b"gzip") {
                let what = "\"gzip\" of \"access_log\" is not supported: logs are written as text, \
                            which logrotate compresses when it is asked to (compress)";
                self.problem(line, what);
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
        self.note_terminals(tree, &error);
        let access = std::mem::take(&mut self.log_files).into();
        LogConfig { access, format: AccessFormat::Combined, error, level }
    }

    /// A daemon has no terminal, where logs go that no file is named for.
    fn note_terminals(&mut self, tree: &'t Tree, error: &LogTarget) {
        let is_terminal = |to: &LogTarget| matches!(to, LogTarget::Stdout | LogTarget::Stderr);
        let mut lost = Vec::new();
        if is_terminal(error) {
            lost.push("error_log");
        }
        if self.log_files.iter().any(is_terminal) {
            lost.push("access_log");
        }
        let is_daemon = find(&tree.main, "daemon").is_none_or(Directive::is_on);
        if is_daemon && !lost.is_empty() {
            let lost = lost.join(" and ");
            let what =
                format!("a daemon has no terminal: lines go nowhere without a file in {lost}");
            self.notes.push(said(None, what, None));
        }
    }

    /// Where a server's errors go, if not where those of the process go.
    pub(super) fn error_logs(&mut self, server: &Scope<'t>) -> Option<Box<[ErrorLog]>> {
        let mut lines = server.lines(&["error_log"]);
        if lines.is_empty() && self.error_lines.len() > 1 {
            lines = self.error_lines.clone();
        }
        let log = |line: &&'t Directive| {
            let target = self.target(line)?;
            Some(ErrorLog { file: self.log_file(target), level: level(line) })
        };
        (!lines.is_empty()).then(|| lines.iter().filter_map(log).collect())
    }

    /// A request's errors go to its server's logs, also where a location has its own.
    pub(super) fn note_error_log(&mut self, location: &'t [Directive]) {
        for line in all(location, "error_log") {
            self.note(line, "errors go to the log of the server, not of the location");
        }
    }

    /// That of the process.
    fn error_log(&mut self, tree: &'t Tree, http: &'t [Directive]) -> (LogTarget, Level) {
        let mut lines: Vec<&Directive> = all(&tree.main, "error_log").collect();
        for line in lines.iter().skip(1) {
            let main = lines[0].text(0);
            self.note(line, format!("news of the process goes to \"{main}\" alone"));
        }
        lines.extend(all(http, "error_log"));
        lines.extend(everywhere(http, "error_log"));
        let Some(line) = lines.first() else {
            let named = self.options.error_log.as_deref().and_then(|name| self.named(name));
            return (named.unwrap_or(LogTarget::Stderr), Level::Error);
        };
        // A log that nobody keeps is still opened: it has to be somewhere.
        let target = self.target(line).unwrap_or_else(|| LogTarget::File("/dev/null".into()));
        (target, level(line))
    }

    /// `None` for a log that nobody keeps.
    fn target(&mut self, line: &Directive) -> Option<LogTarget> {
        let name = line.text(0);
        if let Some(text) = name.strip_prefix("syslog:") {
            let syslog = self.check(line, syslog(text))?;
            return Some(LogTarget::Syslog(Syslog { by_level: line.is("error_log"), ..syslog }));
        }
        if name.starts_with("memory:") || name.contains('$') {
            let what = match name.contains('$') {
                true => "requests could open any number of files: name one",
                false => "there is no debugger to read it with",
            };
            self.problem(line, format!("a log in \"{name}\" is not supported: {what}"));
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

/// The level of an `error_log`.
fn level(line: &Directive) -> Level {
    let level = Level::ALL.into_iter().find(|level| level.word().as_bytes() == line.arg(1));
    level.unwrap_or(Level::Error)
}
