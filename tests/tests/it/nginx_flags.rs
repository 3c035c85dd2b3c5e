//! nginx's flags, side by side with nginx where it is installed: the texts and exit codes that
//! scripts look for.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sheen_tests::sheen::{Setup, run};
use tempfile::TempDir;

/// What a program said to a command line: exit code and the lines that scripts read.
type Said = (Option<i32>, Vec<String>);

/// The lines of stderr in one form: without nginx's time and process, which it writes where its
/// error log is the terminal, without our hints, warnings and news.
fn lines(program: &str, code: Option<i32>, stderr: &[u8]) -> Said {
    let text = String::from_utf8_lossy(stderr);
    let line = |line: &str| {
        let line = match (line.find('['), line.find("#")) {
            (Some(level), Some(process)) if line.starts_with("20") && process > level => {
                let (level, words) = line[level..].split_once("] ").unwrap();
                format!("{program}: {level}] {}", words.split_once(": ").unwrap().1)
            }
            _ => line.to_owned(),
        };
        line.replace(program, "PROGRAM")
    };
    let lines = text.lines().map(line);
    let heard = |line: &String| {
        line.contains("signal process") || !line.contains("[notice]") && !line.contains("[warn]")
    };
    let lines = lines.filter(|line| !line.starts_with("  hint") && heard(line));
    (code, lines.collect())
}

fn sheen(dir: &Path, arguments: &[&str]) -> Said {
    let output = run(dir, arguments);
    lines("sheen", output.status.code(), &output.stderr)
}

/// `None`, said aloud, where nginx is not installed.
fn nginx(dir: &Path, arguments: &[&str]) -> Option<Said> {
    let mut command = Command::new("nginx");
    command.current_dir(dir).args(arguments).stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(lines("nginx", output.status.code(), &output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: not compared with nginx: {error}");
            None
        }
    }
}

/// A folder in which `site.conf` is a configuration for either program and names `run.pid`.
fn folders() -> [TempDir; 2] {
    let [ours, theirs] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut setup = Setup::to_address("127.0.0.1:3838").top("pid = \"run.pid\"");
    fs::rename(setup.write(ours.path()), ours.path().join("site.conf")).unwrap();
    let shown = theirs.path().display();
    let text = format!(
        "pid {shown}/run.pid;\nerror_log {shown}/error.log;\nevents {{}}\nhttp {{ access_log off; \
         server {{ listen 127.0.0.1:18997; }} }}\n"
    );
    fs::write(theirs.path().join("site.conf"), text).unwrap();
    [ours, theirs]
}

/// Both say the same to the same arguments; `expected` is what they say, with `DIR` for the folder.
fn both_say(pid_file: Option<&str>, arguments: &[&str], expected: (i32, &[&str])) {
    let [ours, theirs] = folders();
    for dir in [&ours, &theirs] {
        if let Some(text) = pid_file {
            fs::write(dir.path().join("run.pid"), text).unwrap();
        }
    }
    let expected = (Some(expected.0), expected.1.iter().map(|line| (*line).to_owned()).collect());
    let prefixed = |dir: &TempDir| {
        let prefix = dir.path().to_str().unwrap().to_owned();
        let mut all = vec!["-p".to_owned(), prefix, "-c".to_owned(), "site.conf".to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        all
    };
    let general = |dir: &TempDir, (code, lines): Said| {
        let folder = dir.path().to_str().unwrap();
        (code, lines.into_iter().map(|line| line.replace(folder, "DIR")).collect::<Vec<_>>())
    };
    let all = prefixed(&ours);
    let words: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(general(&ours, sheen(ours.path(), &words)), expected, "sheen {arguments:?}");
    let all = prefixed(&theirs);
    let words: Vec<&str> = all.iter().map(String::as_str).collect();
    if let Some(said) = nginx(theirs.path(), &words) {
        assert_eq!(general(&theirs, said), expected, "nginx {arguments:?}");
    }
}

#[test]
fn flags_that_are_wrong() {
    for (arguments, words) in [
        (&["-x"][..], "PROGRAM: invalid option: \"x\""),
        (&["-tx"], "PROGRAM: invalid option: \"x\""),
        (&["-c"], "PROGRAM: option \"-c\" requires file name"),
        (&["-e"], "PROGRAM: option \"-e\" requires file name"),
        (&["-p"], "PROGRAM: option \"-p\" requires directory name"),
        (&["-g"], "PROGRAM: option \"-g\" requires parameter"),
        (&["-s"], "PROGRAM: option \"-s\" requires parameter"),
        (&["-s", "frob"], "PROGRAM: invalid option: \"-s frob\""),
        (&["-t", "frob"], "PROGRAM: invalid option: \"frob\""),
    ] {
        both_say(None, arguments, (1, &[words]));
    }
}

#[test]
fn a_test_of_the_configuration() {
    let ok = [
        "PROGRAM: the configuration file DIR/site.conf syntax is ok",
        "PROGRAM: configuration file DIR/site.conf test is successful",
    ];
    both_say(None, &["-t"], (0, &ok));
    both_say(None, &["-t", "-g", "daemon off; master_process on;"], (0, &ok));
    both_say(None, &["-T"], (0, &ok));
    both_say(None, &["-tq"], (0, &[]));
    both_say(None, &["-t", "-q"], (0, &[]));
}

#[test]
fn a_test_that_fails() {
    let failed = "PROGRAM: configuration file DIR/site.conf test failed";
    for (globals, words) in [
        ("foo bar;", "unknown directive \"foo\""),
        ("daemon off", "unexpected end of parameter, expecting \";\""),
        (
            "daemon maybe;",
            "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\"",
        ),
        ("daemon on off;", "invalid number of arguments in \"daemon\" directive"),
    ] {
        let words = format!("PROGRAM: [emerg] {words} in command line");
        both_say(None, &["-t", "-g", globals], (1, &[&words, failed]));
        both_say(None, &["-tq", "-g", globals], (1, &[&words, failed]));
    }
    let words = [
        "PROGRAM: [emerg] open() \"DIR/no.conf\" failed (2: No such file or directory)",
        "PROGRAM: configuration file DIR/no.conf test failed",
    ];
    both_say(None, &["-t", "-c", "no.conf"], (1, &words));
    both_say(None, &["-c", "no.conf"], (1, &words[..1]));
}

#[test]
fn a_signal_without_somebody_to_take_it() {
    let missing = "PROGRAM: [error] open() \"DIR/run.pid\" failed (2: No such file or directory)";
    let started = "PROGRAM: [notice] signal process started";
    for signal in ["stop", "quit", "reload", "reopen"] {
        both_say(None, &["-s", signal], (1, &[started, missing]));
    }
    for (text, number) in [("", ""), ("frob\n", "frob"), ("\n", "")] {
        let words = format!("PROGRAM: [error] invalid PID number \"{number}\" in \"DIR/run.pid\"");
        both_say(Some(text), &["-s", "stop"], (1, &[started, &words]));
    }
    // Above the largest that a kernel gives out.
    for (signal, number) in [("stop", 15), ("quit", 3), ("reload", 1), ("reopen", 10)] {
        let words = format!("PROGRAM: [alert] kill(4194305, {number}) failed (3: No such process)");
        both_say(Some("4194305\n"), &["-s", signal], (1, &[started, &words]));
    }
}

#[test]
fn the_file_of_the_command_line_hears_of_the_signal() {
    let [ours, theirs] = folders();
    let words = ["signal process started", "failed (2: No such file or directory)"];
    let arguments = ["-p", ".", "-c", "site.conf", "-e", "e.log", "-s", "stop"];
    let heard = |dir: &Path, said: Said| {
        let log = fs::read_to_string(dir.join("e.log")).unwrap();
        let in_log = words.map(|words| log.lines().any(|line| line.ends_with(words)));
        let on_terminal = words.map(|words| said.1.iter().any(|line| line.ends_with(words)));
        assert_eq!((in_log, on_terminal), ([true, true], [false, true]), "{log} {said:?}");
    };
    heard(ours.path(), sheen(ours.path(), &arguments));
    if let Some(said) = nginx(theirs.path(), &arguments) {
        heard(theirs.path(), said);
    }
}

#[test]
fn a_missing_user_is_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root is asked for the user");
        return;
    }
    let [ours, _] = folders();
    let arguments = ["-t", "-c", "site.conf", "-g", "user no-such-user;"];
    let (code, lines) = sheen(ours.path(), &arguments);
    assert_eq!(code, Some(1));
    assert_eq!(lines[0], "PROGRAM: [emerg] getpwnam(\"no-such-user\") failed");
    let arguments = ["-t", "-c", "site.conf", "-g", "user root no-such-group;"];
    let (_, lines) = sheen(ours.path(), &arguments);
    assert_eq!(lines[0], "PROGRAM: [emerg] getgrnam(\"no-such-group\") failed");
    // In nginx's language with the place.
    let file = ours.path().join("nginx.conf");
    let text = "events {}\nuser no-such-user;\nhttp { server { listen 127.0.0.1:18997; } }\n";
    fs::write(&file, text).unwrap();
    let file = file.display();
    let arguments = ["-t", "-q", "-c", &file.to_string()];
    let expected = [
        format!("PROGRAM: [emerg] getpwnam(\"no-such-user\") failed in {file}:2"),
        format!("PROGRAM: configuration file {file} test failed"),
    ];
    let neutral = |said: Said| {
        said.1.iter().map(|it| it.replace("nginx.conf", "PROGRAM.conf")).collect::<Vec<_>>()
    };
    let expected = expected.map(|line| line.replace("nginx.conf", "PROGRAM.conf"));
    assert_eq!(neutral(sheen(ours.path(), &arguments)), expected);
    if let Some(said) = nginx(ours.path(), &arguments) {
        assert_eq!(neutral(said), expected);
    }
}

#[test]
fn versions_go_where_certbot_reads_them() {
    let dir = TempDir::new().unwrap();
    for flag in ["-v", "-V"] {
        let output = run(dir.path(), &[flag]);
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("sheen version: sheen/"), "{text}");
    }
}

#[test]
fn prefix_and_error_log_of_the_command_line() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("conf")).unwrap();
    Setup::to_address("127.0.0.1:3838").write(&dir.path().join("conf"));
    let prefix = dir.path().to_str().unwrap();
    let arguments =
        ["-T", "-p", prefix, "-c", "conf/sheen.toml", "-e", "e.log", "-g", "pid x.pid;"];
    let output = run(Path::new("/"), &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [format!("pid = \"{prefix}/x.pid\""), format!("error = \"{prefix}/e.log\"")] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    // Certificates stay where the file is.
    assert!(text.contains(&format!("cert = \"{prefix}/conf/")), "{text}");
}

#[test]
fn an_nginx_conf_is_printed_with_its_includes_as_written() {
    let dir = TempDir::new().unwrap();
    let shown = dir.path().to_str().unwrap();
    let text = format!(
        "pid {shown}/run.pid;\nerror_log {shown}/error.log;\nevents {{}}\n\
         http {{ access_log off; include more.conf; }} # the end\n"
    );
    fs::write(dir.path().join("site.conf"), &text).unwrap();
    let more = "server { listen 127.0.0.1:18997; return 204; }\n";
    fs::write(dir.path().join("more.conf"), more).unwrap();
    let expected = format!(
        "# configuration file {shown}/site.conf:\n{text}\n# configuration file {shown}/more.conf:\n{more}\n"
    );
    let arguments = ["-T", "-p", shown, "-c", "site.conf"];
    let printed = |output: Output| String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed(run(dir.path(), &arguments)), expected);
    match Command::new("nginx").args(arguments).output() {
        Ok(output) => assert_eq!(printed(output), expected),
        Err(error) => eprintln!("SKIPPED: not compared with nginx: {error}"),
    }
}

#[test]
fn a_test_of_the_configuration_tries_every_access_log() {
    let dir = TempDir::new().unwrap();
    let shown = dir.path().to_str().unwrap();
    let text = format!(
        "pid {shown}/run.pid;\nerror_log {shown}/error.log;\nevents {{}}\n\
         http {{ access_log {shown}/a.log; access_log {shown}/no/b.log; \
         server {{ listen 127.0.0.1:18997; return 204; }} }}\n"
    );
    fs::write(dir.path().join("site.conf"), text).unwrap();
    let missing = format!(
        "PROGRAM: [emerg] open() \"{shown}/no/b.log\" failed (2: No such file or directory)"
    );
    let arguments = ["-t", "-p", shown, "-c", "site.conf"];
    let ours = sheen(dir.path(), &arguments);
    for (code, lines) in [Some(ours), nginx(dir.path(), &arguments)].into_iter().flatten() {
        assert!(code == Some(1) && lines.contains(&missing), "{code:?} {lines:?}");
    }
}
