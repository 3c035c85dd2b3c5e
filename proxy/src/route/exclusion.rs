//! The one look-around that has a linear form: `(?!well-known).*` at the end of a pattern, as in the
//! rule for hidden files that is in so many nginx.conf.

/// What `(?!words)` and what follows it to the end of a pattern come to, in the syntax of the engine;
/// `end` stands for a final `$`. `rest` begins with the group, `before` is what the pattern begins
/// with. `None`: it has no such form.
pub(super) fn translate(before: &[u8], rest: &[u8], end: &str) -> Option<String> {
    let inside = rest.strip_prefix(b"(?!")?;
    let close = inside.iter().position(|byte| *byte == b')')?;
    let words = words(&inside[..close])?;
    let (tail, is_last) = match inside[close + 1..].strip_suffix(b"$") {
        Some(tail) => (tail, true),
        None => (&inside[close + 1..], false),
    };
    let (open, takes_some) = match tail {
        b"" if !is_last => ("(?:", false),
        b".*" => ("(?:", false),
        b".+" => ("(?:", true),
        b"(.*)" => ("(", false),
        b"(.+)" => ("(", true),
        _ => return None,
    };
    if changes_dots(before) {
        return None;
    }
    let mut out = open.to_owned();
    append_others(&words, takes_some, &mut out)?;
    out.push(')');
    if is_last {
        out.push_str(end);
    }
    Some(out)
}

/// The words between bars, letters with or without a backslash; none is empty.
fn words(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = vec![Vec::new()];
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let word = words.last_mut()?;
        match byte {
            b'|' => words.push(Vec::new()),
            b'\\' => word.push(bytes.next().filter(u8::is_ascii_punctuation)?),
            byte if b".*+?()[]{}^$#".contains(&byte) => return None,
            byte => word.push(byte),
        }
    }
    let is_plain = text.len() <= BYTES_MAX && words.iter().all(|word| !word.is_empty());
    is_plain.then_some(words)
}

/// True when flags before may have made a dot, a dollar or a space something else.
fn changes_dots(before: &[u8]) -> bool {
    let kinds = before.windows(3).filter(|three| three.starts_with(b"(?"));
    let is_known = |kind: u8| matches!(kind, b':' | b'<' | b'P' | b'\'');
    kinds.into_iter().any(|three| !is_known(three[2]))
}

/// Appends what matches the rest of a line that begins with none of the words: another byte than
/// theirs, or one of theirs and then what goes on otherwise, or nothing.
fn append_others(words: &[Vec<u8>], takes_some: bool, out: &mut String) -> Option<()> {
    let mut firsts: Vec<u8> = words.iter().map(|word| word[0]).collect();
    firsts.sort_unstable();
    firsts.dedup();
    // Where case does not count, they would be one byte.
    let small = |byte: &u8| byte.to_ascii_lowercase();
    if firsts.iter().any(|byte| firsts.iter().filter(|it| small(it) == small(byte)).count() > 1) {
        return None;
    }
    out.push_str("[^\\n");
    firsts.iter().for_each(|byte| out.push_str(&format!("\\x{byte:02X}")));
    out.push_str("].*");
    for first in firsts {
        let inside = words.iter().filter(|word| word[0] == first);
        let inside: Vec<Vec<u8>> = inside.map(|word| word[1..].to_vec()).collect();
        if inside.iter().all(|word| !word.is_empty()) {
            out.push_str(&format!("|\\x{first:02X}(?:"));
            append_others(&inside, false, out)?;
            out.push(')');
        }
    }
    if !takes_some {
        out.push_str("|(?m:$)");
    }
    Some(())
}

/// Of all words: more would be nested too deep.
const BYTES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_one_of_some_words_has_a_linear_form() {
        let form = |rest: &str| translate(b"/\\.", rest.as_bytes(), "END");
        assert_eq!(form("(?!a).*").unwrap(), "(?:[^\\n\\x61].*|(?m:$))");
        assert_eq!(form("(?!a)(.+)$").unwrap(), "([^\\n\\x61].*)END");
        let two = "([^\\n\\x61].*|\\x61(?:[^\\n\\x62\\x63].*|(?m:$))|(?m:$))";
        assert_eq!(form("(?!ab|ac)(.*)").unwrap(), two);
        for rest in
            ["(?!a)b", "(?!a).*b", "(?!(a))", "(?!a.)", "(?!a|)", "(?!a|A)", "(?!a)$", "(?!"]
        {
            assert_eq!(form(rest), None, "{rest}");
        }
        assert_eq!(translate(b"(?s)", b"(?!a).*", ""), None);
        assert!(translate(b"(?:x)(?<y>z)", b"(?!a).*", "").is_some());
    }
}
