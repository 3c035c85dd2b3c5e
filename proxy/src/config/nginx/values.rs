//! Values as nginx reads them: flags, numbers, sizes and times.

use std::time::Duration;

use crate::config::Keepalive;

/// Digits alone.
pub fn number(text: &[u8]) -> Option<u64> {
    digits(text).filter(|number| *number <= MOST)
}

/// Bytes, with `k` or `m`.
pub fn size(text: &[u8]) -> Option<u64> {
    scaled(text, false)
}

/// Bytes, with `k`, `m` or `g`.
pub fn offset(text: &[u8]) -> Option<u64> {
    scaled(text, true)
}

/// A time that nginx keeps in milliseconds: `20d`, `1m30s`, `500ms`, `75`.
pub fn milliseconds(text: &[u8]) -> Option<Duration> {
    time(text, Unit::Weeks, 1000).map(Duration::from_millis)
}

/// A time that nginx keeps in seconds: no `ms`, but months and years.
pub fn seconds(text: &[u8]) -> Option<Duration> {
    time(text, Unit::Years, 1).map(Duration::from_secs)
}

/// `on` or `off`, in any case.
pub fn flag(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"on") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"off") {
        Some(false)
    } else {
        None
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn scaled(text: &[u8], gigabytes: bool) -> Option<u64> {
    let (number, shift) = match text {
        [number @ .., b'k' | b'K'] => (number, 10),
        [number @ .., b'm' | b'M'] => (number, 20),
        [number @ .., b'g' | b'G'] if gigabytes => (number, 30),
        number => (number, 0),
    };
    digits(number)?.checked_mul(1 << shift).filter(|number| *number <= MOST)
}

/// Units stand in falling order; a number without one is seconds and ends the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Years,
    Months,
    Weeks,
    Days,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
    End,
}

/// The sum of the parts of which the first may be `largest`, in parts of a second.
fn time(text: &[u8], largest: Unit, per_second: u64) -> Option<u64> {
    let (mut total, mut value, mut seen) = (0_u64, 0_u64, false);
    let mut next = largest;
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if byte.is_ascii_digit() {
            value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
            seen = true;
            continue;
        }
        let (unit, seconds) = match byte {
            b'y' => (Unit::Years, 365 * 86_400),
            b'M' => (Unit::Months, 30 * 86_400),
            b'w' => (Unit::Weeks, 7 * 86_400),
            b'd' => (Unit::Days, 86_400),
            b'h' => (Unit::Hours, 3600),
            b'm' if rest.first() == Some(&b's') => {
                rest = &rest[1..];
                (Unit::Milliseconds, 0)
            }
            b'm' => (Unit::Minutes, 60),
            b's' | b' ' => (Unit::Seconds, 1),
            _ => return None,
        };
        if unit < next || (unit == Unit::Milliseconds && per_second == 1) {
            return None;
        }
        // Each unit stands once, and nothing has a unit after a number without one.
        next = match unit {
            Unit::Years => Unit::Months,
            Unit::Months => Unit::Weeks,
            Unit::Weeks => Unit::Days,
            Unit::Days => Unit::Hours,
            Unit::Hours => Unit::Minutes,
            Unit::Minutes => Unit::Seconds,
            Unit::Seconds if *byte == b' ' => Unit::End,
            Unit::Seconds => Unit::Milliseconds,
            Unit::Milliseconds | Unit::End => Unit::End,
        };
        let scale = if unit == Unit::Milliseconds { 1 } else { seconds * per_second };
        total = total.checked_add(value.checked_mul(scale)?)?;
        value = 0;
        rest = rest.trim_ascii_start();
    }
    total.checked_add(value.checked_mul(per_second)?).filter(|total| seen && *total <= MOST)
}

/// nginx counts in signed numbers of 64 bits.
const MOST: u64 = i64::MAX as u64;

/// `on`, `off` or `idle:interval:count`, each of which may be missing.
pub fn keepalive(text: &str) -> Option<Keepalive> {
    match text {
        "on" => return Some(Keepalive::On { idle: None, interval: None, probes: None }),
        "off" => return Some(Keepalive::Off),
        _ => {}
    }
    let mut parts = text.splitn(3, ':');
    let idle = time_or_none(parts.next()?)?;
    let interval = time_or_none(parts.next().unwrap_or_default())?;
    let probes = match parts.next().unwrap_or_default() {
        "" => None,
        text => Some(number(text.as_bytes()).and_then(|number| u32::try_from(number).ok())?),
    };
    if idle.is_none() && interval.is_none() && probes.is_none() {
        return None;
    }
    Some(Keepalive::On { idle, interval, probes })
}

fn time_or_none(text: &str) -> Option<Option<Duration>> {
    if text.is_empty() {
        return Some(None);
    }
    seconds(text.as_bytes()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, as_size, as_offset) in [
            ("0", Some(0), Some(0)),
            ("8k", Some(8192), Some(8192)),
            ("8K", Some(8192), Some(8192)),
            ("1m", Some(1 << 20), Some(1 << 20)),
            ("2G", None, Some(2 << 30)),
            ("", None, None),
            ("k", None, None),
            ("1kk", None, None),
            ("1 k", None, None),
            ("-1", None, None),
            ("+1", None, None),
            ("8796093022207m", Some(8_796_093_022_207 << 20), Some(8_796_093_022_207 << 20)),
            ("8796093022208m", None, None),
            ("9223372036854775807", Some(MOST), Some(MOST)),
            ("9223372036854775808", None, None),
            ("99999999999999999999", None, None),
        ] {
            assert_eq!(
                (size(text.as_bytes()), offset(text.as_bytes())),
                (as_size, as_offset),
                "{text}"
            );
        }
    }

    #[test]
    fn times() {
        // As milliseconds, and as seconds.
        for (text, fine, coarse) in [
            ("75", Some(75_000), Some(75)),
            ("20d", Some(1_728_000_000), Some(1_728_000)),
            ("1d12h", Some(129_600_000), Some(129_600)),
            ("1m30s", Some(90_000), Some(90)),
            ("1h 30m", Some(5_400_000), Some(5400)),
            ("5m5", Some(305_000), Some(305)),
            ("1 1", Some(2000), Some(2)),
            (" 5", Some(5000), Some(5)),
            ("5 ", Some(5000), Some(5)),
            ("1h m", Some(3_600_000), Some(3600)),
            ("500ms", Some(500), None),
            ("1s1ms", Some(1001), None),
            ("5ms 5", Some(5005), None),
            ("1w", Some(604_800_000), Some(604_800)),
            ("1M", None, Some(2_592_000)),
            ("1y", None, Some(31_536_000)),
            ("", None, None),
            ("h", None, None),
            (" ", None, None),
            ("1m1h", None, None),
            ("1s1s", None, None),
            ("30 m", None, None),
            ("5 s", None, None),
            ("1 1h", None, None),
            ("5 5ms", None, None),
            ("1.5s", None, None),
            ("-1", None, None),
            ("9223372036854775", Some(9_223_372_036_854_775_000), Some(9_223_372_036_854_775)),
            ("9223372036854776", None, Some(9_223_372_036_854_776)),
            ("99999999999999999999", None, None),
        ] {
            let text_bytes = text.as_bytes();
            let fine_is = milliseconds(text_bytes).map(|time| time.as_millis());
            assert_eq!(fine_is, fine, "{text:?}");
            assert_eq!(seconds(text_bytes).map(|time| time.as_secs()), coarse, "{text:?}");
        }
    }

    #[test]
    fn flags_and_numbers() {
        assert_eq!([flag(b"on"), flag(b"OFF"), flag(b"yes")], [Some(true), Some(false), None]);
        assert_eq!([number(b"12"), number(b""), number(b"1k")], [Some(12), None, None]);
    }
}
