//! `access_log` and `error_log`: one of each.

use std::path::PathBuf;

use super::super::tree::{Directive, Tree, all};
use super::Lower;
use super::timeouts::everywhere;
use crate::config::{AccessFormat, Level, LogConfig, LogTarget};

impl<'t> Lower<'t> {
    pub(super) fn logs(&mut self, tree: &'t Tree, http: &'t [Directive]) -> LogConfig {
        let access = self.access_log(http);
        let (error, level) = self.error_log(tree, http);
        LogConfig { access, format: AccessFormat::Combined, error, level }
    }

    fn access_log(&mut self, http: &'t [Directive]) -> Option<LogTarget> {
        let mut found: Option<&Directive> = None;
        for line in everywhere(http, "access_log") {
            if line.arg(0) == b"off" {
                continue;
            }
            if line.args().len() > 1 && (line.arg(1) != b"combined" || line.args().len() > 2) {
                self.problem(
                    line,
                    "formats other than \"combined\", and parameters, of \
                                    \"access_log\" are not supported yet",
                );
            }
            match found {
                Some(first) if first.arg(0) != line.arg(0) => {
                    self.problem(line, "several access logs are not supported yet");
                }
                _ => found = Some(line),
            }
        }
        match found {
            Some(line) => self.target(line),
            None => Some(LogTarget::Stdout),
        }
    }

    fn error_log(&mut self, tree: &'t Tree, http: &'t [Directive]) -> (LogTarget, Level) {
        let mut lines: Vec<&Directive> = all(&tree.main, "error_log").collect();
        lines.extend(everywhere(http, "error_log"));
        for line in lines.iter().skip(1) {
            if line.arg(0) != lines[0].arg(0) {
                self.problem(line, "several error logs are not supported yet");
            }
        }
        let Some(line) = lines.first() else { return (LogTarget::Stderr, Level::Error) };
        let level = match line.arg(1) {
            b"debug" => Level::Debug,
            b"info" | b"notice" => Level::Info,
            b"warn" => Level::Warn,
            _ => Level::Error,
        };
        (self.target(line).unwrap_or(LogTarget::Stderr), level)
    }

    fn target(&mut self, line: &Directive) -> Option<LogTarget> {
        let name = line.text(0);
        if name == "stderr" || name == "/dev/stderr" {
            return Some(LogTarget::Stderr);
        }
        if name == "/dev/stdout" {
            return Some(LogTarget::Stdout);
        }
        if name == "/dev/null" {
            return None;
        }
        if name.starts_with("syslog:") || name.starts_with("memory:") || name.contains('$') {
            self.problem(line, format!("a log in \"{name}\" is not supported yet"));
        }
        Some(LogTarget::File(PathBuf::from(&self.options.prefix).join(&*name)))
    }
}
