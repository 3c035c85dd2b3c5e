//! What the functions that read directives refuse, in nginx's words, and what they bound.

use super::cookies::Cookies;
use super::error_page::ErrorPages;
use super::evaluate::Context;
use super::facts::Facts;
use super::http::RequestFields;
use super::location::{Builder, Match, SERVER};
use super::log_format::LogFormat;
use super::map::Map;
use super::phases::LimitExcept;
use super::proxy_pass::{ProxyPass, Url};
use super::regex::compile;
use super::script::Script;
use super::state::State;
use super::template::Template;
use super::try_files::TryFiles;
use super::upstream_fields::Redirects;
use super::variable::Registry;
use crate::h1::kept::KeptHead;

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

/// Reads one directive of any kind.
fn read(line: &str) -> Result<(), String> {
    let registry = &mut Registry::default();
    let all = words(line);
    let rest = &all[1..];
    let mut script = Script::default();
    let regex_location = Match::parse(&[b"~", b"^/x"]).unwrap();
    match all[0] {
        b"rewrite" => script.rewrite(rest, registry),
        b"return" => script.returns(rest, registry),
        b"set" => script.set(rest, registry),
        b"if" => {
            let open = script.begin_if(rest, None, registry)?;
            script.end_if(open);
            Ok(())
        }
        b"location" => Match::parse(rest).map(drop),
        b"error_page" => ErrorPages::default().add(rest, registry),
        b"try_files" => TryFiles::parse(rest, registry).map(drop),
        b"limit_except" => LimitExcept::parse(rest, 1).map(drop),
        b"log_format" => LogFormat::parse(rest, registry).map(drop),
        b"proxy_pass" => ProxyPass::parse(rest[0], &regex_location, registry).map(drop),
        b"proxy_redirect" => {
            let pass = ProxyPass::parse(b"http://$host", &regex_location, registry)?;
            Redirects::default().add(rest, &pass, b"/", registry)
        }
        b"proxy_cookie_flags" => Cookies::default().add_flags(rest, registry),
        b"map_line" => Map::new(b"$uri", registry).unwrap().entry(rest, registry),
        other => panic!("{}", other.escape_ascii()),
    }
}

#[test]
fn directives_are_refused_in_the_words_of_nginx() {
    for (line, expected) in [
        ("rewrite ^ /$", "invalid variable name"),
        ("rewrite ^ /${a", "the closing bracket in \"a\" variable is missing"),
        ("rewrite ^ /a never", "invalid parameter \"never\""),
        ("rewrite ^ ", "empty replacement"),
        ("rewrite ( /a", "unclosed group in \"(\""),
        ("return 1000", "invalid return code \"1000\""),
        ("return abc", "invalid return code \"abc\""),
        ("return http://a text", "invalid return code \"http://a\""),
        ("set a b", "invalid variable name \"a\""),
        ("set $host b", "the duplicate \"host\" variable"),
        ("if $a", "invalid condition \"$a\""),
        ("if ($a", "invalid condition \"$a\""),
        ("if ($a == b)", "unexpected \"==\" in condition"),
        ("if ($a = b c)", "invalid condition \"$a\""),
        ("if (-q a)", "invalid condition \"-q\""),
        ("if (a)", "invalid condition \"a\""),
        ("location =~ /a", "invalid location modifier \"=~\""),
        ("error_page 200 /a", "value \"200\" must be between 300 and 599"),
        ("error_page 499 /a", "invalid value \"499\""),
        ("error_page 404 =x /a", "invalid value \"=x\""),
        ("try_files /a =x", "invalid code \"=x\""),
        ("limit_except GETS", "invalid method \"GETS\""),
        ("log_format escape=xml a", "unknown log format escaping \"xml\""),
        ("proxy_pass ftp://a", "invalid URL prefix"),
        ("proxy_pass http://", "no host in upstream \"\""),
        ("proxy_pass http://a:x", "invalid port in upstream \"a:x\""),
        ("proxy_pass http://a:65536/", "invalid port in upstream \"a:65536/\""),
        (
            "proxy_pass http://a/b",
            "\"proxy_pass\" cannot have URI part in location given by regular expression, or \
             inside named location, or inside \"if\" statement, or inside \"limit_except\" block",
        ),
        (
            "proxy_redirect default",
            "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables",
        ),
        ("map_line a", "invalid number of the map parameters"),
    ] {
        assert_eq!(read(line), Err(expected.into()), "{line}");
    }
    let registry = &mut Registry::default();
    let mut map = Map::new(b"$uri", registry).unwrap();
    map.entry(&[b"a", b"1"], registry).unwrap();
    map.entry(&[b"default", b"1"], registry).unwrap();
    let conflict = map.entry(&[b"A", b"2"], registry);
    assert_eq!(conflict, Err("conflicting parameter \"A\"".into()));
    let twice = map.entry(&[b"default", b"2"], registry);
    assert_eq!(twice, Err("duplicate default map parameter".into()));
}

#[test]
fn misplaced_locations_are_refused() {
    let registry = &mut Registry::default();
    let mut builder = Builder::default();
    let mut add = |parent: usize, line: &str| {
        builder.add(parent, Match::parse(&words(line)).unwrap(), registry)
    };
    let exact = add(SERVER, "= /a").unwrap();
    let prefix = add(SERVER, "/a").unwrap();
    let named = add(SERVER, "@n").unwrap();
    for (parent, line, expected) in [
        (SERVER, "^~ /a", "duplicate location \"/a\""),
        (SERVER, "= /a", "duplicate location \"/a\""),
        (exact, "/a/b", "location \"/a/b\" cannot be inside the exact location \"/a\""),
        (named, "/a", "location \"/a\" cannot be inside the named location \"@n\""),
        (prefix, "@m", "named location \"@m\" can be on the server level only"),
        (prefix, "/b", "location \"/b\" is outside location \"/a\""),
    ] {
        assert_eq!(add(parent, line), Err(expected.into()), "{line}");
    }
}

#[test]
fn every_unknown_variable_is_reported_where_it_was_named() {
    let mut registry = Registry::default();
    for (place, text) in ["$host$foo", "${bar}$http_x$arg_$foo", "$set_later"].iter().enumerate() {
        registry.at(place);
        Template::compile(text.as_bytes(), &mut registry).unwrap();
    }
    registry.settable(b"SET_later").unwrap();
    let unknown = registry.finish().unwrap_err();
    let unknown: Vec<_> = unknown.iter().map(|it| (it.place, it.words.as_str())).collect();
    assert_eq!(unknown, [(0, "unknown \"foo\" variable"), (1, "unknown \"bar\" variable")]);
}

#[test]
fn patterns_without_a_linear_form_are_refused_with_the_reason() {
    for (pattern, reason) in [
        ("(?=a)", "look-ahead"),
        ("(?!a)b", "look-ahead"),
        ("(?<=a)", "look-behind"),
        ("(?<!a)", "look-behind"),
        ("(a)\\1", "back-reference"),
        ("(?P=a)", "back-reference"),
        ("\\k<a>", "back-reference"),
        ("a++", "possessive"),
        ("a{1,2}+", "possessive"),
        ("(?>a)", "atomic"),
        ("(?R)", "recursion"),
        ("(?1)", "subroutine"),
        ("(?(1)a)", "conditional"),
        ("a\\Kb", "\\K"),
        ("(*UTF8)a", "verb"),
        ("\\pL", "Unicode"),
        ("(?:a{1000}){1000}", "too large"),
        ("**", "quantifier"),
        ("[a", "missing terminating ]"),
        ("a)", "unopened group"),
        ("a\\", "\\ at end"),
    ] {
        let error = compile(pattern.as_bytes(), false).map(drop).unwrap_err();
        assert!(error.contains(reason), "{pattern}: {error}");
        assert!(error.contains(" in \""), "{pattern}: {error}");
    }
}

#[test]
fn values_that_refer_to_each_other_have_a_bound() {
    for volatile in [false, true] {
        let mut registry = Registry::default();
        for number in 0..60 {
            let mut map = Map::new(b"$uri", &mut registry).unwrap();
            let next = (number + 1) % 60;
            let value = format!("${{m{next}}}${{m{next}}}x");
            map.entry(&[b"default", value.as_bytes()], &mut registry).unwrap();
            if volatile {
                map.entry(&[b"volatile"], &mut registry).unwrap();
            }
            registry.define_map(format!("m{number}").as_bytes(), map).unwrap();
        }
        let template = Template::compile(b"$m0", &mut registry).unwrap();
        let variables = registry.finish().unwrap();
        let mut state = State::default();
        state.begin(&variables);
        let facts = Facts::default();
        let mut out = Vec::new();
        let mut context = Context { variables: &variables, facts: &facts, state: &mut state };
        context.append(&template, &mut out);
        assert!(context.state.is_overflowed());
        assert!(out.len() < 8 << 20, "{}", out.len());
    }
}

#[test]
fn urls_of_upstreams_are_taken_apart() {
    for (url, host, port, uri, proxy_host) in [
        ("http://a", "a", Some(80), "", "a"),
        ("HTTPS://a:443/b?c", "a", Some(443), "/b?c", "a"),
        ("http://a:8080?x", "a", Some(8080), "?x", "a:8080"),
        ("http://[::1]:81/", "[::1]", Some(81), "/", "[::1]:81"),
        ("http://unix:/run/x.sock", "/run/x.sock", None, "", "localhost"),
        ("http://unix:/run/x.sock:/uri", "/run/x.sock", None, "/uri", "localhost"),
    ] {
        let parsed = Url::parse(url.as_bytes()).unwrap();
        let mut name = Vec::new();
        parsed.append_proxy_host(&mut name);
        let found = (parsed.host, parsed.port(), parsed.uri, &*name);
        assert_eq!(found, (host.as_bytes(), port, uri.as_bytes(), proxy_host.as_bytes()), "{url}");
    }
}

#[test]
fn only_plain_names_count_unless_others_are_wanted() {
    let taken = |underscores, ignores_invalid| {
        let wanted = RequestFields { underscores, ignores_invalid, max: 9 };
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A1: 1\r\nx_a: 2\r\nx.a: 3\r\n\r\n";
        let (head, _) = KeptHead::lenient_request(head, |field| wanted.takes(field));
        head.fields().iter().map(|field| field.value[0]).collect::<Vec<u8>>()
    };
    assert_eq!(taken(false, true), b"a1");
    assert_eq!(taken(true, true), b"a12");
    assert_eq!(taken(false, false), b"a123");
}
