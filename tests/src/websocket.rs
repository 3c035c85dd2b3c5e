//! WebSocket handshakes as raw text, and frames by tungstenite over either end.

use std::io::{Read, Write};
use std::time::Duration;

use tungstenite::Message;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use crate::client::Client;
use crate::sheen::{NAME, Sheen};
use crate::upstream::{Conn, Upstream};

/// The key of RFC 6455's example.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The request a browser opens `target` with.
pub fn request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {NAME}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// The 101 to a request with `key`.
pub fn switching(key: &str) -> String {
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Reads the upgrade request of the app's side and accepts it.
pub fn accept(conn: &mut Conn) {
    let head = conn.head();
    assert_eq!(head.field("upgrade"), Some("websocket"), "{}", head.raw);
    let key = head.field("sec-websocket-key").expect("a key").to_owned();
    conn.send(switching(&key));
}

/// An app that accepts every upgrade and returns every message.
pub fn echo_app() -> Upstream {
    Upstream::start(|conn| {
        accept(conn);
        // Silence is what a tunnel may have; a thousand of them take a while to open.
        conn.set_timeout(Duration::from_secs(600));
        let mut socket = frames(&mut *conn, Role::Server);
        while let Ok(message) = socket.read() {
            if !message.is_close() && socket.send(message).is_err() {
                return;
            }
        }
    })
}

/// Opens a WebSocket through sheen.
pub fn open(sheen: &Sheen) -> WebSocket<Client> {
    let mut client = sheen.client();
    upgrade(&mut client);
    frames(client, Role::Client)
}

/// Sends the upgrade and reads the 101.
pub fn upgrade(client: &mut Client) {
    client.send(request("/websocket/"));
    let answer = client.answer("GET");
    assert_eq!(answer.status(), 101, "{}{}", answer.head.raw, answer.text());
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

/// Frames over a stream on which the handshake is done.
pub fn frames<S: Read + Write>(stream: S, role: Role) -> WebSocket<S> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .max_message_size(None)
        .max_frame_size(None);
    WebSocket::from_raw_socket(stream, role, Some(config))
}

/// Sends `text` and asserts that it comes back.
pub fn echoes<S: Read + Write>(socket: &mut WebSocket<S>, text: &str) {
    socket.send(Message::text(text)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text(text));
}
