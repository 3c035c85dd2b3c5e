//! A request on its way through servers as nginx.conf has them: `plan` decides what is to be done,
//! `content` asks its location for it, `request` writes what the app gets, `answer` what the client
//! gets of it, `own` what we say ourselves, `files` what is on the disk, `accel` what an app has left
//! to us, `log` what is kept of it; `ongoing` is what lives on between these steps. Before all of them
//! `certificate` chooses for the handshake.

mod accel;
pub mod answer;
pub mod certificate;
mod content;
mod files;
mod log;
mod ongoing;
mod own;
mod plan;
mod request;

pub use accel::follow;
pub use content::probe;
pub use files::Complaint;
pub use ongoing::{Ongoing, Rest, Seen, Spare};
pub use plan::{Arrived, Begun, Deed, Left, begin, fail, last_words, refused};
