//! The command line: nginx's flags at the top, our verbs beside them, all lowered into one checker.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::address::resolve_by_system;
use crate::config::check::check;
use crate::config::native::Loaded;
use crate::config::raw::{Checker, Entry, Node, Place, Value};
use crate::config::{Problem, Rung};

/// What the user asks for.
#[derive(Debug)]
pub enum Command {
    /// Run with a configuration file.
    Run { config: PathBuf },
    /// Check a configuration file and say so, see [`verdict`].
    Check { config: PathBuf, quiet: bool },
    /// Run with what the command line says.
    Proxy(Box<ProxyArgs>),
    /// Run in front of the embedded app.
    Demo(DemoArgs),
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
}

/// Reads the arguments, the program's name first. An error knows its exit code and where it is
/// printed (`clap::Error::exit_code`, `clap::Error::print`); so does `--help`.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
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
        let https = listen_or_free("--listen-https", &self.listen_https, DEMO_HTTPS, &mut notes);
        let http = listen_or_free("--listen-http", &self.listen_http, DEMO_HTTP, &mut notes);
        let site = vec![
            list("sheen demo", "names", &["localhost", "127.0.0.1", "::1"].map(str::to_owned)),
            text("sheen demo", "to", &to.to_string()),
        ];
        let mut root = vec![entry("sheen demo", "site", one_site(site))];
        root.extend(listeners("--listen-https", "listen_https", &[https]));
        root.extend(listeners("--listen-http", "listen_http", &[http]));
        let checker = Checker::new(Path::new(""), resolve_by_system);
        let loaded = check(&node("sheen demo", Value::Table(root)), checker)?;
        // That the demo's certificate is a development one is no news.
        Ok(Loaded { config: loaded.config, warnings: notes })
    }
}

/// HTTPS in front of Shiny apps
#[derive(Debug, Parser)]
#[command(
    name = "sheen",
    args_conflicts_with_subcommands = true,
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
    /// Say only what is wrong, with -t
    #[arg(short = 'q')]
    quiet: bool,
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
}

fn parse_with(
    args: impl IntoIterator<Item = OsString>,
    default_config: &Path,
) -> Result<Command, clap::Error> {
    let arguments = Arguments::try_parse_from(args)?;
    let config_or_default =
        |config: Option<PathBuf>| config.unwrap_or_else(|| default_config.to_owned());
    match arguments.verb {
        Some(Verb::Proxy(args)) => return Ok(Command::Proxy(args)),
        Some(Verb::Demo(args)) => return Ok(Command::Demo(args)),
        Some(Verb::Check { config, quiet }) => {
            return Ok(Command::Check { config: config_or_default(config), quiet });
        }
        None => {}
    }
    if arguments.version_long {
        return Ok(Command::VersionLong);
    }
    if arguments.version {
        return Ok(Command::Version);
    }
    if arguments.test {
        let config = config_or_default(arguments.config);
        return Ok(Command::Check { config, quiet: arguments.quiet });
    }
    if arguments.config.is_none() && !default_config.exists() {
        let welcome =
            format!("no arguments, and no file {}\n\n{EXAMPLES}\n", default_config.display());
        let kind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        return Err(clap::Error::raw(kind, welcome));
    }
    Ok(Command::Run { config: config_or_default(arguments.config) })
}

/// What the user wrote; or the default; or, when that is taken, any free port, with a note.
fn listen_or_free(
    flag: &str,
    given: &Option<String>,
    default: &str,
    notes: &mut Vec<Problem>,
) -> String {
    if let Some(given) = given {
        return given.clone();
    }
    let Err(error) = TcpListener::bind(default) else {
        return default.to_owned();
    };
    notes.push(Problem {
        file: flag.to_owned(),
        line: None,
        what: format!("{default} cannot be used, a free port is taken instead: {error}"),
        hint: Some(format!("choose one with {flag} 127.0.0.1:PORT")),
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
const DEMO_HTTP: &str = "127.0.0.1:8080";

const EXAMPLES: &str = "\
Examples:
  sheen demo                                     try it, with an embedded app
  sheen proxy --from shiny.example.com --to :3838 \\
      --cert fullchain.pem --key privkey.pem     HTTPS in front of Shiny Server
  sheen -c /etc/sheen/sheen.toml                 run with a configuration file";
