//! The program: arguments in, exit code out.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use sheen::cli::{self, Command};
use sheen::config::load::{Source, load, printed};
use sheen::config::native::Loaded;
use sheen::config::nginx::table;
use sheen::config::{Level, PID_FILE, Problem};
use sheen::life::voice::announce;
use sheen::life::{daemon, remote, upgrade};
use sheen::server::{self, Origin, Reload, StartError};
use sheen::{demo, prepare};

/// Many small objects per connection, freed by the thread that made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => obey(command),
        Err(refusal) => ExitCode::from(refusal.print()),
    }
}

fn obey(command: Command) -> ExitCode {
    match command {
        Command::Directives => print(table::print().as_bytes()),
        Command::Version { long, then } => {
            eprint!("{}", if long { cli::version_long() } else { cli::version() });
            then.map_or(ExitCode::SUCCESS, |command| obey(*command))
        }
        Command::Check { source, quiet } => check(&source, quiet),
        Command::Dump { source, quiet } => {
            let code = check(&source, quiet);
            match printed(&source) {
                Ok(text) if code == ExitCode::SUCCESS => print(&text),
                _ => code,
            }
        }
        Command::Signal { source, word } => signal(&source, word),
        Command::Run(source) => start(origin(), || {
            let loaded = load(&source);
            Ok((loaded, Box::new(move || load(&source))))
        }),
        Command::Proxy(args) => start(origin(), || {
            let loaded = args.lower();
            Ok((loaded, Box::new(move || args.lower())))
        }),
        Command::Demo(args) => start(origin(), || {
            let app = demo::spawn().map_err(|e| format!("can't start the demo app: {e}"))?;
            let words = "a demo app behind HTTPS: open an https address below; Ctrl-C ends it";
            announce(Level::Notice, words);
            let loaded = args.lower(app);
            Ok((loaded, Box::new(move || args.lower(app))))
        }),
    }
}

/// What was before this process; to be asked before it opens anything.
fn origin() -> Result<Origin, String> {
    let legacy = upgrade::inherit().map_err(|error| format!("can't inherit sockets: {error}"))?;
    let starter = daemon::begin().map_err(|error| format!("can't leave the terminal: {error}"))?;
    Ok(Origin { starter, legacy })
}

type Configured = (Result<Loaded, Vec<Problem>>, Reload);

/// Runs until a signal ends it: 0 then, 1 when it could not start.
fn start(
    origin: Result<Origin, String>,
    configure: impl FnOnce() -> Result<Configured, String>,
) -> ExitCode {
    match origin.map_err(StartError::from).and_then(|origin| run(origin, configure()?)) {
        Ok(code) => code,
        Err(StartError(problems)) => {
            problems.iter().for_each(|problem| announce(Level::Emerg, problem));
            ExitCode::FAILURE
        }
    }
}

fn run(origin: Origin, (loaded, reload): Configured) -> Result<ExitCode, StartError> {
    let Loaded { config, warnings } = loaded
        .map_err(|problems| StartError(problems.iter().map(ToString::to_string).collect()))?;
    let is_first = origin.starter.is_none() && origin.legacy.predecessor.is_none();
    if config.process.daemon && is_first {
        let failed = |error| format!("can't go into the background: {error}");
        return Ok(daemon::detach().map_err(failed)?);
    }
    warnings.iter().for_each(|warning| announce(Level::Warn, warning));
    server::run(config, reload, origin)?;
    Ok(ExitCode::SUCCESS)
}

/// `-t`: the file, and what it names.
fn check(source: &Source, quiet: bool) -> ExitCode {
    let result = load(source).and_then(|Loaded { config, mut warnings }| {
        warnings.extend(prepare::check(&config)?);
        Ok(warnings)
    });
    let (warnings, problems) = match result {
        Ok(warnings) => (warnings, Vec::new()),
        Err(problems) => (Vec::new(), problems),
    };
    eprint!("{}", cli::verdict(&source.file, quiet, &warnings, &problems));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `-s`: through the pid file that the configuration names.
fn signal(source: &Source, word: remote::Word) -> ExitCode {
    let config = match load(source) {
        Ok(Loaded { config, .. }) => config,
        Err(problems) => {
            problems.iter().for_each(|problem| announce(Level::Emerg, problem));
            return ExitCode::FAILURE;
        }
    };
    let pid_file = config.process.pid.as_deref().unwrap_or(Path::new(PID_FILE));
    let voice = remote::Voice::new(source.named_error_log());
    voice.say(Level::Notice, "signal process started");
    match remote::send(word, pid_file) {
        Ok(()) => ExitCode::SUCCESS,
        Err((level, words)) => {
            voice.say(level, &words);
            ExitCode::FAILURE
        }
    }
}

/// To stdout. A reader that has seen enough (`| head`) is no failure.
fn print(text: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
