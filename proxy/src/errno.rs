//! Errors of the system in nginx's words: `2: No such file or directory`.

use std::io;
use std::path::Path;

/// What is said of a file that can't be opened.
pub fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("open() \"{}\" failed ({})", path.display(), words(error))
}

pub fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let suffix = format!(" (os error {number})");
            format!("{number}: {}", text.strip_suffix(&suffix).unwrap_or(&text))
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_as_nginx_does() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(words(&error), "2: No such file or directory");
        assert_eq!(words(&io::Error::other("no number")), "no number");
    }
}
