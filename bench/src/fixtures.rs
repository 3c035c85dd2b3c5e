//! What the hot functions work on: heads as browsers and Shiny send them, certificates, a TLS
//! session.

use std::cell::{Cell, OnceCell};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certstore::{CertSet, Resolver, Source, Store, tickets};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SignatureScheme};
use sheen::buf::Buf;
use sheen::config::load::{Source as ConfigSource, load};
use sheen::config::{ListenAddress, Offer, native};
use sheen::context::{HeldHttp, Snapshot};
use sheen::log;
use sheen::lookup::Lookup;
use sheen::plan::{Context, Plan};
use sheen::record::Identity;
use sheen::redirect::{Location, Redirect};
use sheen::route::Routes;
use sheen::serve::{Arrived, Begun, Deed, Spare};
use sheen::tls::config::Configs;
use sheen::tls::{self, session::Session};

use crate::hot;
use crate::nginx_rules::{PROXYING, Rules};

/// As Firefox asks for a page of a Shiny app.
pub const REQUEST: &[u8] = b"GET /app/?language=en HTTP/1.1\r\n\
    Host: bench.example\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: none\r\n\
    \r\n";
/// As Shiny answers.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/html; charset=UTF-8\r\n\
    Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    X-UA-Compatible: IE=edge,chrome=1\r\n\
    Connection: keep-alive\r\n\
    Content-Length: 1000\r\n\
    \r\n";
/// What a plain-HTTP listener sends a browser on to.
pub const LOCATION: Location<'static> = Location {
    permanent_redirect: false,
    host: NAME.as_bytes(),
    target: b"/app/?language=en",
    keep_alive: true,
};
pub const HSTS: &[u8] = b"Strict-Transport-Security: max-age=63072000; includeSubDomains\r\n";
pub const SCHEMES: &[SignatureScheme] =
    &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];
pub const NAME: &str = "bench.example";

/// Files that are gone when this is.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new(word: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let (id, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("sheen-bench-{word}-{id}-{number}"));
        fs::create_dir_all(&dir).expect("a folder for temporary files");
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is small, and in the folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A store with one certificate that answers for many names, and the files it came from.
#[derive(Debug)]
pub struct Certificates {
    pub store: Arc<Store>,
    source: Source,
    /// Kept until the last reload.
    _folder: Folder,
}

impl Certificates {
    pub fn new(names: usize) -> Self {
        let folder = Folder::new(&format!("names-{names}"));
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![NAME.to_owned()]).expect("it is a name");
        let cert = params.self_signed(&key).expect("a certificate");
        let (cert_file, key_file) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
        fs::write(&cert_file, cert.pem()).expect("the folder is ours");
        fs::write(&key_file, key.serialize_pem()).expect("the folder is ours");
        let mut all = vec![NAME.to_owned()];
        all.extend((1..names).map(|number| format!("site-{number}.example")));
        let source = Source {
            cert: cert_file,
            key: key_file,
            passphrases: None,
            names: all,
            default: true,
            group: String::new(),
        };
        let (store, _) = Store::open(vec![source.clone()]).expect("the pair fits");
        Self { store, source, _folder: folder }
    }

    /// Reads the files, builds a new set and publishes it, as a reload does.
    pub fn swap(&self) {
        self.store.replace_sources(vec![self.source.clone()]).expect("the pair fits");
    }
}

/// A set with that many names.
pub fn set(names: usize) -> Arc<CertSet> {
    Certificates::new(names).store.current()
}

/// A configuration with one site, as the data plane has it.
pub fn snapshot() -> Snapshot {
    let text = "[[site]]\nnames = [\"bench.example\"]\nto = \"127.0.0.1:3838\"\n\
        hsts = \"max-age=63072000\"\n";
    let config = native::parse(text, "bench.toml").expect("the configuration is right").config;
    let ticketer = tickets::ticketer();
    let resolver = Arc::new(Resolver(Certificates::new(1).store));
    let offload = tls::ktls::Offload::default();
    let offer = Offer::of(config.protocols);
    Snapshot {
        routes: Routes::new(&config.sites),
        limits: config.limits.clone(),
        tls: Configs {
            one: tls::config::server(&offer, resolver, ticketer),
            by_address: Lookup::default(),
        },
        offload,
        redirect: Redirect::new(443),
        trusted_proxies: Vec::new(),
        http: None,
    }
}

/// A connection over TLS from a client nobody trusts, or over plain HTTP.
pub fn context(snapshot: &Snapshot, tls: bool) -> Context<'_> {
    Context {
        snapshot,
        client: "203.0.113.7",
        trusted: false,
        tls,
        server_name: tls.then_some(NAME),
        draining: false,
    }
}

/// What planning a request needs beside the configuration; kept from one to the next, as a worker
/// keeps it.
#[derive(Debug)]
pub struct Planning {
    input: Buf,
    scratch: Vec<u8>,
    request: log::Request,
}

impl Default for Planning {
    fn default() -> Self {
        Self { input: Buf::new(), scratch: Vec::new(), request: log::Request::default() }
    }
}

impl Planning {
    /// Plans [`REQUEST`].
    pub fn again(&mut self, context: &Context<'_>) -> Option<Plan> {
        let Self { input, scratch, request } = self;
        input.clear();
        scratch.clear();
        input.extend(REQUEST);
        hot::plan_request(input, REQUEST.len(), context, request, scratch)
    }
}

/// The same by an nginx.conf.
#[derive(Debug)]
pub struct PlanningByConf {
    planning: Planning,
    request: Vec<u8>,
    http: HeldHttp,
    identity: Rc<Identity>,
    spare: Spare,
}

impl PlanningByConf {
    pub fn new(rules: &Rules) -> Self {
        let folder = Folder::new("nginx-conf");
        let file = folder.0.join("nginx.conf");
        fs::write(&file, conf(rules)).expect("the folder is ours");
        let loaded = load(&ConfigSource::file(&file)).expect("the configuration is right");
        let http = loaded.config.http.expect("an nginx.conf has servers").0;
        let request =
            String::from_utf8_lossy(REQUEST).replacen("/app/?language=en", "/bytes/1000", 1);
        let identity = Identity {
            number: 1,
            address: "203.0.113.7".into(),
            ip: Some([203, 0, 113, 7].into()),
            port: 50_000,
            since_ms: 0,
            introduction: None,
            local: OnceCell::from(ListenAddress::Tcp(([127, 0, 0, 1], 8080).into())),
            trusted: Cell::new(false),
            handshake: OnceCell::new(),
        };
        Self {
            planning: Planning::default(),
            request: request.into_bytes(),
            http: Rc::new(http),
            identity: Rc::new(identity),
            spare: Spare::default(),
        }
    }

    /// Plans a request like [`REQUEST`]; false where it would not be proxied.
    pub fn again(&mut self) -> bool {
        let Planning { input, scratch, request } = &mut self.planning;
        input.clear();
        scratch.clear();
        input.extend(&self.request);
        let arrived = Arrived {
            http: self.http.clone(),
            identity: self.identity.clone(),
            tries: Rc::default(),
            begun_ms: 0,
            tls: false,
            requests: 1,
            is_pipelined: false,
            age: Duration::ZERO,
            draining: false,
            spare: std::mem::take(&mut self.spare),
        };
        let begun = hot::plan_by_conf(input, self.request.len(), arrived, request, scratch);
        let Some(Begun { ongoing, deed }) = begun else { return false };
        self.spare = ongoing.into_spare();
        matches!(deed, Deed::Forward(_))
    }
}

fn conf(rules: &Rules) -> String {
    let Rules { maps, before, place, inside } = rules;
    format!(
        "events {{}}\nhttp {{
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
{maps}    upstream app {{ server 127.0.0.1:3838; keepalive 32; }}
    server {{
        listen 127.0.0.1:8080;
        server_name {NAME};
{before}        location {place} {{
{inside}            proxy_pass http://app;
{PROXYING}            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_read_timeout 1h;
        }}
    }}
}}
"
    )
}

/// A server session and a client that have shaken hands.
#[derive(Debug)]
pub struct Pair {
    pub session: Session,
    pub client: ClientConnection,
    incoming: Buf,
}

impl Default for Pair {
    fn default() -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![NAME.to_owned()]).expect("it is a name");
        let cert = params.self_signed(&key).expect("a certificate");
        let chain = vec![CertificateDer::from(cert.der().to_vec())];
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).expect("a certificate");
        let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes());
        let private = private.expect("a key in PEM");
        // The suite that browsers take, so that it can be set against the bare cipher.
        let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
        crypto.cipher_suites =
            vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let crypto = Arc::new(crypto);
        let mut server = ServerConfig::builder_with_provider(crypto.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the suite is of TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .expect("the pair fits");
        server.ticketer = tickets::ticketer();
        let mut config = ClientConfig::builder_with_provider(crypto)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the suite is of TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(NAME).expect("it is a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let session = Session::new(Arc::new(server)).expect("a session");
        let mut pair = Self { session, client, incoming: Buf::new() };
        while pair.session.is_handshaking() || pair.client.is_handshaking() {
            pair.exchange();
        }
        pair
    }
}

impl Pair {
    fn exchange(&mut self) {
        let flight = flight(&mut self.client);
        self.incoming.extend(&flight);
        let (mut plain, mut out) = (Buf::new(), Buf::new());
        let data = self.incoming.data_mut();
        let received = self.session.receive(data, &mut plain, &mut out).expect("a handshake");
        self.incoming.consume(received.consumed);
        let mut flight = out.data();
        while !flight.is_empty() {
            self.client.read_tls(&mut flight).expect("memory can be read");
            self.client.process_new_packets().expect("a handshake");
        }
    }
}

/// A client that sends.
#[derive(Debug)]
pub struct Sender(ClientConnection);

impl Sender {
    pub fn new(mut client: ClientConnection) -> Self {
        client.set_buffer_limit(None);
        Self(client)
    }

    /// Records with `bytes` bytes in them.
    pub fn records(&mut self, bytes: usize) -> Vec<u8> {
        let data = vec![b'r'; bytes];
        self.0.writer().write_all(&data).expect("there is no limit");
        flight(&mut self.0)
    }
}

fn flight(client: &mut ClientConnection) -> Vec<u8> {
    let mut flight = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut flight).expect("memory can be written");
    }
    flight
}
