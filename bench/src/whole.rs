//! Instructions of a whole redirect and a whole proxied exchange: sheen itself under callgrind, on
//! epoll, because valgrind knows no io_uring.
//!
//! Client and upstream say nothing before sheen has come to rest, so that it always waits for them
//! in the same way: whether it finds the bytes at once or has to be woken is a difference of a
//! third.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::compare::sheen_binary;
use crate::counts::{callgrind, total};
use crate::pki::{self, Files};
use crate::process::{Running, is_asleep, pause, wait_until};
use crate::talk::get;
use crate::wire::Head;

/// One redirect, one exchange of 1 KB.
pub(crate) fn count(dir: &Path) -> Result<Vec<(&'static str, u64)>, String> {
    let files = pki::write(dir, false)?;
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("upstream: {error}"))?;
    let upstream = listener.local_addr().map_err(|error| format!("upstream: {error}"))?;
    let rest = Rest::default();
    let seen = rest.clone();
    // It serves until this process ends.
    std::thread::spawn(move || serve(&listener, &seen));
    let sheen = sheen_binary()?;
    let setting = Setting { dir, sheen: &sheen, files: &files, upstream, rest };
    let mut counts = Vec::new();
    for (name, tls) in [("whole_redirect", false), ("whole_exchange_1k", true)] {
        let mut least = u64::MAX;
        for _ in 0..PROCESSES {
            least = least.min(least_of_one(&setting, tls)?);
        }
        counts.push((name, least));
    }
    Ok(counts)
}

struct Setting<'a> {
    dir: &'a Path,
    sheen: &'a Path,
    files: &'a Files,
    upstream: SocketAddr,
    rest: Rest,
}

/// The process whose rest client and upstream wait for; 0 before there is one.
#[derive(Debug, Default, Clone)]
struct Rest(Arc<AtomicU32>);

impl Rest {
    /// Twice in a row, because a thread that hands valgrind's lock on sleeps for a moment.
    fn wait(&self) {
        let end = Instant::now() + REST_MAX;
        let mut quiet = 0;
        while quiet < 2 && Instant::now() < end {
            quiet = if is_asleep(self.0.load(Ordering::Relaxed)) { quiet + 1 } else { 0 };
            pause(REST_LOOK);
        }
    }
}

/// Starts sheen, warms one connection up, and counts more than once: the least is the one that no
/// tick and no sweep fell into.
fn least_of_one(setting: &Setting<'_>, tls: bool) -> Result<u64, String> {
    let Setting { dir, sheen, files, upstream, rest } = setting;
    let say = |error: io::Error| format!("sheen under valgrind: {error}");
    let free = || TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let (https, http) = (free().map_err(say)?, free().map_err(say)?);
    let config = format!(
        "workers = 1\nruntime = \"epoll\"\nlisten_https = [\"{https}\"]\nlisten_http = [\"{http}\"]\n\
         [log]\naccess = \"off\"\nlevel = \"error\"\n\
         [[site]]\nnames = [\"{}\"]\nhsts = \"max-age=63072000\"\nto = \"{upstream}\"\n\
         certificates = [{{ cert = \"{}\", key = \"{}\" }}]\n",
        pki::NAME,
        files.cert.display(),
        files.key.display(),
    );
    let file = dir.join("sheen.toml");
    fs::write(&file, config).map_err(say)?;
    let out = dir.join("sheen.out");
    let mut command = callgrind(&out, None);
    command.arg(sheen).arg("-c").arg(&file);
    let mut running = Running::start(command, &dir.join("sheen.log"))?;
    let listens = || TcpStream::connect(http).is_ok();
    if !wait_until(START_MAX, || running.has_ended() || listens()) || running.has_ended() {
        let said = fs::read_to_string(dir.join("sheen.log")).unwrap_or_default();
        return Err(format!("sheen under valgrind does not start: {}", said.trim()));
    }
    rest.0.store(running.id(), Ordering::Relaxed);
    let socket = TcpStream::connect(if tls { https } else { http }).map_err(say)?;
    if tls {
        let name = ServerName::try_from(pki::NAME).expect("it is a name");
        let client = ClientConnection::new(Arc::new(pki::client(false)), name);
        let client = client.map_err(|error| error.to_string())?;
        let stream = BufReader::new(StreamOwned::new(client, socket));
        least_of(&running, rest, stream, "/bytes/1000", &out)
    } else {
        least_of(&running, rest, BufReader::new(socket), "/page", &out)
    }
}

fn least_of(
    running: &Running,
    rest: &Rest,
    mut stream: BufReader<impl Read + Write>,
    target: &str,
    out: &Path,
) -> Result<u64, String> {
    let say = |error: io::Error| format!("sheen under valgrind: {error}");
    ask(&mut stream, rest, target, REQUESTS).map_err(say)?;
    let mut least = u64::MAX;
    for dump in 1..=WINDOWS {
        control("--zero", running)?;
        ask(&mut stream, rest, target, REQUESTS).map_err(say)?;
        control("--dump", running)?;
        let file = out.with_extension(format!("out.{dump}"));
        if !wait_until(DUMP_MAX, || total(&file).is_ok_and(|total| total > 0)) {
            return Err(format!("callgrind_control writes no {}", file.display()));
        }
        least = least.min(total(&file)? / REQUESTS);
    }
    Ok(least)
}

/// Tells the callgrind of a running program something.
fn control(order: &str, running: &Running) -> Result<(), String> {
    let mut command = Command::new("callgrind_control");
    let output = command.arg(order).arg(running.id().to_string()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(format!("callgrind_control: {}", String::from_utf8_lossy(&output.stdout).trim()))
        }
        Err(error) => Err(format!("callgrind_control: {error}")),
    }
}

/// An upstream of 1 KB answers.
fn serve(listener: &TcpListener, rest: &Rest) -> io::Result<()> {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec();
    answer.resize(answer.len() + 1000, b'x');
    loop {
        let (socket, _) = listener.accept()?;
        let (answer, rest) = (answer.clone(), rest.clone());
        std::thread::spawn(move || -> io::Result<()> {
            socket.set_nodelay(true)?;
            let mut stream = BufReader::new(socket);
            loop {
                read_head(&mut stream)?;
                rest.wait();
                stream.get_mut().write_all(&answer)?;
            }
        });
    }
}

fn read_head(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// The same request again and again on one connection.
fn ask(
    stream: &mut BufReader<impl Read + Write>,
    rest: &Rest,
    target: &str,
    times: u64,
) -> io::Result<()> {
    let request = get(target);
    for _ in 0..times {
        rest.wait();
        stream.get_mut().write_all(&request)?;
        stream.get_mut().flush()?;
        let head = read_head(stream)?;
        let length = Head::read(&head).and_then(|head| head.content_length).unwrap_or(0);
        io::copy(&mut Read::by_ref(stream).take(length), &mut io::sink())?;
    }
    Ok(())
}

const REQUESTS: u64 = 100;
const REST_LOOK: Duration = Duration::from_micros(500);
/// Then the machine is too busy to count on; the next request is sent all the same.
const REST_MAX: Duration = Duration::from_secs(1);
/// Where memory lies is chosen anew for every process, and one in a dozen has it in an unlucky place.
const PROCESSES: usize = 3;
const WINDOWS: usize = 2;
const DUMP_MAX: Duration = Duration::from_secs(10);
const START_MAX: Duration = Duration::from_secs(60);
