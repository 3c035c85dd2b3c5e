//! The program: arguments in, exit code out.

use std::path::Path;
use std::process::ExitCode;

use sheen::cli::{self, Command};
use sheen::config::dump;
use sheen::config::native::{self, Loaded};
use sheen::config::nginx::{self, lower, table};
use sheen::config::{self, Dialect, Problem};
use sheen::demo;
use sheen::server::{self, Reload, StartError, announce};

/// Many small objects per connection, freed by the thread that made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command {
        Command::Directives => print(&table::print()),
        Command::Version => print(&cli::version()),
        Command::VersionLong => print(&cli::version_long()),
        Command::Check { config, quiet } => check(&config, quiet),
        Command::Dump { config } => {
            let code = check(&config, false);
            match native::load(&config) {
                Ok(loaded) if code == ExitCode::SUCCESS => print(&dump::to_toml(&loaded.config)),
                _ => code,
            }
        }
        Command::Run { config } => {
            let again = config.clone();
            start(load(&config), Box::new(move || load(&again)))
        }
        Command::Proxy(args) => {
            let loaded = args.lower();
            start(loaded, Box::new(move || args.lower()))
        }
        Command::Demo(args) => match demo::spawn() {
            Ok(app) => {
                let loaded = args.lower(app);
                announce("a demo app behind HTTPS: open an https address below; Ctrl-C ends it");
                start(loaded, Box::new(move || args.lower(app)))
            }
            Err(error) => {
                announce(&format!("can't start the demo app: {error}"));
                ExitCode::FAILURE
            }
        },
    }
}

/// Reads a configuration in the language that it is written in.
fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let is_nginx =
        std::fs::read(path).is_ok_and(|bytes| config::dialect(&bytes, path) == Dialect::Nginx);
    if !is_nginx {
        return native::load(path);
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let options =
        nginx::Options { prefix: folder.clone(), conf_prefix: folder, globals: Vec::new() };
    lower::load(path, &options)
}

/// Runs until a signal ends it: 0 then, 1 when it could not start.
fn start(loaded: Result<Loaded, Vec<Problem>>, reload: Reload) -> ExitCode {
    let result = match loaded {
        Ok(Loaded { config, warnings }) => {
            warnings.iter().for_each(|warning| announce(&format!("[warn] {warning}")));
            server::run(config, reload)
        }
        Err(problems) => Err(StartError(problems.iter().map(|p| format!("[emerg] {p}")).collect())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError(problems)) => {
            problems.iter().for_each(|problem| announce(problem));
            ExitCode::FAILURE
        }
    }
}

/// `-t`: the file, and the certificates it names.
fn check(config: &Path, quiet: bool) -> ExitCode {
    let (mut warnings, mut problems) = match load(config) {
        Ok(loaded) => (loaded.warnings.clone(), certificate_problems(&loaded)),
        Err(problems) => (Vec::new(), Err(problems)),
    };
    if let Ok(more) = &mut problems {
        warnings.append(more);
    }
    let problems = problems.err().unwrap_or_default();
    eprint!("{}", cli::verdict(config, quiet, &warnings, &problems));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn certificate_problems(loaded: &Loaded) -> Result<Vec<Problem>, Vec<Problem>> {
    let problem = |problem: certstore::Problem| Problem {
        file: problem.file.display().to_string(),
        line: None,
        what: problem.what,
        hint: problem.hint,
        dialect: Dialect::Native,
    };
    let report = server::check(&loaded.config)
        .map_err(|problems| problems.into_iter().map(problem).collect::<Vec<_>>())?;
    Ok(report.into_iter().map(problem).collect())
}

#[allow(clippy::print_stdout, reason = "the answer to -v is what stdout is for")]
fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}
