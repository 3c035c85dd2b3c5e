//! A configuration in the making: each value right in itself, their relations not yet checked.

use std::collections::HashMap;
use std::path::PathBuf;

use ipnet::IpNet;

use super::listen::Listeners;
use super::raw::Place;
use super::{
    AccessFormat, App, CertificateFiles, Ktls, Level, LogConfig, LogTarget, PlainHttp, Process,
    Protocols, Runtime, Upstream,
};
use crate::limits::Limits;

/// A key whose absence is itself checked.
#[derive(Debug, Default)]
pub(crate) enum Given<T> {
    #[default]
    Missing,
    /// Written, but wrong, which has been reported.
    Wrong,
    Right(T),
}

/// Where each key of one table was written.
pub(crate) type Written = HashMap<&'static str, Place>;

/// A whole file, each value right in itself.
#[derive(Debug)]
pub(crate) struct Draft {
    /// `None`: auto.
    pub(crate) workers: Option<usize>,
    pub(crate) runtime: Runtime,
    pub(crate) process: Process,
    pub(crate) group: Option<String>,
    /// Where each key of the top level was written.
    pub(crate) written: Written,
    pub(crate) https: Listeners,
    pub(crate) http: Listeners,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) protocols: Protocols,
    pub(crate) ktls: Ktls,
    pub(crate) log: LogConfig,
    pub(crate) limits: Limits,
    pub(crate) limits_written: Written,
    pub(crate) timeouts_written: Written,
    pub(crate) sites: Vec<SiteDraft>,
    /// True exactly when `site` is written, right or wrong.
    pub(crate) sites_written: bool,
}

#[derive(Debug)]
pub(crate) struct SiteDraft {
    pub(crate) place: Place,
    pub(crate) written: Written,
    pub(crate) names: Vec<(Place, String)>,
    /// True exactly when there are names that are wrong.
    pub(crate) names_refused: bool,
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) app: App,
    pub(crate) hsts: Option<String>,
    pub(crate) http: PlainHttp,
    pub(crate) acme_webroot: Option<PathBuf>,
    pub(crate) to: Given<Upstream>,
    pub(crate) locations: Vec<LocationDraft>,
}

#[derive(Debug)]
pub(crate) struct LocationDraft {
    pub(crate) place: Place,
    pub(crate) written: Written,
    pub(crate) prefix: Given<String>,
    pub(crate) strip_prefix: bool,
    /// `None`: as the site.
    pub(crate) app: Option<App>,
    pub(crate) to: Given<Upstream>,
}

/// One certificate of a site.
#[derive(Debug, Default)]
pub(crate) struct CertificateDraft {
    pub(crate) cert: Given<PathBuf>,
    pub(crate) key: Given<PathBuf>,
}

impl<T> Given<T> {
    /// Of a key that is written; `None` if its value is wrong.
    pub(crate) fn read(value: Option<T>) -> Self {
        value.map_or(Self::Wrong, Self::Right)
    }
}

impl Draft {
    /// Every key at its default.
    pub(crate) fn new(https: Listeners, http: Listeners) -> Self {
        Self {
            workers: None,
            runtime: Runtime::Auto,
            process: Process::default(),
            group: None,
            written: Written::new(),
            https,
            http,
            trusted_proxies: Vec::new(),
            protocols: Protocols { tls12: true, tls13: true },
            ktls: Ktls::Off,
            log: LogConfig {
                access: [LogTarget::Stdout].into(),
                format: AccessFormat::Combined,
                error: LogTarget::Stderr,
                level: Level::Info,
            },
            limits: Limits::default(),
            limits_written: Written::new(),
            timeouts_written: Written::new(),
            sites: Vec::new(),
            sites_written: false,
        }
    }
}

impl SiteDraft {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            written: Written::new(),
            names: Vec::new(),
            names_refused: false,
            certificates: Vec::new(),
            app: App::Shiny,
            hsts: None,
            http: PlainHttp::Redirect301,
            acme_webroot: None,
            to: Given::Missing,
            locations: Vec::new(),
        }
    }
}

impl LocationDraft {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            written: Written::new(),
            prefix: Given::Missing,
            strip_prefix: false,
            app: None,
            to: Given::Missing,
        }
    }
}
