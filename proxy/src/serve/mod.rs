//! A request on its way through servers as nginx.conf has them: `plan` decides what is to be done,
//! `request` writes what the app gets, `answer` what the client gets of it, `own` what we say
//! ourselves, `log` what is kept of it; `ongoing` is what lives on between these steps. Before all
//! of them `certificate` chooses for the handshake.

pub mod answer;
pub mod certificate;
mod log;
mod ongoing;
mod own;
mod plan;
mod request;

pub use ongoing::{Ongoing, Seen};
pub use plan::{Arrived, Begun, Deed, begin, fail, probe};
