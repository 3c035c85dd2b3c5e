//! The command line: nginx's flags at the top, our verbs beside them, all lowered into one checker.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use self::nginx_flags::Flags;
use crate::config::load::Source;
use crate::life::remote::Word;

pub use self::demo::DemoArgs;
pub use self::nginx_flags::{verdict, version, version_long};
pub use self::proxy::ProxyArgs;

mod demo;
mod entries;
mod nginx_flags;
mod proxy;
#[cfg(test)]
mod tests;

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
    /// Print [`version`], or [`version_long`], and do what else is asked for.
    Version { long: bool, then: Option<Box<Command>> },
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
    #[command(flatten)]
    flags: Flags,
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
    let Arguments { flags, verb } =
        Arguments::try_parse_from(args).map_err(|error| match nginx_flags::mistake(&error) {
            Some(words) if is_flags => Refusal::Flag(words),
            _ => Refusal::Other(error),
        })?;
    match verb {
        Some(Verb::Proxy(args)) => Ok(Command::Proxy(args)),
        Some(Verb::Demo(args)) => Ok(Command::Demo(args)),
        Some(Verb::Check { config, quiet }) => {
            let file = config.unwrap_or_else(|| default_config.to_owned());
            Ok(Command::Check { source: Source::file(&file), quiet })
        }
        Some(Verb::Directives) => Ok(Command::Directives),
        None => flags.command(default_config),
    }
}

const DEFAULT_CONFIG: &str = "/etc/sheen/sheen.toml";

const EXAMPLES: &str = "\
Examples:
  sheen demo                                     try it, with an embedded app
  sheen proxy --from shiny.example.com --to :3838 \\
      --cert fullchain.pem --key privkey.pem     HTTPS in front of Shiny Server
  sheen -c /etc/sheen/sheen.toml                 run with a configuration file";
