//! Lines of words, and what they mean.

use clap::CommandFactory as _;

use super::*;
use crate::config::native::{self, Loaded};
use crate::config::{AccessFormat, App, Config, Dialect, Ktls, PlainHttp, Problem, Rung, Runtime};

/// Parses a line of words, where the default configuration file does not exist.
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
    words(command(line).unwrap()).replace(&here, "")
}

fn words(command: Command) -> String {
    match command {
        Command::Run(source) => format!("run {}", source.file.display()),
        Command::Check { source, quiet } => {
            format!("check {}{}", source.file.display(), if quiet { " quietly" } else { "" })
        }
        Command::Dump { source, .. } => format!("dump {}", source.file.display()),
        Command::Signal { source, word } => format!("{word:?} by {}", source.file.display()),
        Command::Version { long, then } => {
            let then = then.map(|command| format!(", then {}", words(*command)));
            format!("version{}{}", if long { " at length" } else { "" }, then.unwrap_or_default())
        }
        other => format!("{other:?}"),
    }
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
        ("-v", "version"),
        ("-V", "version at length"),
        ("-c a.toml -V", "version at length"),
        ("-tv -c a.toml", "version, then check a.toml"),
        ("-VTc a.toml", "version at length, then dump a.toml"),
        ("-v -s stop", "version"),
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
        ("-t foo", "invalid option: \"foo\""),
        ("-c a.toml proxy --to :1", "invalid option: \"proxy\""),
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
    for line in ["", "proxy", "proxy --to", "prxy", "demo x"] {
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
         --ktls auto --access-log off --log-format json --acme-webroot / --trusted-proxy 10.0.0.0/8,::1",
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
    assert_eq!(config.runtime, Runtime::Exactly(Rung::Epoll));
    assert_eq!(config.ktls, Ktls::Auto);
    assert!(config.log.access.is_empty());
    assert_eq!(config.log.format, AccessFormat::Json);
    assert_eq!(config.trusted_proxies.len(), 2);
}

#[test]
fn an_empty_command_line_and_an_empty_file_mean_the_same() {
    let file = native::parse("[[site]]\nto = \":3838\"", "/etc/x").unwrap();
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
