//! `log_format`: lines of the access log, escaped as nginx does it.

use super::evaluate::Context;
use super::template::{Part, Template};
use super::variable::Registry;

/// A compiled format.
#[derive(Debug, Clone)]
pub struct LogFormat {
    template: Template,
    escape: Escape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// `\xHH`.
    Default,
    Json,
    None,
}

impl LogFormat {
    /// The arguments of `log_format` after its name.
    pub fn parse(arguments: &[&[u8]], registry: &mut Registry) -> Result<Self, String> {
        let (escape, texts) = match arguments {
            [first, texts @ ..] => match first.strip_prefix(b"escape=") {
                Some(b"default") => (Escape::Default, texts),
                Some(b"json") => (Escape::Json, texts),
                Some(b"none") => (Escape::None, texts),
                Some(other) => {
                    let other = other.escape_ascii();
                    return Err(format!("unknown log format escaping \"{other}\""));
                }
                None => (Escape::Default, arguments),
            },
            [] => return Err("invalid number of arguments in \"log_format\" directive".into()),
        };
        let template = Template::without_captures(&texts.concat(), registry)?;
        Ok(Self { template, escape })
    }

    /// The format `combined`, which is there without being defined.
    pub fn combined(registry: &mut Registry) -> Result<Self, String> {
        Self::parse(&[COMBINED], registry)
    }

    /// Appends a line without its end.
    pub fn append(&self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        for part in &self.template.parts {
            let Part::Variable(variable) = part else {
                if let Part::Text(text) = part {
                    out.extend_from_slice(text);
                }
                continue;
            };
            let mut value = context.state.lend();
            let found = context.variable(*variable, &mut value);
            match self.escape {
                Escape::Default if !found => out.push(b'-'),
                Escape::Default => append_default(&value, out),
                Escape::Json => append_json(&value, out),
                Escape::None => out.extend_from_slice(&value),
            }
            context.state.take_back(value);
        }
    }
}

fn append_default(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..=31 | 127.. => {
                let hex = |digit: u8| HEX[usize::from(digit)];
                out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
            }
            byte => out.push(*byte),
        }
    }
}

fn append_json(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            0..=31 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[b'0' + (byte >> 4), HEX[usize::from(byte & 15)]]);
                continue;
            }
            byte => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const COMBINED: &[u8] = b"$remote_addr - $remote_user [$time_local] \"$request\" $status \
    $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
