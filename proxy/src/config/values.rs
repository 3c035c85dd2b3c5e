//! Readers of single values: words, counts, durations, sizes, paths.

use std::path::PathBuf;
use std::time::Duration;

use super::raw::{Checker, Complaint, Field, Node, Value};
use crate::limits::TIMEOUT_MAX;

/// The text of a field, or a problem.
pub(crate) fn text<'a>(field: &Field<'a>, checker: &mut Checker) -> Option<&'a str> {
    match &field.node.value {
        Value::Text(text) => Some(text),
        Value::Number(number) => {
            checker.wrong_kind(field, format!("write it in quotes: \"{number}\""));
            None
        }
        Value::Truth(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
            checker.wrong_kind(field, "");
            None
        }
    }
}

/// The elements of a list, or a problem.
pub(crate) fn list<'a>(field: &Field<'a>, checker: &mut Checker) -> Option<&'a [Node]> {
    match &field.node.value {
        Value::List(nodes) => Some(nodes),
        Value::Text(text) if text == "off" => {
            checker.wrong_kind(field, format!("for none write {} = []", field.key));
            None
        }
        Value::Text(text) => {
            checker.wrong_kind(field, format!("write {} = [{text:?}]", field.key));
            None
        }
        Value::Number(_) | Value::Truth(_) | Value::Table(_) | Value::Foreign(_) => {
            checker.wrong_kind(field, "");
            None
        }
    }
}

pub(crate) fn truth(field: &Field<'_>, checker: &mut Checker) -> Option<bool> {
    match &field.node.value {
        Value::Truth(truth) => Some(*truth),
        Value::Text(text) if text == "true" || text == "false" => {
            checker.wrong_kind(field, format!("write it without quotes: {text}"));
            None
        }
        Value::Text(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Foreign(_) => {
            checker.wrong_kind(field, "write true or false");
            None
        }
    }
}

/// One of a fixed set of words.
pub(crate) fn word<T: Copy>(
    field: &Field<'_>,
    checker: &mut Checker,
    words: &[(&'static str, T)],
) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let one_of = format!("one of {}", names.join(", "));
    let Value::Text(given) = &field.node.value else {
        checker.wrong_kind(field, one_of);
        return None;
    };
    if let Some((_, value)) = words.iter().find(|(name, _)| name == given) {
        return Some(*value);
    }
    let what = match nearest(given, names.iter().copied()) {
        Some(name) => format!("`{}` is `{given}`, did you mean `{name}`?", field.key),
        None => format!("`{}` cannot be `{given}`", field.key),
    };
    checker.refuse(&field.node.place, what, one_of);
    None
}

/// True exactly when the field is the text `expected`.
pub(crate) fn is_word(field: &Field<'_>, expected: &str) -> bool {
    matches!(&field.node.value, Value::Text(text) if text == expected)
}

/// A whole number within bounds.
pub(crate) fn count(
    field: &Field<'_>,
    checker: &mut Checker,
    smallest: u64,
    largest: u64,
) -> Option<u64> {
    let Value::Number(number) = field.node.value else {
        let hint = match &field.node.value {
            Value::Text(text) if text.parse::<i64>().is_ok() => {
                format!("write it without quotes: {text}")
            }
            Value::Text(text) if text == "off" => {
                format!("this limit cannot be lifted; the most is {largest}")
            }
            _ => String::new(),
        };
        checker.wrong_kind(field, hint);
        return None;
    };
    match u64::try_from(number) {
        Ok(number) if (smallest..=largest).contains(&number) => Some(number),
        Ok(_) | Err(_) => {
            checker.refuse(
                &field.node.place,
                format!("`{}` is {number}", field.key),
                format!("it must be from {smallest} to {largest}"),
            );
            None
        }
    }
}

/// A deadline above zero.
pub(crate) fn duration(field: &Field<'_>, checker: &mut Checker) -> Option<Duration> {
    let duration = duration_or_zero(field, checker)?;
    if duration.is_zero() {
        let what = format!("`{}` is zero, nothing could ever be in time", field.key);
        checker.refuse(&field.node.place, what, "write a longer one, such as \"30s\"");
        return None;
    }
    Some(duration)
}

/// A deadline, where zero means "do not wait at all".
pub(crate) fn duration_or_zero(field: &Field<'_>, checker: &mut Checker) -> Option<Duration> {
    match &field.node.value {
        Value::Text(text) if text == "off" => {
            let what = format!("`{}` cannot be off: every wait has an end", field.key);
            checker.refuse(&field.node.place, what, "write a long one, such as \"20d\"");
            None
        }
        Value::Text(text) => checker.take(&field.node.place, parse_duration(text)),
        Value::Number(number) => {
            checker.wrong_kind(field, format!("write \"{number}s\" for seconds"));
            None
        }
        Value::Truth(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
            checker.wrong_kind(field, "");
            None
        }
    }
}

/// A size in bytes within bounds.
pub(crate) fn size(
    field: &Field<'_>,
    checker: &mut Checker,
    smallest: u64,
    largest: u64,
) -> Option<u64> {
    let bytes = match &field.node.value {
        Value::Text(text) if text == "off" => {
            let what = format!("`{}` cannot be off: it sizes a buffer", field.key);
            checker.refuse(&field.node.place, what, format!("the most is {}", size_text(largest)));
            return None;
        }
        Value::Text(text) => checker.take(&field.node.place, parse_size(text))?,
        Value::Number(number) => {
            let negative = || Complaint::new(format!("`{}` is {number}", field.key), SIZE_HINT);
            let bytes = u64::try_from(*number).map_err(|_| negative());
            checker.take(&field.node.place, bytes)?
        }
        Value::Truth(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
            checker.wrong_kind(field, "");
            return None;
        }
    };
    if (smallest..=largest).contains(&bytes) {
        return Some(bytes);
    }
    checker.refuse(
        &field.node.place,
        format!("`{}` is {}", field.key, size_text(bytes)),
        format!("it must be from {} to {}", size_text(smallest), size_text(largest)),
    );
    None
}

/// A file or folder, made absolute with the folder of the configuration file.
pub(crate) fn path(field: &Field<'_>, checker: &mut Checker) -> Option<PathBuf> {
    let text = path_text(field, checker)?;
    Some(checker.base.join(text))
}

/// A log or the pid file, made absolute with the prefix.
pub(crate) fn path_in_prefix(field: &Field<'_>, checker: &mut Checker) -> Option<PathBuf> {
    let text = path_text(field, checker)?;
    Some(checker.prefix.join(text))
}

fn path_text<'a>(field: &Field<'a>, checker: &mut Checker) -> Option<&'a str> {
    let text = text(field, checker)?;
    if text.is_empty() || text.contains('\0') {
        let what = format!("`{}` is {text:?}, which is no path", field.key);
        checker.refuse(&field.node.place, what, "write the path of a file");
        return None;
    }
    Some(text)
}

/// `"250ms"`, `"30s"`, `"1m30s"`, `"20d"`: largest unit first, as nginx writes them.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Complaint> {
    let complain = |why: &str| Complaint::new(format!("`{text}` {why}"), DURATION_HINT);
    if text.is_empty() {
        return Err(complain("is no duration"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Complaint::new(
            format!("`{text}` has no unit"),
            format!("write \"{text}s\" for seconds"),
        ));
    }
    let mut rest = text;
    let mut total_ms = 0_u64;
    let mut unit_before = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        if digits == 0 || letters == 0 {
            return Err(complain("is no duration"));
        }
        let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(complain(&format!("has the unknown unit `{unit}`")));
        };
        if *unit_ms >= unit_before {
            return Err(complain("has its units out of order"));
        }
        unit_before = *unit_ms;
        let part_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit_ms));
        total_ms = part_ms
            .and_then(|part| part.checked_add(total_ms))
            .filter(|total| u128::from(*total) <= TIMEOUT_MAX.as_millis())
            .ok_or_else(|| {
                let days = TIMEOUT_MAX.as_secs() / 86400;
                Complaint::new(format!("`{text}` is too long"), format!("the most is \"{days}d\""))
            })?;
        rest = after;
    }
    Ok(Duration::from_millis(total_ms))
}

/// `"64k"`, `"50m"`, `"2g"`, or bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, Complaint> {
    let complain = |why: &str| Complaint::new(format!("`{text}` {why}"), SIZE_HINT);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if digits == 0 {
        return Err(complain("is no size"));
    }
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return Err(complain(&format!("has the unknown unit `{unit}`"))),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| complain("is too large"))
}

/// Bytes in the largest unit that divides them: `64k`.
pub(crate) fn size_text(bytes: u64) -> String {
    for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// The candidate that `word` is most likely a slip of.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let slips_max = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| {
            let longer = candidate.len() >= 4 && word.starts_with(candidate);
            (if longer { 1 } else { slips(word, candidate) }, candidate)
        })
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Edit distance in which two exchanged neighbours count once; case does not count.
fn slips(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).collect();
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let swap = usize::from(from[i - 1] != to[j - 1]);
            let mut best = rows[i - 1][j - 1] + swap;
            best = best.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

/// Longer words are no slip of ours: bounds the work on a hostile file.
const WORD_CHARS_MAX: usize = 64;

const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const DURATION_HINT: &str = "write a number and w, d, h, m, s or ms: \"30s\", \"1m30s\", \"12h\"";
const SIZE_HINT: &str = "write a number of bytes, or one with k, m or g: \"64k\", \"50m\", \"2g\"";
