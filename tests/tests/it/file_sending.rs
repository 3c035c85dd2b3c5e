//! Bodies from files on their way through a socket: whole, cut short, and with a slow client.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sheen::buf::Buf;
use sheen::config::Rung;
use sheen::fault::{Cause, Fault, Side};
use sheen::files::{self, Answer, Asked, Found, Settings};
use sheen::h1::kept::KeptHead;
use sheen::io::runtime;
use sheen::io::socket::Socket;
use sheen::stage::{Interrupt, Registry, Stage};
use sheen::tls::stream::Stream;
use sheen_tests::{is_pattern, pattern};
use tempfile::TempDir;

/// More than any socket takes without its reader.
const SIZE: usize = 8 << 20;
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// A folder with a long file in it.
struct Scene {
    path: PathBuf,
    _folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        fs::write(&path, pattern(0, SIZE)).unwrap();
        Self { path, _folder: folder }
    }

    fn answer(&self, method: &str, range: &str) -> Answer {
        let head = format!("GET /long HTTP/1.1\r\nRange: {range}\r\n\r\n");
        let (head, _) = KeptHead::lenient_request(head.as_bytes(), |_| true);
        let asked = Asked {
            method: method.as_bytes(),
            uri: b"/long",
            args: b"",
            path: self.path.as_os_str().as_bytes(),
            root: 0,
            index: &[],
            fields: head.fields(),
            status: 0,
            media: b"",
        };
        match files::prepare(&Settings::default(), &asked) {
            Found::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }
}

/// Sends an answer to a client that is `client`, on a worker that is cut off or not.
fn send<T: Send + 'static>(
    mut answer: Answer,
    is_cut: bool,
    client: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> (Result<(), Fault>, u64, T) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let client = thread::spawn(move || client(far));
    let (result, sent) = runtime::run(Rung::Epoll, async move {
        let registry = Registry::new(Duration::from_millis(100));
        let socket = Socket::new(near).unwrap();
        let stream = Stream::new(socket, registry.watch(), Side::Client, Duration::from_secs(60));
        if is_cut {
            registry.interrupt_all();
        }
        let mut buf = Buf::new();
        buf.extend(HEAD);
        let result = files::send(&stream, &mut buf, &mut answer.body).await;
        (result, answer.body.sent())
    })
    .unwrap();
    (result, sent, client.join().unwrap())
}

fn read_all(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_long_file_arrives_whole() {
    let scene = Scene::new();
    let (result, sent, got) = send(scene.answer("GET", ""), false, read_all);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent, SIZE as u64);
    let body = got.strip_prefix(HEAD).expect("the head is in front");
    assert!(body.len() == SIZE && is_pattern(0, body));
}

#[test]
fn of_a_range_only_its_bytes_arrive_and_of_head_none() {
    let scene = Scene::new();
    let (result, sent, got) = send(scene.answer("GET", "bytes=70000-200000"), false, read_all);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent, 130_001);
    let body = got.strip_prefix(HEAD).expect("the head is in front");
    assert!(body.len() == 130_001 && is_pattern(70_000, body));

    let (result, sent, got) = send(scene.answer("HEAD", ""), false, read_all);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((sent, &*got), (0, HEAD));
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_a_fault_of_ours() {
    let scene = Scene::new();
    let path = scene.path.clone();
    let shorten = |path: &Path| File::options().write(true).open(path)?.set_len(1000);
    let (result, sent, got) = send(scene.answer("GET", ""), false, move |mut stream| {
        // Sending has begun, and can't end without us.
        stream.read_exact(&mut [0; HEAD.len()]).unwrap();
        shorten(&path).unwrap();
        read_all(stream)
    });
    let fault = result.unwrap_err();
    assert_eq!((fault.stage, fault.side), (Stage::SendAnswer, Side::Sheen));
    assert!(matches!(&fault.cause, Cause::Io(e) if e.kind() == ErrorKind::UnexpectedEof));
    assert_eq!(
        fault.to_string(),
        "send() failed (file was truncated while it was sent) while sending to client"
    );
    assert!(got.len() < SIZE && got.len() as u64 <= sent && is_pattern(0, &got));
}

#[test]
fn sending_ends_with_the_worker_however_fast_the_client_reads() {
    // invariant 3
    let scene = Scene::new();
    let (result, _, got) = send(scene.answer("GET", ""), true, read_all);
    let fault = result.unwrap_err();
    assert!(matches!(fault.cause, Cause::Interrupted(Interrupt::Cut)), "{fault:?}");
    assert!(got.len() < SIZE);
}
