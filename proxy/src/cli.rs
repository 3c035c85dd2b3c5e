//! The command line: nginx's flags at the top, our verbs beside them, all lowered into one checker.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::config::address::resolve_by_system;
use crate::config::check::check;
use crate::config::load::Source;
use crate::config::native::Loaded;
use crate::config::raw::{Checker, Entry, Node, Place, Value};
use crate::config::{Dialect, Problem, Rung};
use crate::life::remote::Word;

/// What the user asks for.
#[derive(Debug)]
pub enum Command {
    /// Run with a configuration file.
    Run(Source),
    /// Check a configuration file and say so, see [`verdict`].
    Check { source: Source, quiet: bool },
    /// Check it, and print what is in force.
    Dump { source: Source, quiet: bool },
    /// Tell a running sheen what to do.
    Signal { source: Source, word: Word },
    /// Run with what the command line says.
    Proxy(Box<ProxyArgs>),
    /// Run in front of the embedded app.
    Demo(DemoArgs),
    /// Print the directives of nginx.conf and what becomes of them.
    Directives,
    /// Print [`version`].
    Version,
    /// Print [`version_long`].
    VersionLong,
}

/// Put HTTPS in front of one app, without a configuration file
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Server name to answer for, "shiny.example.com" or "*.example.com"; without it any name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    from: Vec<String>,
    /// The app: HOST:PORT, :PORT or unix:/path
    #[arg(long, value_name = "ADDR")]
    to: String,
    /// Certificate with its chain, PEM; without it a development certificate
    #[arg(long, value_name = "FILE")]
    cert: Vec<String>,
    /// Key of the --cert at the same place
    #[arg(long, value_name = "FILE")]
    key: Vec<String>,
    /// ADDR:PORT, :PORT for all addresses, or off [default: :443]
    #[arg(long, value_name = "ADDR")]
    listen_https: Vec<String>,
    /// ADDR:PORT, :PORT for all addresses, or off [default: :80]
    #[arg(long, value_name = "ADDR")]
    listen_http: Vec<String>,
    /// What plain HTTP does: redirect, redirect-308 or proxy [default: redirect]
    #[arg(long, value_name = "WORD")]
    http: Option<String>,
    /// Strict-Transport-Security, "max-age=63072000" [default: off]
    #[arg(long, value_name = "VALUE")]
    hsts: Option<String>,
    /// Kind of app: shiny, workbench or connect [default: shiny]
    #[arg(long, value_name = "WORD")]
    app: Option<String>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// auto, defer_taskrun, coop_taskrun, io_uring or epoll [default: auto]
    #[arg(long, value_name = "WORD")]
    runtime: Option<String>,
    /// TLS of large answers by the kernel: off, auto or on [default: off]
    #[arg(long, value_name = "WORD")]
    ktls: Option<String>,
    /// stdout, stderr, off or a file [default: stdout]
    #[arg(long, value_name = "TARGET")]
    access_log: Option<String>,
    /// combined or json [default: combined]
    #[arg(long, value_name = "WORD")]
    log_format: Option<String>,
    /// Folder whose .well-known/acme-challenge/ is served on plain HTTP
    #[arg(long, value_name = "DIR")]
    acme_webroot: Option<String>,
    /// Address or network of a proxy in front whose X-Forwarded-For is believed
    #[arg(long, value_name = "NET", value_delimiter = ',')]
    trusted_proxy: Vec<String>,
}

/// Try sheen with an embedded app, on this machine only
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// ADDR:PORT [default: 127.0.0.1:8443, or a free port]
    #[arg(long, value_name = "ADDR")]
    listen_https: Option<String>,
    /// ADDR:PORT [default: 127.0.0.1:8080, or a free port]
    #[arg(long, value_name = "ADDR")]
    listen_http: Option<String>,
    /// What was free when first asked: a reload must not find its own ports taken.
    #[arg(skip)]
    defaults: OnceLock<[String; 2]>,
}

/// A command line that is not understood, or asks for help.
#[derive(Debug)]
pub enum Refusal {
    /// One of nginx's flags: its words, its exit code.
    Flag(String),
    Other(clap::Error),
}

impl Refusal {
    /// Says it, and returns the exit code.
    pub fn print(&self) -> u8 {
        match self {
            Self::Flag(words) => {
                eprintln!("sheen: {words}");
                1
            }
            Self::Other(error) => {
                // Nothing is left to do when the terminal is gone.
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(2)
            }
        }
    }
}

/// Reads the arguments, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Refusal> {
    parse_with(args, Path::new(DEFAULT_CONFIG))
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

impl ProxyArgs {
    /// Checks the options as a configuration file would be; problems name the option.
    pub fn lower(&self) -> Result<Loaded, Vec<Problem>> {
        let mut checker = Checker::new(Path::new(""), resolve_by_system);
        let mut site = vec![text("--to", "to", &self.to)];
        if !self.from.is_empty() {
            site.push(list("--from", "names", &self.from));
        }
        site.extend(self.hsts.as_ref().map(|value| text("--hsts", "hsts", value)));
        site.extend(self.app.as_ref().map(|value| text("--app", "app", value)));
        site.extend(self.http.as_ref().map(|value| text("--http", "http", value)));
        let webroot = self.acme_webroot.as_ref();
        site.extend(webroot.map(|value| text("--acme-webroot", "acme_webroot", value)));
        site.extend(self.certificates(&mut checker));

        let mut log = Vec::new();
        log.extend(self.access_log.as_ref().map(|value| text("--access-log", "access", value)));
        log.extend(self.log_format.as_ref().map(|value| text("--log-format", "format", value)));

        let mut root = Vec::new();
        root.extend(listeners("--listen-https", "listen_https", &self.listen_https));
        root.extend(listeners("--listen-http", "listen_http", &self.listen_http));
        if !self.trusted_proxy.is_empty() {
            root.push(list("--trusted-proxy", "trusted_proxies", &self.trusted_proxy));
        }
        root.extend(self.runtime.as_ref().map(|value| text("--runtime", "runtime", value)));
        root.extend(self.workers.as_ref().map(|value| match value.parse() {
            Ok(number) => entry("--workers", "workers", Value::Number(number)),
            Err(_) => text("--workers", "workers", value),
        }));
        if let Some(value) = &self.ktls {
            root.push(entry("--ktls", "tls", Value::Table(vec![text("--ktls", "ktls", value)])));
        }
        root.push(entry("sheen proxy", "log", Value::Table(log)));
        root.push(entry("sheen proxy", "site", one_site(site)));
        check(&node("sheen proxy", Value::Table(root)), checker)
    }

    fn certificates(&self, checker: &mut Checker) -> Option<Entry> {
        let (certs, keys) = (self.cert.len(), self.key.len());
        if certs != keys {
            let flag = if certs > keys { "--cert" } else { "--key" };
            checker.refuse(
                &place(flag),
                format!("{certs} --cert and {keys} --key: they come in pairs"),
                "give each --cert FILE its --key FILE; when one file holds both, name it twice",
            );
            return None;
        }
        if certs == 0 {
            return None;
        }
        let pairs = self.cert.iter().zip(&self.key).map(|(cert, key)| {
            let pair = vec![text("--cert", "cert", cert), text("--key", "key", key)];
            node("--cert", Value::Table(pair))
        });
        Some(entry("--cert", "certificates", Value::List(pairs.collect())))
    }
}

impl DemoArgs {
    /// The demo in front of the app at `to`. The warnings say which default port was taken.
    pub fn lower(&self, to: SocketAddr) -> Result<Loaded, Vec<Problem>> {
        let mut notes = Vec::new();
        let [https, http] = self.defaults.get_or_init(|| {
            let mut choose = |flag, given: &Option<String>, default: &str| match given {
                Some(given) => given.clone(),
                None => free_or_any(flag, default, &mut notes),
            };
            [
                choose("--listen-https", &self.listen_https, DEMO_HTTPS),
                choose("--listen-http", &self.listen_http, DEMO_HTTP),
            ]
        });
        let site = vec![
            list("sheen demo", "names", &["localhost", "127.0.0.1", "::1"].map(str::to_owned)),
            text("sheen demo", "to", &to.to_string()),
        ];
        let mut root = vec![entry("sheen demo", "site", one_site(site))];
        root.extend(listeners("--listen-https", "listen_https", std::slice::from_ref(https)));
        root.extend(listeners("--listen-http", "listen_http", std::slice::from_ref(http)));
        let checker = Checker::new(Path::new(""), resolve_by_system);
        let loaded = check(&node("sheen demo", Value::Table(root)), checker)?;
        let mut config = loaded.config;
        config.limits.timeouts.drain = DEMO_DRAIN;
        // That the demo's certificate is a development one is no news.
        Ok(Loaded { config, warnings: notes })
    }
}

/// HTTPS in front of Shiny apps
#[derive(Debug, Parser)]
#[command(
    name = "sheen",
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES
)]
struct Arguments {
    /// Configuration file [default: /etc/sheen/sheen.toml]
    #[arg(short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    /// Test the configuration and exit
    #[arg(short = 't')]
    test: bool,
    /// Test the configuration, print it with every default spelled out, and exit
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
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Proxy(Box<ProxyArgs>),
    Demo(DemoArgs),
    /// Test the configuration and exit, as -t
    Check {
        /// Configuration file [default: /etc/sheen/sheen.toml]
        #[arg(short = 'c', value_name = "FILE")]
        config: Option<PathBuf>,
        /// Say only what is wrong
        #[arg(short = 'q')]
        quiet: bool,
    },
    /// List the directives of nginx.conf: arguments, contexts, what becomes of each
    Directives,
}

fn parse_with(
    args: impl IntoIterator<Item = OsString>,
    default_config: &Path,
) -> Result<Command, Refusal> {
    let args: Vec<OsString> = args.into_iter().collect();
    let is_flags = args.get(1).is_some_and(|first| first.as_encoded_bytes().starts_with(b"-"));
    let arguments = Arguments::try_parse_from(args).map_err(|error| match flag_words(&error) {
        Some(words) if is_flags => Refusal::Flag(words),
        _ => Refusal::Other(error),
    })?;
    match arguments.verb {
        Some(Verb::Proxy(args)) => return Ok(Command::Proxy(args)),
        Some(Verb::Demo(args)) => return Ok(Command::Demo(args)),
        Some(Verb::Check { config, quiet }) => {
            let file = config.unwrap_or_else(|| default_config.to_owned());
            return Ok(Command::Check { source: Source::file(&file), quiet });
        }
        Some(Verb::Directives) => return Ok(Command::Directives),
        None => {}
    }
    if arguments.version_long {
        return Ok(Command::VersionLong);
    }
    if arguments.version {
        return Ok(Command::Version);
    }
    let (quiet, named) = (arguments.quiet, arguments.config.is_some());
    let (test, dump, signal) = (arguments.test, arguments.dump, arguments.signal.clone());
    let source = source(arguments, default_config)?;
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

fn source(arguments: Arguments, default_config: &Path) -> Result<Source, Refusal> {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let prefix = arguments.prefix.map(absolute);
    let file = match (arguments.config, &prefix) {
        (None, _) => default_config.to_owned(),
        (Some(file), Some(prefix)) => prefix.join(file),
        (Some(file), None) => absolute(file),
    };
    let dialect = match arguments.dialect.as_deref() {
        None => None,
        Some("native") => Some(Dialect::Native),
        Some("nginx") => Some(Dialect::Nginx),
        Some(other) => {
            return Err(Refusal::Flag(format!("invalid option: \"--dialect {other}\"")));
        }
    };
    let (globals, error_log) = (arguments.globals, arguments.error_log);
    Ok(Source { file, prefix, globals, error_log, dialect })
}

/// A mistake in one of nginx's flags, in nginx's words.
fn flag_words(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
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

/// The default, or any free port, with a note, when it is taken.
fn free_or_any(flag: &str, default: &str, notes: &mut Vec<Problem>) -> String {
    let Err(error) = TcpListener::bind(default) else {
        return default.to_owned();
    };
    notes.push(Problem {
        file: flag.to_owned(),
        line: None,
        what: format!("{default} cannot be used, a free port is taken instead: {error}"),
        hint: Some(format!("choose one with {flag} 127.0.0.1:PORT")),
        dialect: Dialect::Native,
    });
    "127.0.0.1:0".to_owned()
}

fn listeners(flag: &str, key: &str, given: &[String]) -> Option<Entry> {
    match given {
        [] => None,
        [off] if off == "off" => Some(list(flag, key, &[])),
        given => Some(list(flag, key, given)),
    }
}

fn one_site(entries: Vec<Entry>) -> Value {
    Value::List(vec![node("sheen proxy", Value::Table(entries))])
}

fn list(flag: &str, key: &str, given: &[String]) -> Entry {
    let texts = given.iter().map(|given| node(flag, Value::Text(given.clone())));
    entry(flag, key, Value::List(texts.collect()))
}

fn text(flag: &str, key: &str, given: &str) -> Entry {
    entry(flag, key, Value::Text(given.to_owned()))
}

fn entry(flag: &str, key: &str, value: Value) -> Entry {
    Entry { name: key.to_owned(), place: place(flag), node: node(flag, value) }
}

fn node(flag: &str, value: Value) -> Node {
    Node { place: place(flag), value }
}

fn place(flag: &str) -> Place {
    Place { file: flag.into(), line: None }
}

const DEFAULT_CONFIG: &str = "/etc/sheen/sheen.toml";
const DEMO_HTTPS: &str = "127.0.0.1:8443";
/// Nobody waits for the end of a demo.
const DEMO_DRAIN: Duration = Duration::from_secs(1);
const DEMO_HTTP: &str = "127.0.0.1:8080";

const EXAMPLES: &str = "\
Examples:
  sheen demo                                     try it, with an embedded app
  sheen proxy --from shiny.example.com --to :3838 \\
      --cert fullchain.pem --key privkey.pem     HTTPS in front of Shiny Server
  sheen -c /etc/sheen/sheen.toml                 run with a configuration file";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::{App, Config, PlainHttp};

    /// Parses a line of words; `NOTHING` as the default configuration file does not exist.
    fn command(line: &str) -> Result<Command, Refusal> {
        let words = std::iter::once("sheen").chain(line.split_whitespace()).map(OsString::from);
        parse_with(words, Path::new("/nonexistent/sheen.toml"))
    }

    fn lowered(line: &str) -> Result<Loaded, Vec<Problem>> {
        match command(line).unwrap() {
            Command::Proxy(args) => args.lower(),
            other => panic!("{other:?}"),
        }
    }

    fn config(line: &str) -> Config {
        lowered(line).unwrap_or_else(|problems| panic!("{line}: {problems:?}")).config
    }

    #[test]
    fn clap_finds_the_definition_sound() {
        Arguments::command().debug_assert();
    }

    /// What a line of flags means, without the working folder.
    fn meant(line: &str) -> String {
        let here = std::path::absolute("x").unwrap();
        let here = format!("{}/", here.parent().unwrap().display());
        match command(line).unwrap() {
            Command::Run(source) => format!("run {}", source.file.display()),
            Command::Check { source, quiet } => {
                format!("check {}{}", source.file.display(), if quiet { " quietly" } else { "" })
            }
            Command::Dump { source, .. } => format!("dump {}", source.file.display()),
            Command::Signal { source, word } => format!("{word:?} by {}", source.file.display()),
            other => format!("{other:?}"),
        }
        .replace(&here, "")
    }

    #[test]
    fn takes_nginx_flags_and_verbs() {
        for (line, expected) in [
            ("-c a.toml", "run a.toml"),
            ("-c a.toml -c b.toml", "run b.toml"),
            ("-p /p -c a.toml", "run /p/a.toml"),
            ("-p /p -c /q/a.toml", "run /q/a.toml"),
            ("-t", "check /nonexistent/sheen.toml"),
            ("-t -q -c a.toml", "check a.toml quietly"),
            ("-tqc a.toml", "check a.toml quietly"),
            ("-tqca.toml", "check a.toml quietly"),
            ("-T", "dump /nonexistent/sheen.toml"),
            ("-s reload -c a.toml", "Reload by a.toml"),
            ("-sstop", "Stop by /nonexistent/sheen.toml"),
            ("check", "check /nonexistent/sheen.toml"),
            ("check -q -c a.toml", "check a.toml quietly"),
            ("directives", "Directives"),
            ("-v", "Version"),
            ("-V", "VersionLong"),
            ("-c a.toml -V", "VersionLong"),
            (
                "demo",
                "Demo(DemoArgs { listen_https: None, listen_http: None, defaults: OnceLock(<uninit>) })",
            ),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
        let line = "-c a -p /p -e e.log --dialect native -g daemon;";
        let Command::Run(source) = command(line).unwrap() else { panic!("it runs") };
        assert_eq!(
            source,
            Source {
                file: "/p/a".into(),
                prefix: Some("/p".into()),
                globals: Some("daemon;".to_owned()),
                error_log: Some("e.log".to_owned()),
                dialect: Some(Dialect::Native),
            }
        );
    }

    #[test]
    fn refuses_flags_as_nginx_does() {
        for (line, words) in [
            ("-x", "invalid option: \"x\""),
            ("-tx", "invalid option: \"x\""),
            ("--frob", "invalid option: \"--frob\""),
            ("-c", "option \"-c\" requires file name"),
            ("-e", "option \"-e\" requires file name"),
            ("-p", "option \"-p\" requires directory name"),
            ("-g", "option \"-g\" requires parameter"),
            ("-s", "option \"-s\" requires parameter"),
            ("-s foo", "invalid option: \"-s foo\""),
            ("--dialect apache", "invalid option: \"--dialect apache\""),
        ] {
            let refusal = command(line).unwrap_err();
            let Refusal::Flag(said) = &refusal else { panic!("{line}: {refusal:?}") };
            assert_eq!(said, words, "{line}");
        }
    }

    #[test]
    fn refuses_the_rest_with_exit_code_2() {
        let other = |line: &str| match command(line).unwrap_err() {
            Refusal::Other(error) => error,
            refusal @ Refusal::Flag(_) => panic!("{line}: {refusal:?}"),
        };
        for line in ["", "proxy", "proxy --to", "-t proxy --to :1", "prxy", "demo x"] {
            assert_eq!(other(line).exit_code(), 2, "{line}");
        }
        let welcome = other("").to_string();
        assert!(welcome.contains("no file /nonexistent/sheen.toml"), "{welcome}");
        assert!(welcome.contains("sheen demo") && welcome.contains("sheen proxy"), "{welcome}");
        for line in ["-h", "-?", "--help", "proxy --help"] {
            assert_eq!(other(line).exit_code(), 0, "{line}");
        }
    }

    #[test]
    fn lowers_every_option() {
        let config = config(
            "proxy --from a.test,*.a.test --from b.test --to :3838 --cert c1 --key k1 --cert c2 \
             --key k2 --listen-https 127.0.0.1:8443 --listen-https [::1]:8443 --listen-http off \
             --http proxy --hsts max-age=1 --app connect --workers 3 --runtime epoll \
             --access-log off --log-format json --acme-webroot / --trusted-proxy 10.0.0.0/8,::1",
        );
        let site = &config.sites[0];
        assert_eq!(site.names, ["a.test", "*.a.test", "b.test"]);
        assert_eq!(site.certificates.len(), 2);
        assert_eq!(site.certificates[1].key, std::path::absolute("k2").unwrap());
        assert_eq!(site.hsts.as_deref(), Some("max-age=1"));
        assert_eq!(site.http, PlainHttp::Proxy);
        assert_eq!(site.acme_webroot.as_deref(), Some(Path::new("/")));
        assert_eq!(site.locations[0].app, App::Connect);
        assert_eq!(config.listeners.len(), 2);
        assert!(config.listeners.iter().all(|listen| listen.tls && !listen.optional));
        assert_eq!(config.workers, 3);
        assert_eq!(config.runtime, crate::config::Runtime::Exactly(Rung::Epoll));
        assert_eq!(config.log.access, None);
        assert_eq!(config.trusted_proxies.len(), 2);
    }

    #[test]
    fn an_empty_command_line_and_an_empty_file_mean_the_same() {
        let file = crate::config::native::parse("[[site]]\nto = \":3838\"", "/etc/x").unwrap();
        assert_eq!(config("proxy --to :3838"), file.config);
    }

    #[test]
    fn problems_name_the_option_and_come_at_once() {
        let problems = lowered(
            "proxy --from a.test:443 --to 3838 --cert c --listen-https 8443 --hsts x --app java \
             --workers many --runtime x --http x --access-log sdtout --log-format x \
             --trusted-proxy x",
        )
        .unwrap_err();
        let mut files: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
        files.sort_unstable();
        assert_eq!(
            files,
            [
                "--access-log",
                "--app",
                "--cert",
                "--from",
                "--hsts",
                "--http",
                "--listen-https",
                "--log-format",
                "--runtime",
                "--to",
                "--trusted-proxy",
                "--workers",
            ]
        );
        let keys = lowered("proxy --to :1 --cert c --key k --key k").unwrap_err();
        assert_eq!(
            keys[0].to_string().lines().next(),
            Some("--key: 1 --cert and 2 --key: they come in pairs")
        );
    }

    fn demo_args(https: Option<&str>, http: Option<&str>) -> DemoArgs {
        DemoArgs {
            listen_https: https.map(str::to_owned),
            listen_http: http.map(str::to_owned),
            defaults: OnceLock::new(),
        }
    }

    #[test]
    fn demo_moves_to_a_free_port_when_its_own_is_taken() {
        let to = SocketAddr::from(([127, 0, 0, 1], 3838));
        // Taken by us or by somebody else: either way not free.
        let _held = TcpListener::bind(DEMO_HTTPS);
        let demo = demo_args(None, Some("127.0.0.1:0"));
        let Loaded { config, warnings } = demo.lower(to).unwrap();
        assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:0");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].what.starts_with("127.0.0.1:8443 cannot be used"), "{warnings:?}");
        assert_eq!(demo.lower(to).unwrap().config, config, "a reload changes nothing");

        let demo = demo_args(Some("x"), None);
        assert_eq!(demo.lower(to).unwrap_err()[0].file, "--listen-https");
    }

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
