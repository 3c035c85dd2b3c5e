//! The request engine (`sheen::route`) behind a small reading of nginx's language: enough for
//! tests that run the same text in the real nginx.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use sheen::h1::kept::KeptHead;
use sheen::route::error_page::ErrorPages;
use sheen::route::evaluate::Context;
use sheen::route::facts::Facts;
use sheen::route::location::{Builder, Match, SERVER};
use sheen::route::map::Map;
use sheen::route::names::{Host, Names};
use sheen::route::phases::{Decision, LimitExcept, Run, Server, Settings};
use sheen::route::proxy_pass::ProxyPass;
use sheen::route::root::{How, Root};
use sheen::route::script::Script;
use sheen::route::state::State;
use sheen::route::template::Template;
use sheen::route::try_files::TryFiles;
use sheen::route::uri::Target;
use sheen::route::variable::{Registry, Variables};
use sheen::serve::probe;

type Words = Vec<Vec<u8>>;

/// A directive with its block.
#[derive(Debug)]
struct Directive {
    words: Words,
    block: Vec<Directive>,
}

/// Some servers on one address.
#[derive(Debug)]
pub struct Engine {
    names: Names,
    servers: Vec<Hosted>,
    variables: Variables,
    folder: PathBuf,
    pub state: State,
}

#[derive(Debug)]
struct Hosted {
    name: Vec<u8>,
    server: Server,
    proxies: HashMap<usize, ProxyPass>,
    merge_slashes: bool,
}

/// What a client or an upstream would see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    pub location: String,
    /// Of answers with a content of their own, `None` for built-in pages.
    pub body: Option<String>,
}

impl Engine {
    /// Reads the inside of an http block; `ROOT` in it stands for `folder`.
    pub fn new(http: &str, folder: &Path) -> Result<Self, String> {
        let http = http.replace("ROOT", &folder.display().to_string());
        let directives = parse(&mut tokens(http.as_bytes()).into_iter());
        let mut registry = Registry::default();
        let mut names = Names::new(0);
        let mut servers = Vec::new();
        for directive in &directives {
            let words = slices(&directive.words);
            match words[0] {
                b"map" => {
                    let mut map = Map::new(words[1], &mut registry)?;
                    for line in &directive.block {
                        map.entry(&slices(&line.words), &mut registry)?;
                    }
                    registry.define_map(&words[2][1..], map)?;
                }
                b"server" => {
                    let number = servers.len();
                    servers.push(host(directive, number, &mut names, &mut registry, folder)?);
                }
                _ => {}
            }
        }
        let variables = registry.finish().map_err(|unknown| unknown[0].words.clone())?;
        let folder = folder.to_owned();
        Ok(Self { names, servers, variables, folder, state: State::default() })
    }

    /// The answer to one request with `Host: host`.
    pub fn ask(&mut self, method: &str, target: &str, host: &str) -> Seen {
        let error = |status| Seen { status, location: String::new(), body: None };
        self.state.begin(&self.variables);
        let Ok(target) = Target::parse(target.as_bytes()) else { return error(400) };
        let authority = target.authority.unwrap_or(host.as_bytes());
        let Some(parsed) = Host::parse(authority) else { return error(400) };
        let mut name = Vec::new();
        parsed.append_lowercase(&mut name);
        let number = self.names.find(&name, &mut self.state, &self.variables);
        let hosted = &self.servers[number];
        let line = format!("{method} {} HTTP/1.1", String::from_utf8_lossy(target.uri));
        let head = format!("{line}\r\nHost: {host}\r\n\r\n").into_bytes();
        let (head, _) = KeptHead::lenient_request(&head, |_| true);
        let facts = Facts {
            request_line: line.as_bytes(),
            method: method.as_bytes(),
            request_uri: target.uri,
            host: &name,
            server_name: &hosted.name,
            fields: head.fields(),
            ..Facts::default()
        };
        let context = Context { variables: &self.variables, facts: &facts, state: &mut self.state };
        let mut probe = |path: &[u8]| probe(path, &mut |_, _| {});
        let mut run = Run::new(&hosted.server, context, &mut probe);
        let mut decision = match run.begin(hosted.merge_slashes) {
            Ok(decision) => decision,
            Err(_) => return error(400),
        };
        loop {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let state = &run.context.state;
            return match decision {
                Decision::Text { status, .. } => {
                    Seen { status, location: String::new(), body: Some(text(&state.output)) }
                }
                Decision::Redirect { status, .. } => {
                    Seen { status, location: text(&state.output), body: None }
                }
                Decision::Status { status, .. } => error(status),
                Decision::Close { .. } => error(444),
                Decision::Content(location) => {
                    let overriding = state.status_override;
                    let status = |own| if overriding > 0 { overriding } else { own };
                    match hosted.proxies.get(&location) {
                        Some(proxy) => match proxied(proxy, &mut run) {
                            Some(body) => Seen {
                                status: status(200),
                                location: String::new(),
                                body: Some(body),
                            },
                            None => error(500),
                        },
                        None => match read_file(&mut run, &self.folder) {
                            Ok(body) => Seen {
                                status: status(200),
                                location: String::new(),
                                body: Some(body),
                            },
                            Err(missing) => {
                                decision = run.fail(missing, location);
                                continue;
                            }
                        },
                    }
                }
            };
        }
    }
}

/// What an upstream that repeats its target would answer.
fn proxied(proxy: &ProxyPass, run: &mut Run<'_, '_>) -> Option<String> {
    let mut room = Vec::new();
    let url = proxy.url(&mut run.context, &mut room).ok()?;
    let mut out = Vec::new();
    proxy.append_target(&url, &run.context, &mut out).ok()?;
    Some(format!("proxied {}", String::from_utf8_lossy(&out)))
}

/// The static content of the state's URI; an error as nginx has it.
fn read_file(run: &mut Run<'_, '_>, folder: &Path) -> Result<String, u16> {
    let mut path = folder.as_os_str().as_encoded_bytes().to_vec();
    path.extend_from_slice(&run.context.state.uri);
    let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
    match path.is_dir() {
        true => Err(403),
        false => fs::read_to_string(path).map_err(|_| 404),
    }
}

fn host(
    directive: &Directive,
    number: usize,
    names: &mut Names,
    registry: &mut Registry,
    folder: &Path,
) -> Result<Hosted, String> {
    let path = Template::text(folder.as_os_str().as_encoded_bytes());
    let root = registry.root(Root { path, how: How::Root, prefix: b"/".as_slice().into() });
    let mut reading = Reading {
        registry,
        locations: Builder::default(),
        settings: vec![Settings::default()],
        proxies: HashMap::new(),
    };
    let mut script = Script::default();
    let inherited = Inherited { root, error_pages: ErrorPages::default(), recursive: false };
    reading.level(&directive.block, SERVER, inherited, &mut script, None)?;
    reading.settings[SERVER].script = script;
    let Reading { locations, settings, proxies, registry } = reading;
    let mut hosted = Hosted {
        name: Vec::new(),
        proxies,
        server: Server { locations: locations.finish(registry), settings: settings.into() },
        merge_slashes: true,
    };
    for line in &directive.block {
        match &*slices(&line.words) {
            [b"server_name", all @ ..] => {
                hosted.name = all[0].to_vec();
                for name in all {
                    names.add(name, number, registry)?;
                }
            }
            [b"merge_slashes", b"off"] => hosted.merge_slashes = false,
            _ => {}
        }
    }
    Ok(hosted)
}

struct Reading<'r> {
    registry: &'r mut Registry,
    locations: Builder,
    settings: Vec<Settings>,
    proxies: HashMap<usize, ProxyPass>,
}

#[derive(Clone)]
struct Inherited {
    root: usize,
    error_pages: ErrorPages,
    recursive: bool,
}

impl Reading<'_> {
    /// Reads the directives of a location that has been added; `proxy` is what an `if` inherits.
    fn level(
        &mut self,
        lines: &[Directive],
        number: usize,
        mut inherited: Inherited,
        script: &mut Script,
        proxy: Option<ProxyPass>,
    ) -> Result<(), String> {
        if let Some(proxy) = proxy {
            self.proxies.insert(number, proxy);
        }
        let mut own_pages = ErrorPages::default();
        for line in lines {
            match &*slices(&line.words) {
                [b"error_page", rest @ ..] => own_pages.add(rest, self.registry)?,
                [b"recursive_error_pages", value] => inherited.recursive = *value == b"on",
                [b"internal"] => self.settings[number].internal = true,
                [b"try_files", rest @ ..] => {
                    self.settings[number].try_files = Some(TryFiles::parse(rest, self.registry)?);
                }
                [b"proxy_pass", url] => {
                    let matched = self.locations.matched(number).clone();
                    let proxy = ProxyPass::parse(url, &matched, self.registry)?;
                    self.proxies.insert(number, proxy);
                    self.locations.add_slash(number);
                }
                _ => {}
            }
        }
        if !own_pages.is_empty() {
            inherited.error_pages = own_pages;
        }
        let settings = &mut self.settings[number];
        settings.root = inherited.root;
        settings.error_pages = inherited.error_pages.clone();
        settings.recursive_error_pages = inherited.recursive;
        for line in lines {
            self.line(line, number, &inherited, script)?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        line: &Directive,
        number: usize,
        inherited: &Inherited,
        script: &mut Script,
    ) -> Result<(), String> {
        match &*slices(&line.words) {
            [b"rewrite", rest @ ..] => script.rewrite(rest, self.registry)?,
            [b"return", rest @ ..] => script.returns(rest, self.registry)?,
            [b"set", rest @ ..] => script.set(rest, self.registry)?,
            [b"break"] => script.breaks(),
            [b"if", rest @ ..] => {
                let nameless = match number {
                    SERVER => None,
                    _ => Some(self.add(number, Match::Nameless)?),
                };
                let open = script.begin_if(rest, nameless, self.registry)?;
                let proxy = self.proxies.get(&number).cloned();
                let inner = nameless.unwrap_or(SERVER);
                match nameless {
                    Some(_) => {
                        self.level(&line.block, inner, inherited.clone(), script, proxy)?;
                    }
                    None => {
                        for line in &line.block {
                            self.line(line, SERVER, inherited, script)?;
                        }
                    }
                }
                script.end_if(open);
            }
            [b"limit_except", methods @ ..] => {
                let inner = self.add(number, Match::Nameless)?;
                let mut own = Script::default();
                let proxy = self.proxies.get(&number).cloned();
                self.level(&line.block, inner, inherited.clone(), &mut own, proxy)?;
                self.settings[inner].script = own;
                let limit = LimitExcept::parse(methods, inner)?;
                self.settings[number].limit_except = Some(limit);
            }
            [b"location", rest @ ..] => {
                let inner = self.add(number, Match::parse(rest)?)?;
                let mut own = Script::default();
                self.level(&line.block, inner, inherited.clone(), &mut own, None)?;
                self.settings[inner].script = own;
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, parent: usize, matched: Match) -> Result<usize, String> {
        self.settings.push(Settings::default());
        self.locations.add(parent, matched, self.registry)
    }
}

fn slices(words: &Words) -> Vec<&[u8]> {
    words.iter().map(|word| &**word).collect()
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(Vec<u8>),
    Open,
    Close,
    End,
}

/// Words, quoted or not; a brace within a word or in quotes belongs to it.
fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b';' => tokens.push(Token::End),
            b'{' => tokens.push(Token::Open),
            b'}' => tokens.push(Token::Close),
            byte if byte.is_ascii_whitespace() => {}
            b'#' => at += text[at..].iter().position(|b| *b == b'\n').unwrap(),
            quote @ (b'\'' | b'"') => {
                let len = text[at + 1..].iter().position(|b| *b == quote).unwrap();
                tokens.push(Token::Word(text[at + 1..][..len].to_vec()));
                at += len + 1;
            }
            _ => {
                let mut word = Vec::new();
                while !text[at].is_ascii_whitespace() && !matches!(text[at], b';' | b'{') {
                    if text[at..].starts_with(b"${") {
                        word.push(b'$');
                        at += 1;
                    }
                    word.push(text[at]);
                    at += 1;
                }
                tokens.push(Token::Word(word));
                continue;
            }
        }
        at += 1;
    }
    tokens
}

fn parse(tokens: &mut std::vec::IntoIter<Token>) -> Vec<Directive> {
    let mut all = Vec::new();
    let mut words = Vec::new();
    while let Some(token) = tokens.next() {
        let block = match token {
            Token::Word(word) => {
                words.push(word);
                continue;
            }
            Token::End => Vec::new(),
            Token::Open => parse(tokens),
            Token::Close => return all,
        };
        all.push(Directive { words: std::mem::take(&mut words), block });
    }
    all
}
