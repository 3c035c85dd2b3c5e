//! nginx.conf: the language, what may be said in it, and what was said.
//!
//! Read in this order: `lex` (words), [`tree`] (directives and blocks), [`table`] (what every
//! directive is), `check` (the tree against the table), with `rules`, [`values`] and [`address`] for
//! the arguments, `levels` for what follows from several of them, `include` for files and `hint` for
//! what to do; then [`lower`], which makes what runs of it.

use std::path::{Path, PathBuf};

use super::Problem;
use super::native::Loaded;
use check::Check;

pub mod address;
mod check;
mod hint;
mod include;
mod levels;
mod lex;
pub mod lower;
mod rules;
mod syslog;
pub mod table;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod values;

pub use lex::Word;
#[doc(hidden)]
pub use syslog::fuzz as fuzz_syslog;
pub use tree::{Directive, Source, Tree};

/// What the command line says about a configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// `-p`: logs, roots and relative paths of most directives are relative to it.
    pub prefix: PathBuf,
    /// The folder of the configuration file: includes are relative to it.
    pub conf_prefix: PathBuf,
    /// `-g`, in their order.
    pub globals: Vec<String>,
    /// `-e`: the error log of a file that names none.
    pub error_log: Option<String>,
}

/// Reads the text of a file and all it includes. Everything that is wrong is reported at once, in
/// the order in which nginx would come upon it.
pub fn read(path: &Path, text: Vec<u8>, options: &Options) -> Result<Tree, Vec<Problem>> {
    let tree = Check::new(options).run(path, text)?;
    if tree.refused.is_empty() { Ok(tree) } else { Err(tree.refused) }
}

/// Reads, and makes what runs of it. Where directives are refused by name, what is wrong with the
/// rest is reported with them.
pub fn load(path: &Path, text: Vec<u8>, options: &Options) -> Result<Loaded, Vec<Problem>> {
    let tree = Check::new(options).run(path, text)?;
    lower::lower(&tree, options)
}

/// For the fuzzer: any text is read, printed, read again and checked, and no file is opened.
#[doc(hidden)]
pub fn fuzz(text: &[u8]) {
    tree::fuzz_print(text);
    let folder = PathBuf::from("/nonexistent");
    let options = Options {
        prefix: folder.clone(),
        conf_prefix: folder,
        globals: Vec::new(),
        error_log: None,
    };
    for problem in Check::new(&options).run_text(text) {
        assert!(!problem.what.is_empty() && !problem.file.is_empty(), "{problem:?}");
    }
}
