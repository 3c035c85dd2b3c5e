//! Targets of the request engine: URIs, regular expressions, templates with their variables.

use sheen::route::evaluate::Context;
use sheen::route::facts::{Clock, Facts, Now};
use sheen::route::map::Map;
use sheen::route::regex::{Captures, compile};
use sheen::route::script::Script;
use sheen::route::state::State;
use sheen::route::template::Template;
use sheen::route::uri::{Target, normalise};
use sheen::route::variable::Registry;

/// A request target: its normal path is one, and stays the same when it is made normal again.
pub fn uri(bytes: &[u8]) {
    let Ok(target) = Target::parse(bytes) else { return };
    for merge in [true, false] {
        let mut path = Vec::new();
        let Ok(normal) = normalise(target.uri, merge, &mut path) else { continue };
        assert_eq!(path.first(), Some(&b'/'));
        assert!(!path.contains(&0));
        assert!(!path.split(|b| *b == b'/').any(|segment| matches!(segment, b"." | b"..")));
        assert!(!merge || !path.windows(2).any(|pair| pair == b"//"));
        assert!(!target.uri[normal.args].contains(&0));

        let escaped: Vec<u8> = path
            .iter()
            .flat_map(|byte| match byte {
                b'%' | b'?' | b'#' => format!("%{byte:02x}").into_bytes(),
                byte => vec![*byte],
            })
            .collect();
        let mut again = Vec::new();
        normalise(&escaped, merge, &mut again).expect("a normal path is a path");
        assert_eq!(again, path);
    }
}

/// A pattern and, behind its first newline, a text: what is translated compiles or is refused, and
/// what is seen of the text at once is what a search finds.
pub fn regex(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (pattern, text) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    for caseless in [false, true] {
        if let Ok(regex) = compile(pattern, caseless) {
            let [mut seen, mut found] = [Captures::default(), Captures::default()];
            let (is_seen, is_found) =
                (regex.is_seen(text, &mut seen), regex.is_found(text, &mut found));
            assert!(is_seen.is_none_or(|is_seen| is_seen == is_found));
            if is_seen == Some(true) {
                assert!((1..10).all(|group| seen.get(group) == found.get(group)));
            }
        }
    }
}

/// Lines of templates, each the value of a map's variable that the others may name, and of a
/// script; evaluated in a request whose target is the last line.
pub fn template(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').take(16).collect();
    let target = lines.last().copied().unwrap_or_default();
    let mut registry = Registry::default();
    let mut templates = Vec::new();
    let mut script = Script::default();
    for (number, line) in lines.iter().enumerate() {
        let Ok(template) = Template::compile(line, &mut registry) else { continue };
        templates.push(template);
        let mut map = Map::new(line, &mut registry).expect("it is a template");
        let _ = map.entry(&[b"~(.)(?<v>.?)", line], &mut registry);
        let _ = map.entry(&[b"default", line], &mut registry);
        let _ = map.entry(&[b"volatile"], &mut registry).map(|()| number % 2 == 0);
        let name = format!("m{number}");
        let _ = registry.define_map(name.as_bytes(), map);
        let _ = script.set(&[b"$v", line], &mut registry);
        let _ = script.rewrite(&[b"(.*)", line], &mut registry);
    }
    let Ok(variables) = registry.finish() else { return };
    let mut state = State::default();
    let facts = Facts {
        request_uri: target,
        host: b"example.com",
        clock: Clock {
            read: || Now { unix_ms: 1_700_000_000_123, offset_s: 3600 },
            request_ms: 1_700_000_000_000,
        },
        ..Facts::default()
    };
    for template in &templates {
        state.begin(&variables);
        state.uri.extend_from_slice(target);
        let mut context = Context { variables: &variables, facts: &facts, state: &mut state };
        let mut first = Vec::new();
        context.append(template, &mut first);
        assert!(first.len() <= 4 << 20, "a value has a bound");
    }
}
