//! What a client and an app saw of one connection, in a form that can be compared.
//!
//! Left out: reasons behind a status, which nobody reads; the version and the connection's fields
//! towards the app; how an answer's body is framed. Bodies are compared without their framing.

use sheen_tests::message::{self, Ended, Framing, Head, Source};
use sheen_tests::upstream;

use crate::scenario::Request;

/// Both ends of one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What the client got.
    pub(crate) answers: Vec<Message>,
    /// What the app was asked.
    pub(crate) asked: Vec<Message>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// A status, or a method and a target.
    pub(crate) line: String,
    /// In the order of their names, which are in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// Names of its trailer section.
    pub(crate) trailers: Vec<String>,
}

impl Message {
    pub(crate) fn asked(request: &upstream::Request) -> Self {
        let line = request.head.line.rsplit_once(' ').map_or("", |(line, _)| line);
        Self::new(line, &request.head, &request.body, &request.trailers)
    }

    fn new(line: &str, head: &Head, body: &[u8], trailers: &[(String, String)]) -> Self {
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
        let mut fields: Vec<_> = head.fields.iter().map(lower).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            line: line.to_owned(),
            fields,
            body: String::from_utf8_lossy(body).into_owned(),
            trailers: trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect(),
        }
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Takes all fields of this name out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.retain(|(field, _)| field != name);
    }

    fn replace(&mut self, what: &str, with: &str) {
        for text in [&mut self.line, &mut self.body] {
            *text = text.replace(what, with);
        }
        for (_, value) in &mut self.fields {
            *value = value.replace(what, with);
        }
    }
}

impl Seen {
    /// Reads answers until the connection ends, or one where the client keeps it open.
    pub(crate) fn read(request: &Request, source: &mut impl Source) -> Self {
        let mut seen = Self::default();
        let mut methods = request.methods().into_iter();
        let mut method = methods.next().unwrap_or_default();
        while let Some(answer) = read_answer(source, &method) {
            let is_final = !answer.line.starts_with('1') || answer.line == "101";
            seen.answers.push(answer);
            if is_final {
                method = methods.next().unwrap_or_default();
            }
            if is_final && !request.to_end {
                break;
            }
        }
        seen
    }

    /// Gives what is different by nature one name.
    pub(crate) fn replace(&mut self, what: &str, with: &str) {
        self.answers.iter_mut().chain(&mut self.asked).for_each(|it| it.replace(what, with));
    }
}

fn read_answer(source: &mut impl Source, method: &str) -> Option<Message> {
    let head = match message::read_head(source) {
        Ok(head) => head?,
        Err(Ended(left)) => {
            let body = String::from_utf8_lossy(&left).into_owned();
            return Some(Message { line: "no head".into(), body, ..Message::default() });
        }
    };
    let status = head.line.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_number = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let framing = match (is_number, &*status) {
        (false, _) | (_, "101") => Framing::UntilClose,
        _ => head.answer_framing(method),
    };
    Some(match message::read_body(source, framing) {
        Ok((body, trailers)) => Message::new(&status, &head, &body, &trailers),
        Err(Ended(part)) => {
            let body = [b"(cut) ", &*part].concat();
            Message::new(&status, &head, &body, &[])
        }
    })
}
