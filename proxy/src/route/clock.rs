//! Times as variables show them; the clock itself is read elsewhere.

use super::facts::Now;

/// A moment in its parts, in local time.
struct Local {
    year: i64,
    month: usize,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

/// `28/Sep/1970:12:00:00 +0600`.
pub(super) fn append_local(now: Now, out: &mut Vec<u8>) {
    let Local { year, month, day, hour, minute, second } = local(now);
    decimal(u64::from(day), 2, out);
    out.push(b'/');
    out.extend_from_slice(&MONTHS[3 * month..][..3]);
    out.push(b'/');
    decimal(year.unsigned_abs(), 4, out);
    for part in [hour, minute, second] {
        out.push(b':');
        decimal(u64::from(part), 2, out);
    }
    out.push(b' ');
    append_offset(now.offset_s, b"", out);
}

/// `1970-09-28T12:00:00+06:00`.
pub(super) fn append_iso8601(now: Now, out: &mut Vec<u8>) {
    let Local { year, month, day, hour, minute, second } = local(now);
    decimal(year.unsigned_abs(), 4, out);
    for (separator, part) in
        [(b'-', month as u32 + 1), (b'-', day), (b'T', hour), (b':', minute), (b':', second)]
    {
        out.push(separator);
        decimal(u64::from(part), 2, out);
    }
    append_offset(now.offset_s, b":", out);
}

/// Seconds with three decimals.
pub(super) fn append_seconds(milliseconds: u64, out: &mut Vec<u8>) {
    decimal(milliseconds / 1000, 1, out);
    out.push(b'.');
    decimal(milliseconds % 1000, 3, out);
}

/// A number with leading zeros up to `width`.
pub(super) fn decimal(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits.as_bytes());
}

fn append_offset(offset_s: i32, separator: &[u8], out: &mut Vec<u8>) {
    let minutes = u64::from(offset_s.unsigned_abs() / 60);
    out.push(if offset_s < 0 { b'-' } else { b'+' });
    decimal(minutes / 60, 2, out);
    out.extend_from_slice(separator);
    decimal(minutes % 60, 2, out);
}

/// Days to a date as in the proleptic Gregorian calendar, by eras of 400 years.
fn local(now: Now) -> Local {
    let seconds = (now.unix_ms / 1000).min(SECONDS_MAX) as i64 + i64::from(now.offset_s);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March is 0 here: leap days fall on the end of the year.
    let from_march = (5 * of_year + 2) / 153;
    let month = (from_march + 2) % 12;
    Local {
        year: year_of_era + era * 400 + i64::from(month < 2),
        month: month as usize,
        day: (of_year - (153 * from_march + 2) / 5 + 1) as u32,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
/// The end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_nginx_shows_them() {
        for (unix_s, offset_s, time_local, iso8601) in [
            (0, 0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00+00:00"),
            (23_353_200, 21_600, "28/Sep/1970:13:00:00 +0600", "1970-09-28T13:00:00+06:00"),
            (951_782_400, 0, "29/Feb/2000:00:00:00 +0000", "2000-02-29T00:00:00+00:00"),
            (951_782_399, -12_600, "28/Feb/2000:20:29:59 -0330", "2000-02-28T20:29:59-03:30"),
            (1_735_689_599, 3600, "01/Jan/2025:00:59:59 +0100", "2025-01-01T00:59:59+01:00"),
            (u64::MAX / 1000, 0, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59+00:00"),
        ] {
            let now = Now { unix_ms: unix_s * 1000, offset_s };
            let (mut local, mut iso) = (Vec::new(), Vec::new());
            append_local(now, &mut local);
            append_iso8601(now, &mut iso);
            assert_eq!(local, time_local.as_bytes());
            assert_eq!(iso, iso8601.as_bytes());
        }
        let mut out = Vec::new();
        append_seconds(61_007, &mut out);
        assert_eq!(out, b"61.007");
    }
}
