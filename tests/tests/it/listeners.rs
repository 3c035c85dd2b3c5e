//! Where sheen listens: sockets in the file system, options of sockets, and the PROXY protocol.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::process::Signal;
use sheen_tests::client::{Client, End, Offer};
use sheen_tests::sheen::{NAME, Reload, Setup, Sheen, run};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use tempfile::TempDir;

/// Proxied without TLS, with these listeners.
fn plain(app: &Upstream, listen_http: &str) -> Setup {
    Setup::to(app).site("http = \"proxy\"").top(&format!("listen_http = [{listen_http}]"))
}

fn socket() -> (TempDir, PathBuf, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sheen.sock");
    let listen = format!("\"unix:{}\"", path.display());
    (dir, path, listen)
}

#[test]
fn a_socket_in_the_file_system_serves_everybody_and_goes_with_the_process() {
    let app = Upstream::mirror();
    let (_dir, path, listen) = socket();
    for signal in [Signal::QUIT, Signal::TERM] {
        let mut setup = plain(&app, &listen);
        setup.workers = 2;
        let mut sheen = setup.start();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        for _ in 0..8 {
            let answer = Client::plain_unix(&path).get(NAME, "/");
            let request = answer.mirrored();
            assert_eq!(request.field("x-forwarded-for"), Some("unix:"), "as nginx has it");
            assert_eq!(request.field("x-real-ip"), Some("unix:"));
        }
        sheen.signal(signal);
        assert!(sheen.wait().success());
        assert!(!path.exists());
    }
}

#[test]
fn tls_over_a_socket_in_the_file_system() {
    let app = Upstream::mirror();
    let (_dir, path, listen) = socket();
    let _sheen = Setup::to(&app).top(&format!("listen_https = [{listen}]")).start();
    let mut client = Client::plain_unix(&path);
    client.start_tls(NAME, &Offer::default().config());
    client.handshake().unwrap();
    let answer = client.get(NAME, "/");
    assert_eq!(answer.mirrored().field("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_socket_that_a_dead_process_left_is_replaced() {
    let app = Upstream::ok("ok");
    let (_dir, path, listen) = socket();
    drop(UnixListener::bind(&path).unwrap());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let sheen = plain(&app, &listen).start();
    assert_eq!(Client::plain_unix(&path).get(NAME, "/").text(), "ok");
    drop(sheen);
}

#[test]
fn a_socket_in_use_and_a_file_that_is_none_are_left_alone() {
    let app = Upstream::ok("ok");
    let (dir, path, listen) = socket();
    let config = plain(&app, &listen).write(dir.path());
    let starts = || {
        let output = run(dir.path(), &["-c", config.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        let words =
            format!("bind() to unix:{} failed (98: Address already in use)", path.display());
        assert!(said.contains(&words), "{said}");
    };
    let alive = UnixListener::bind(&path).unwrap();
    starts();
    assert!(UnixStream::connect(&path).is_ok());
    drop(alive);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    starts();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_reload_adds_and_removes_sockets() {
    let app = Upstream::ok("ok");
    let (dir, first, listen) = socket();
    let second = dir.path().join("second.sock");
    let mut sheen = plain(&app, &listen).start();
    let reload = sheen.reload(|setup| {
        setup.top = format!("listen_http = [\"unix:{}\"]", second.display());
    });
    assert_eq!(reload, Reload::Done);
    assert_eq!(Client::plain_unix(&second).get(NAME, "/").text(), "ok");
    assert!(!first.exists());
}

#[test]
fn a_reload_changes_the_options_of_a_listener_in_place() {
    let app = Upstream::mirror();
    let mut sheen = plain(&app, "\"127.0.0.1:0\"").start();
    let address = sheen.http();
    let mut open = Client::plain(address);
    assert_eq!(open.get(NAME, "/").status(), 200);
    let reload = sheen.reload(|setup| {
        setup.top = "listen_http = [{ address = \"127.0.0.1:0\", proxy_protocol = true, \
                     backlog = 16, so_keepalive = \"30s:5s:3\" }]"
            .to_owned();
    });
    assert_eq!(reload, Reload::Done);
    assert_eq!(open.get(NAME, "/").status(), 200, "it began without");
    // The worker may take one more connection before it hears of the change.
    wait::until("the new protocol", || {
        let mut client = introduced(address, b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n");
        let answer = client.get(NAME, "/");
        answer.status() == 200 && answer.mirrored().field("x-real-ip") == Some("192.0.2.7")
    });
}

#[test]
fn one_socket_for_all_workers_without_reuseport() {
    let app = Upstream::ok("ok");
    let listen = "{ address = \"127.0.0.1:0\", reuseport = false, so_keepalive = \"off\" }";
    let mut setup = plain(&app, listen);
    setup.workers = 3;
    let mut sheen = setup.start();
    for _ in 0..16 {
        assert_eq!(Client::plain(sheen.http()).get(NAME, "/").text(), "ok");
    }
    sheen.signal(Signal::QUIT);
    assert!(sheen.wait().success());
}

fn behind_balancer(app: &Upstream) -> Sheen {
    plain(app, "{ address = \"127.0.0.1:0\", proxy_protocol = true }")
        .top("listen_https = [{ address = \"127.0.0.1:0\", proxy_protocol = true }]")
        .timeouts("handshake = \"400ms\"")
        .start()
}

/// A plain connection that begins with `header`.
fn introduced(address: SocketAddr, header: &[u8]) -> Client {
    let mut client = Client::plain(address);
    client.send(header);
    client
}

const VERSION_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\0\x50";

#[test]
fn the_header_of_a_balancer_says_who_the_client_is() {
    let app = Upstream::mirror();
    let sheen = behind_balancer(&app);
    for header in [&b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n"[..], VERSION_2] {
        let mut client = introduced(sheen.http(), header);
        for _ in 0..2 {
            let request = client.get(NAME, "/").mirrored();
            assert_eq!(request.field("x-forwarded-for"), Some("192.0.2.7"));
        }
    }
    let mut client = introduced(sheen.http(), b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n");
    let request = client.get(NAME, "/").mirrored();
    assert_eq!(request.field("x-real-ip"), Some("2001:db8::7"));
    // The balancer's own questions.
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let request = introduced(sheen.http(), header).get(NAME, "/").mirrored();
        assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"));
    }
    assert!(sheen.access().wait_for("192.0.2.7 - - ").contains("GET /"));
}

#[test]
fn a_header_comes_in_pieces_and_together_with_what_follows() {
    let app = Upstream::mirror();
    let sheen = behind_balancer(&app);
    let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    for header in [&b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n"[..], VERSION_2] {
        let mut client = introduced(sheen.http(), &[header, request.as_bytes()].concat());
        assert_eq!(client.answer("GET").mirrored().field("x-real-ip"), Some("192.0.2.7"));
        let mut client = Client::plain(sheen.http());
        client.send_pieces(header.chunks(1));
        assert_eq!(client.get(NAME, "/").mirrored().field("x-real-ip"), Some("192.0.2.7"));
    }
}

#[test]
fn tls_begins_behind_the_header() {
    let app = Upstream::mirror();
    let sheen = behind_balancer(&app);
    let mut client = introduced(sheen.https(), VERSION_2);
    client.start_tls(NAME, &Offer::default().config());
    client.handshake().unwrap();
    let request = client.get(NAME, "/").mirrored();
    assert_eq!(request.field("x-real-ip"), Some("192.0.2.7"));
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_header_that_is_wrong_or_late_closes_the_connection() {
    let app = Upstream::mirror();
    let sheen = behind_balancer(&app);
    sheen
        .expect_log("broken header: its line has a port that is none while reading PROXY protocol");
    sheen.expect_log("broken header: it does not begin with a PROXY protocol header");
    sheen.expect_log("client timed out (110: Connection timed out) while reading PROXY protocol, client: 127.0.0.1");
    sheen.allow_log("broken header");
    sheen.allow_log("while reading PROXY protocol");
    for header in [
        &b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.7 10.0.0.1 99999 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"PROXY TCP4 192.0.2.7 10.0.",
        b"",
    ] {
        let mut client = introduced(sheen.http(), header);
        let (bytes, end) = client.rest();
        assert!(bytes.is_empty(), "{header:?}");
        assert!(matches!(end, End::Clean | End::Reset), "{header:?}: {end:?}");
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn clients_behind_a_balancer_are_counted_one_by_one() {
    let app = Upstream::ok("ok");
    let sheen = plain(&app, "{ address = \"127.0.0.1:0\", proxy_protocol = true }")
        .limits("connections_per_address = 1")
        .start();
    let header = |host: u8| format!("PROXY TCP4 192.0.2.{host} 10.0.0.1 4711 80\r\n").into_bytes();
    let mut first = introduced(sheen.http(), &header(1));
    let mut second = introduced(sheen.http(), &header(2));
    assert_eq!(first.get(NAME, "/").text(), "ok");
    assert_eq!(second.get(NAME, "/").text(), "ok");
    let (bytes, _) = introduced(sheen.http(), &header(1)).rest();
    assert!(bytes.is_empty());
    sheen.log().wait_for("connections_per_address are in use, client: 192.0.2.1");
}

#[test]
fn a_client_that_goes_in_the_middle_of_its_header_is_one_line_in_the_log() {
    let app = Upstream::ok("ok");
    let sheen = behind_balancer(&app);
    sheen.expect_log("client closed connection while reading PROXY protocol");
    let mut stream = std::net::TcpStream::connect(sheen.http()).unwrap();
    stream.write_all(b"PROXY TCP4").unwrap();
    drop(stream);
    sheen.log().wait_for("client closed connection while reading PROXY protocol");
}
