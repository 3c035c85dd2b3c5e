//! The process among other processes: background, pid file, privileges, upgrade, signals to it.

pub mod daemon;
pub mod pidfile;
pub mod privileges;
pub mod remote;
pub mod upgrade;
pub mod voice;
