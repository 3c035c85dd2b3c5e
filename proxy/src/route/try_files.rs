//! `try_files`: the first of some files that exists, or where to go instead.

use super::template::Template;
use super::variable::Registry;

#[derive(Debug, Clone)]
pub struct TryFiles {
    pub(super) files: Box<[Candidate]>,
    pub(super) fallback: Fallback,
}

#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub name: Template,
    /// Written with a final `/`, which is not part of the name.
    pub is_directory: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Fallback {
    /// `=404`.
    Status(u16),
    /// A URI or a named location.
    Uri(Template),
}

impl TryFiles {
    /// The arguments of the directive, at least two.
    pub fn parse(arguments: &[&[u8]], registry: &mut Registry) -> Result<Self, String> {
        let [files @ .., last] = arguments else {
            return Err("invalid number of arguments in \"try_files\" directive".into());
        };
        if files.is_empty() {
            return Err("invalid number of arguments in \"try_files\" directive".into());
        }
        let fallback = match last.strip_prefix(b"=") {
            Some(code) => {
                let number = std::str::from_utf8(code).ok().filter(|_| !code.is_empty());
                let number = number.and_then(|code| code.parse().ok());
                let number = number.filter(|number: &u16| *number <= 999);
                let invalid = || format!("invalid code \"{}\"", last.escape_ascii());
                Fallback::Status(number.ok_or_else(invalid)?)
            }
            None => Fallback::Uri(Template::compile(last, registry)?),
        };
        let candidate = |file: &&[u8]| {
            let name = file.strip_suffix(b"/");
            let is_directory = name.is_some();
            let name = Template::compile(name.unwrap_or(file), registry)?;
            Ok(Candidate { name, is_directory })
        };
        let files = files.iter().map(candidate).collect::<Result<_, String>>()?;
        Ok(Self { files, fallback })
    }
}
