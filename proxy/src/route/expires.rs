//! `expires`: how long an answer stays fresh, as Expires and Cache-Control.

use super::evaluate::Context;
use super::facts::Now;
use super::template::Template;
use super::variable::Registry;
use crate::config::nginx::values;
use crate::files::date;

/// One `expires`, but for `off`.
#[derive(Debug, Clone)]
pub struct Expires {
    /// `modified`: counted from Last-Modified.
    modified: bool,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Fixed(When),
    /// With variables in it: read anew for every answer, and `off` where it can't be read.
    Variable(Template),
}

/// A value that has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Off,
    Epoch,
    Max,
    /// So many seconds from now, or from Last-Modified; may be negative.
    After(i64),
    /// At so many seconds after the next midnight of local time.
    Daily(i64),
}

/// The values of both fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    pub expires: Vec<u8>,
    pub cache_control: String,
}

fn refused(what: &str) -> String {
    format!("\"expires\" directive {what}")
}

impl Expires {
    /// The arguments; `None` for `off`. Errors are in nginx's words.
    pub fn parse(arguments: &[&[u8]], registry: &mut Registry) -> Result<Option<Self>, String> {
        let (modified, value) = match arguments {
            [value] => (false, *value),
            [b"modified", value] => (true, *value),
            _ => return Err(refused("invalid value")),
        };
        let template = Template::compile(value, registry)?;
        if template.as_text().is_none() {
            return Ok(Some(Self { modified, value: Value::Variable(template) }));
        }
        Ok(match When::parse(value, modified).map_err(|what| refused(&what))? {
            When::Off => None,
            when => Some(Self { modified, value: Value::Fixed(when) }),
        })
    }

    /// What an answer says; `last_modified` in seconds since 1970. `None` where a variable says
    /// `off`, or nothing that can be read.
    pub fn freshness(
        &self,
        last_modified: Option<i64>,
        context: &mut Context<'_>,
    ) -> Option<Freshness> {
        let when = match &self.value {
            Value::Fixed(when) => *when,
            Value::Variable(template) => {
                let mut value = context.state.lend();
                context.append(template, &mut value);
                let when = When::parse(&value, self.modified);
                context.state.take_back(value);
                when.ok()?
            }
        };
        let base = last_modified.filter(|_| self.modified);
        when.freshness(base, context.facts.now())
    }
}

impl When {
    fn parse(value: &[u8], modified: bool) -> Result<Self, String> {
        match value {
            b"epoch" if !modified => return Ok(Self::Epoch),
            b"max" if !modified => return Ok(Self::Max),
            b"off" if !modified => return Ok(Self::Off),
            _ => {}
        }
        let seconds = |time: &[u8]| {
            let time = values::seconds(time).and_then(|time| i64::try_from(time.as_secs()).ok());
            time.ok_or_else(|| "invalid value".to_owned())
        };
        match value {
            [b'@', ..] if modified => {
                Err("daily time cannot be used with \"modified\" parameter".into())
            }
            [b'@', time @ ..] => match seconds(time)? {
                time if time > DAY => Err("daily time value must be less than 24 hours".into()),
                time => Ok(Self::Daily(time)),
            },
            [b'-', time @ ..] => Ok(Self::After(-seconds(time)?)),
            [b'+', time @ ..] | time => Ok(Self::After(seconds(time)?)),
        }
    }

    /// `base`: what a time is counted from in the place of now.
    fn freshness(self, base: Option<i64>, now: Now) -> Option<Freshness> {
        let said = |expires: &[u8], cache_control: &str| {
            Some(Freshness { expires: expires.to_vec(), cache_control: cache_control.to_owned() })
        };
        let now_s = i64::try_from(now.unix_ms / 1000).unwrap_or(i64::MAX);
        let at = match self {
            Self::Off => return None,
            Self::Epoch => return said(b"Thu, 01 Jan 1970 00:00:01 GMT", "no-cache"),
            Self::Max => return said(b"Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000"),
            // Whatever the file's age, as in nginx.
            Self::After(0) => now_s,
            Self::After(seconds) => base.unwrap_or(now_s).saturating_add(seconds),
            Self::Daily(time) => {
                let offset = i64::from(now.offset_s);
                let midnight = (now_s + offset).div_euclid(DAY) * DAY - offset;
                let today = midnight + time;
                if today > now_s { today } else { today + DAY }
            }
        };
        let mut expires = Vec::with_capacity(29);
        date::append(at, &mut expires);
        let is_past = at < now_s || matches!(self, Self::After(..0));
        let cache_control =
            if is_past { "no-cache".to_owned() } else { format!("max-age={}", at - now_s) };
        Some(Freshness { expires, cache_control })
    }
}

const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37 UTC, in a zone one hour east of Greenwich.
    const NOW: Now = Now { unix_ms: 784_111_777_000, offset_s: 3600 };

    fn said(value: &str, base: Option<i64>) -> (String, String) {
        let when = When::parse(value.as_bytes(), base.is_some()).unwrap();
        let fresh = when.freshness(base, NOW).unwrap();
        (String::from_utf8(fresh.expires).unwrap(), fresh.cache_control)
    }

    #[test]
    fn every_form_says_when() {
        for (value, base, expires, cache_control) in [
            ("epoch", None, "Thu, 01 Jan 1970 00:00:01 GMT", "no-cache"),
            ("max", None, "Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000"),
            ("0", None, "Sun, 06 Nov 1994 08:49:37 GMT", "max-age=0"),
            ("1h", None, "Sun, 06 Nov 1994 09:49:37 GMT", "max-age=3600"),
            ("+30d", None, "Tue, 06 Dec 1994 08:49:37 GMT", "max-age=2592000"),
            ("-1", None, "Sun, 06 Nov 1994 08:49:36 GMT", "no-cache"),
            // 08:49 here is 09:49 there.
            ("@15h30m", None, "Sun, 06 Nov 1994 14:30:00 GMT", "max-age=20423"),
            ("@9h", None, "Mon, 07 Nov 1994 08:00:00 GMT", "max-age=83423"),
            ("1h", Some(784_111_777 - 1800), "Sun, 06 Nov 1994 09:19:37 GMT", "max-age=1800"),
            ("1h", Some(784_111_777 - 7200), "Sun, 06 Nov 1994 07:49:37 GMT", "no-cache"),
            ("0", Some(784_111_777 - 7200), "Sun, 06 Nov 1994 08:49:37 GMT", "max-age=0"),
        ] {
            assert_eq!(said(value, base), (expires.into(), cache_control.into()), "{value}");
        }
    }

    #[test]
    fn what_nginx_refuses_is_refused_in_its_words() {
        for (value, modified, words) in [
            ("never", false, "invalid value"),
            ("", false, "invalid value"),
            ("max", true, "invalid value"),
            ("@25h", false, "daily time value must be less than 24 hours"),
            ("@1h", true, "daily time cannot be used with \"modified\" parameter"),
        ] {
            assert_eq!(When::parse(value.as_bytes(), modified), Err(words.to_owned()), "{value}");
        }
        let mut registry = Registry::default();
        let words = Expires::parse(&[b"changed", b"1h"], &mut registry).unwrap_err();
        assert_eq!(words, "\"expires\" directive invalid value");
        let words = Expires::parse(&[b"@25h"], &mut registry).unwrap_err();
        assert!(words.starts_with("\"expires\" directive daily time"), "{words}");
        assert!(Expires::parse(&[b"off"], &mut registry).unwrap().is_none());
    }
}
