//! Every bound and deadline of sheen: the unit in the name, the default beside it, relations
//! asserted.

use std::time::Duration;

/// Sizes and counts. `None` lifts a limit where that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client connections in all; `None`: derived from the open-file limit at start.
    pub connections_max: Option<u32>,
    /// Client connections from one address; `None`: half of `connections_max`.
    pub connections_per_address_max: Option<u32>,
    /// Request line and fields together; beyond it 431.
    pub request_head_bytes_max: usize,
    /// The request target alone; beyond it 414.
    pub request_target_bytes_max: usize,
    /// Header fields of one request; beyond it 431. Never above [`FIELDS_MAX`].
    pub request_fields_max: usize,
    /// Body of one request; beyond it 413. `None`: any size.
    pub request_body_bytes_max: Option<u64>,
    /// Status line and fields of an answer; beyond it 502.
    pub response_head_bytes_max: usize,
    pub timeouts: Timeouts,
}

/// Deadlines. Each is the longest wait for progress, except `handshake`, `request_head` and
/// `drain`, which bound the whole step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    pub handshake: Duration,
    pub request_head: Duration,
    pub request_body: Duration,
    pub keep_alive: Duration,
    pub upstream_connect: Duration,
    pub upstream_answer: Duration,
    pub upstream_idle: Duration,
    pub send: Duration,
    pub tunnel_idle: Duration,
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: None,
            connections_per_address_max: None,
            request_head_bytes_max: 32 << 10,
            request_target_bytes_max: 16 << 10,
            request_fields_max: 100,
            request_body_bytes_max: None,
            response_head_bytes_max: 64 << 10,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(20),
            request_body: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            upstream_connect: Duration::from_secs(5),
            upstream_answer: Duration::from_secs(3600),
            upstream_idle: Duration::from_secs(30),
            send: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(24 * 3600),
            drain: Duration::from_secs(30),
        }
    }
}

/// Header fields that any head may have at most: the size of the parser's table on the stack.
pub const FIELDS_MAX: usize = 256;
/// Largest head that can be configured, request or response.
pub const HEAD_BYTES_MAX: usize = 256 << 10;
/// Smallest head limit that can be configured: browsers send one to four kilobytes.
pub const HEAD_BYTES_MIN: usize = 1 << 10;
/// Longest deadline that can be configured.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Most worker threads that can be configured.
pub const WORKERS_MAX: usize = 1024;
/// Largest sheen.toml.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes of an nginx.conf and all files it includes: lists of addresses may be long.
pub const CONFIG_BYTES_IN_ALL_MAX: u64 = 32 << 20;
/// Files that one nginx.conf may include.
pub const CONFIG_FILES_MAX: usize = 4096;
/// Directives of an nginx.conf and all files it includes.
pub const CONFIG_DIRECTIVES_MAX: usize = 500_000;
/// Blocks and includes within each other.
pub const CONFIG_DEPTH_MAX: usize = 64;
/// Longest word of an nginx.conf, which is nginx's own bound.
pub const CONFIG_WORD_BYTES_MAX: usize = 4096;
/// Problems shown of one configuration.
pub const CONFIG_PROBLEMS_MAX: usize = 200;
/// Bytes left free before the data of a buffer, so that a rewritten head or a chunk-size line
/// fits in front of the body without moving it.
pub const HEADROOM_BYTES: usize = 1024;
/// Plaintext of a TLS record at the most, RFC 8446 section 5.1.
pub const RECORD_BYTES_MAX: usize = 16 << 10;
/// Data bytes of a pooled buffer: eight TLS records. Waking the other end of a large body costs more
/// than the copies, so pieces are large.
pub const BUF_BYTES: usize = 128 << 10;
/// Data bytes of a buffer that waits in the ring: one TLS record.
pub const RECORD_BUF_BYTES: usize = 17 << 10;
/// Receives that one worker has in its ring at a time, each with such a buffer.
pub const POSTED_RECEIVES_MAX: usize = 2048;
/// Interim (1xx) answers to one request.
pub const INTERIM_ANSWERS_MAX: usize = 16;
/// Digits of a chunk size; 16 hold every u64.
pub const CHUNK_SIZE_DIGITS_MAX: usize = 16;
/// Bytes of extensions on one chunk-size line.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 4096;
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Ranges of one request for a file; for more it gets the whole.
pub const RANGES_MAX: usize = 1024;
/// Attempts at an upstream that one request's log knows of.
pub const TRIES_MAX: usize = 64;
/// Bytes of a request's body that `$request_body` shows at most, whatever
/// `client_body_buffer_size` says.
pub const REQUEST_BODY_KEPT_BYTES_MAX: usize = 64 << 10;
/// Idle connections to one upstream address that a worker keeps.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 256;
/// Logs of configurations that were replaced, kept open for the requests that began with them.
pub const GONE_LOGS_MAX: usize = 64;
/// How many times a start asks for addresses that others have, and the time between two of them: who
/// was told to stop may not have ended. nginx's numbers.
pub const BIND_TRIES: u32 = 5;
pub const BIND_PAUSE: Duration = Duration::from_millis(500);
/// Names of apps, made by variables, whose addresses a worker knows.
pub const NAMES_KNOWN_MAX: usize = 256;
/// Lookups of such names that may wait for one another.
pub const LOOKUPS_WAITING_MAX: usize = 64;
/// Connections taken from a listener before other tasks run.
pub const ACCEPTS_PER_TURN_MAX: usize = 16;
/// Bytes read and thrown away, and the time for it, so that a client still sending sees our answer
/// instead of a reset.
pub const LINGER_BYTES_MAX: u64 = 64 << 20;
pub const LINGER: Duration = Duration::from_secs(10);

/// Bytes of a request's body that are read and thrown away after an answer of our own, so that the
/// connection can go on.
pub const DISCARDED_BYTES_MAX: u64 = 1 << 20;

/// How long a connection that has brought no request yet may take for it when we drain.
pub const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// How many times `send` the client of a WebSocket may take nothing: a laptop that slept comes
/// back.
pub const TUNNEL_SENDS: u32 = 10;
/// Bytes of a PROXY protocol header: addresses and whatever a balancer adds to them.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// Pieces that one direction moves before other connections get their turn.
pub const PIECES_PER_TURN_MAX: usize = 16;

/// Smallest body, as far as it is still to come, for which a connection's TLS goes to the kernel:
/// below it the dozen system calls of the hand-over cost more than the copies they save.
pub const KTLS_BODY_BYTES_MIN: u64 = 1 << 20;
/// Bytes of a pipe between an app and a client: 16 records, and all that a slow client makes us
/// hold.
pub const PIPE_BYTES: usize = 256 << 10;
/// Pipes in use on a worker at a time, two descriptors each; larger numbers of downloads are copied.
pub const PIPES_PER_WORKER_MAX: usize = 128;
/// Empty pipes a worker keeps.
pub const SPARE_PIPES_MAX: usize = 16;
/// Key updates that a client may send in a minute once the kernel does its TLS: each is a round of
/// key derivation and system calls.
pub const KEY_UPDATES_PER_MINUTE_MAX: u32 = 8;
/// Warning alerts that a client may send on one connection once rustls no longer does its TLS.
pub const WARNING_ALERTS_MAX: u8 = 4;
/// Key updates that a client of a tunnel may send one after another without data between them.
pub const KEY_UPDATES_BETWEEN_DATA_MAX: u8 = 32;
/// Records that a tunnel leaves under its key's limit, for all that is not data.
pub const RECORDS_IN_RESERVE: u64 = 64;
/// Expanded keys of tunnels that a worker keeps, at 0.7 KiB each; a tunnel has two.
pub const KEY_CONTEXTS_MAX: usize = 2048;
/// Sends after which the kernel is asked how many records it has sent under the present key.
pub const SENDS_PER_RECORD_COUNT: u32 = 1024;
/// Records left under a key's limit when it is renewed, or the connection ends.
pub const RECORDS_LEFT_MIN: u64 = 1 << 17;

const _: () = assert!(FIELDS_MAX >= 100);
// A send makes at most one record of each page of a pipe, and one more.
const _: () =
    assert!(RECORDS_LEFT_MIN > SENDS_PER_RECORD_COUNT as u64 * (PIPE_BYTES as u64 / 4096 + 1));
const _: () =
    assert!(BUF_BYTES >= 4 * (RECORD_BYTES_MAX + 256 + 5) - 4096, "a full TLS record always fits");
const _: () =
    assert!(RECORD_BUF_BYTES >= RECORD_BYTES_MAX + 256 + 5, "a full TLS record always fits");
const _: () = assert!(HEADROOM_BYTES >= CHUNK_SIZE_DIGITS_MAX + 2);
