//! Dates of header fields: written as RFC 9110 section 5.6.7 has them, read as nginx reads them.

/// `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since 1970.
pub fn append(seconds: i64, out: &mut Vec<u8>) {
    let seconds = seconds.clamp(YEAR_0, YEAR_9999);
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    // 1970 began on a Thursday.
    let weekday = (days + 4).rem_euclid(7) as usize;
    let two = |number: i64| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
    out.extend_from_slice(&WEEKDAYS[3 * weekday..][..3]);
    out.extend_from_slice(b", ");
    out.extend_from_slice(&two(day));
    out.push(b' ');
    out.extend_from_slice(&MONTHS[3 * (month - 1)..][..3]);
    out.push(b' ');
    out.extend_from_slice(&two(year / 100));
    out.extend_from_slice(&two(year));
    for (before, number) in [(b' ', rest / 3600), (b':', rest / 60 % 60), (b':', rest % 60)] {
        out.push(before);
        out.extend_from_slice(&two(number));
    }
    out.extend_from_slice(b" GMT");
}

/// Seconds since 1970 of one of the three forms, told apart as nginx does:
///
/// ```text
///   Sun, 06 Nov 1994 08:49:37 GMT      the one to be written
///   Sunday, 06-Nov-94 08:49:37 GMT     RFC 850
///   Sun Nov  6 08:49:37 1994           asctime
/// ```
/// Neither the name of the day nor the zone is looked at.
pub fn parse(value: &[u8]) -> Option<i64> {
    let end = value.iter().position(|b| matches!(b, b',' | b' '))?;
    let is_asctime = value[end] == b' ';
    let mut rest = Reader(value[end + 1..].trim_ascii_start());
    let (year, month, day, seconds);
    if is_asctime {
        month = rest.month()?;
        rest.expect(b' ')?;
        day = rest.day_of_asctime()?;
        rest.expect(b' ')?;
        seconds = rest.time()?;
        rest.expect(b' ')?;
        year = rest.number(4)?;
    } else {
        day = rest.number(2)?;
        let separator = rest.next().filter(|b| matches!(b, b' ' | b'-'))?;
        month = rest.month()?;
        rest.expect(separator)?;
        year = match separator {
            b' ' => rest.number(4)?,
            _ => rest.number(2).map(|year| if year < 70 { 2000 + year } else { 1900 + year })?,
        };
        rest.expect(b' ')?;
        seconds = rest.time()?;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = if month == 2 && is_leap { 29 } else { DAYS[month as usize - 1] };
    (1..=days).contains(&day).then(|| days_since_1970(year, month, day) * DAY + seconds)
}

/// What of a date is not read yet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number
            .iter()
            .try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    }

    /// One to twelve.
    fn month(&mut self) -> Option<i64> {
        let (name, rest) = self.0.split_at_checked(3)?;
        self.0 = rest;
        let at = MONTHS.chunks_exact(3).position(|month| month == name)?;
        Some(at as i64 + 1)
    }

    fn day_of_asctime(&mut self) -> Option<i64> {
        if self.0.first() == Some(&b' ') {
            self.0 = &self.0[1..];
        }
        let digits = if self.0.get(1).is_some_and(u8::is_ascii_digit) { 2 } else { 1 };
        self.number(digits)
    }

    /// Seconds of the day.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.expect(b':')?;
        let minute = self.number(2)?;
        self.expect(b':')?;
        let second = self.number(2)?;
        (hour <= 23 && minute <= 59 && second <= 59).then_some(hour * 3600 + minute * 60 + second)
    }
}

/// Year, month and day in the proleptic Gregorian calendar, by eras of 400 years that begin in
/// March.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + MARCH_0;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    (year_of_era + era * 400 + i64::from(month < 3), month as usize, day)
}

/// The other way round.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month < 3);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - MARCH_0
}

const WEEKDAYS: &[u8; 21] = b"SunMonTueWedThuFriSat";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAY: i64 = 86_400;
/// Days of 400 years.
const ERA: i64 = 146_097;
/// Days from March of the year 0 to 1970.
const MARCH_0: i64 = 719_468;
const YEAR_0: i64 = -62_167_219_200;
const YEAR_9999: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (YEAR_9999, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (YEAR_0, "Sat, 01 Jan 0000 00:00:00 GMT"),
        ] {
            let mut out = Vec::new();
            append(seconds, &mut out);
            assert_eq!(out.escape_ascii().to_string(), text);
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            append(extreme, &mut Vec::new());
        }
    }

    #[test]
    fn old_forms_are_read_and_others_are_not() {
        for (text, expected) in [
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun Nov 6 08:49:37 1994", Some(784_111_777)),
            ("x, 06 Nov 1994 08:49:37", Some(784_111_777)),
            ("Sunday, 06-Nov-69 08:49:37 GMT", Some(3_150_953_377)),
            ("Thu, 29 Feb 2023 00:00:00 GMT", None),
            ("Thu, 29 Feb 2100 00:00:00 GMT", None),
            ("Thu, 31 Apr 2023 00:00:00 GMT", None),
            ("Thu, 00 Apr 2023 00:00:00 GMT", None),
            ("Thu, 01 Jan 2023 24:00:00 GMT", None),
            ("Thu, 01 Jan 2023 00:60:00 GMT", None),
            ("Thu, 01 Jan 2023 00:00:60 GMT", None),
            ("Thu, 01 Foo 2023 00:00:00 GMT", None),
            ("Thu, 01-Jan 2023 00:00:00 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("Sun,", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }
}
