//! nginx's flags, and the words it answers them with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Command, EXAMPLES, Refusal};
use crate::config::load::Source;
use crate::config::{Dialect, Problem, Rung};
use crate::life::remote::Word;

// No doc comment: clap would make it the program's description.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Configuration file [default: /etc/sheen/sheen.toml]
    #[arg(short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    /// Test the configuration and exit
    #[arg(short = 't')]
    test: bool,
    /// Test the configuration, print what is in force, and exit
    #[arg(short = 'T')]
    dump: bool,
    /// Say only what is wrong, with -t
    #[arg(short = 'q')]
    quiet: bool,
    /// Folder to which FILE, logs and the pid file are relative
    #[arg(short = 'p', value_name = "PREFIX")]
    prefix: Option<PathBuf>,
    /// Error log of a configuration that names none
    #[arg(short = 'e', value_name = "FILE")]
    error_log: Option<String>,
    /// Directives beside the configuration, in nginx's language: "daemon off; pid /run/x.pid;"
    #[arg(short = 'g', value_name = "DIRECTIVES")]
    globals: Option<String>,
    /// Tell the running sheen: stop, quit, reload or reopen
    #[arg(short = 's', value_name = "SIGNAL")]
    signal: Option<String>,
    /// Language of the configuration: native or nginx [default: its content tells]
    #[arg(long, value_name = "WORD")]
    dialect: Option<String>,
    /// Print help
    #[arg(short = 'h', short_alias = '?', long, global = true, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'v')]
    version: bool,
    /// Print the version and what this sheen is made of
    #[arg(short = 'V')]
    version_long: bool,
}

impl Flags {
    /// What they ask for; without `-c` of `default_config`.
    pub(super) fn command(self, default_config: &Path) -> Result<Command, Refusal> {
        let long = self.version_long;
        if long || self.version {
            // A test is made all the same.
            let tests = self.test || self.dump;
            let rest = Self { version: false, version_long: false, ..self };
            let then = if tests { Some(Box::new(rest.command(default_config)?)) } else { None };
            return Ok(Command::Version { long, then });
        }
        let (quiet, named) = (self.quiet, self.config.is_some());
        let (test, dump, signal) = (self.test, self.dump, self.signal.clone());
        let source = self.source(default_config)?;
        if dump {
            return Ok(Command::Dump { source, quiet });
        }
        if test {
            return Ok(Command::Check { source, quiet });
        }
        if let Some(text) = signal {
            let word = Word::parse(&text)
                .ok_or_else(|| Refusal::Flag(format!("invalid option: \"-s {text}\"")))?;
            return Ok(Command::Signal { source, word });
        }
        if !named && !default_config.exists() {
            let welcome =
                format!("no arguments, and no file {}\n\n{EXAMPLES}\n", default_config.display());
            let kind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            return Err(Refusal::Other(clap::Error::raw(kind, welcome)));
        }
        Ok(Command::Run(source))
    }

    fn source(self, default_config: &Path) -> Result<Source, Refusal> {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let prefix = self.prefix.map(absolute);
        let file = match (self.config, &prefix) {
            (None, _) => default_config.to_owned(),
            (Some(file), Some(prefix)) => prefix.join(file),
            (Some(file), None) => absolute(file),
        };
        let dialect = match self.dialect.as_deref() {
            None => None,
            Some("native") => Some(Dialect::Native),
            Some("nginx") => Some(Dialect::Nginx),
            Some(other) => {
                return Err(Refusal::Flag(format!("invalid option: \"--dialect {other}\"")));
            }
        };
        let (globals, error_log) = (self.globals, self.error_log);
        Ok(Source { file, prefix, globals, error_log, dialect })
    }
}

/// For `-v`.
pub fn version() -> String {
    format!("sheen version: sheen/{}\n", env!("CARGO_PKG_VERSION"))
}

/// For `-V`. certbot's nginx plugin looks for the SNI line.
pub fn version_long() -> String {
    let rungs = Rung::LADDER.map(Rung::word).join(", ");
    format!(
        "{}built with rustls on aws-lc, TLS 1.2 and 1.3\n\
         TLS SNI support enabled\n\
         target: {}-{}\n\
         runtime rungs: {rungs}\n",
        version(),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

/// What `-t` says on stderr, in nginx's words. The exit code is 1 exactly when there are problems.
pub fn verdict(file: &Path, quiet: bool, warnings: &[Problem], problems: &[Problem]) -> String {
    let file = file.display();
    let mut said = String::new();
    let mut say = |line: std::fmt::Arguments<'_>| {
        writeln!(said, "sheen: {line}").expect("a String takes every write");
    };
    for warning in warnings.iter().filter(|_| !quiet) {
        say(format_args!("[warn] {warning}"));
    }
    for problem in problems {
        say(format_args!("[emerg] {problem}"));
    }
    if !problems.is_empty() {
        say(format_args!("configuration file {file} test failed"));
    } else if !quiet {
        say(format_args!("the configuration file {file} syntax is ok"));
        say(format_args!("configuration file {file} test is successful"));
    }
    said
}

/// A mistake in one of the flags, in nginx's words.
pub(super) fn mistake(error: &clap::Error) -> Option<String> {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(given)) => Some(given),
        _ => None,
    };
    if let Some(word) = given(ContextKind::InvalidSubcommand) {
        return Some(format!("invalid option: \"{word}\""));
    }
    let given = given(ContextKind::InvalidArg)?;
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let bare = given.strip_prefix('-').filter(|bare| bare.len() == 1);
            Some(format!("invalid option: \"{}\"", bare.unwrap_or(given)))
        }
        // Without a value: `-c <FILE>`.
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues => {
            let flag = given.split(' ').next().unwrap_or(given);
            let needs = match flag {
                "-c" | "-e" => "file name",
                "-p" => "directory name",
                _ => "parameter",
            };
            Some(format!("option \"{flag}\" requires {needs}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_speaks_as_nginx_does() {
        let file = Path::new("/etc/sheen/sheen.toml");
        let problem = |what: &str| Problem {
            file: "sheen.toml".to_owned(),
            line: Some(3),
            what: what.to_owned(),
            hint: Some("h".to_owned()),
            dialect: Dialect::Native,
        };
        let (warnings, problems) = ([problem("w")], [problem("p"), problem("q")]);
        assert_eq!(
            verdict(file, false, &warnings, &[]),
            "sheen: [warn] sheen.toml:3: w\n  hint: h\n\
             sheen: the configuration file /etc/sheen/sheen.toml syntax is ok\n\
             sheen: configuration file /etc/sheen/sheen.toml test is successful\n"
        );
        assert_eq!(verdict(file, true, &warnings, &[]), "");
        assert_eq!(
            verdict(file, true, &[], &problems),
            "sheen: [emerg] sheen.toml:3: p\n  hint: h\n\
             sheen: [emerg] sheen.toml:3: q\n  hint: h\n\
             sheen: configuration file /etc/sheen/sheen.toml test failed\n"
        );
    }

    #[test]
    fn versions_hold_what_certbot_looks_for() {
        assert!(version().starts_with("sheen version: sheen/"));
        assert!(version_long().contains("TLS SNI support enabled\n"));
        assert!(version_long().contains("defer_taskrun, coop_taskrun, io_uring, epoll"));
    }
}
