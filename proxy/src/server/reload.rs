//! Another configuration for a process that runs.

use std::sync::Arc;

use super::{Reload, Server, texts};
use crate::config::native::Loaded;
use crate::config::{Config, Level};
use crate::life::pidfile::PidFile;
use crate::life::voice::{self, Voice};
use crate::listeners::{self, Active, Known};
use crate::log::Log;
use crate::prepare;

impl Server {
    /// All or nothing: what can fail is done before anything changes (invariant 7).
    pub(super) fn reload(&mut self, reload: &Reload) {
        let privileges = self.privileges;
        match privileges.raised(|| self.try_reload(reload)) {
            Ok(notes) => {
                notes.iter().for_each(|(level, note)| self.voice.say(*level, note));
                self.say("configuration reloaded");
            }
            Err(problems) => {
                problems.iter().for_each(|problem| self.voice.say(Level::Emerg, problem));
                self.say("configuration kept: the new one has problems");
            }
        }
    }

    fn try_reload(&mut self, reload: &Reload) -> Result<Vec<(Level, String)>, Vec<String>> {
        let Loaded { config, warnings } = reload().map_err(|problems| texts(&problems))?;
        let mut notes = Vec::new();
        let one = |problem: String| vec![problem];
        let sources =
            prepare::sources(&config, &mut notes).map_err(|problem| one(problem.to_string()))?;
        let known = Known { active: self.listeners.clone(), inherited: Vec::new() };
        let workers = self.workers;
        let listeners = listeners::bind_all(
            &config.listeners,
            workers,
            1,
            known,
            &mut self.next_key,
            &mut notes,
        )?;
        let is_new = |new: &Active| !self.listeners.iter().any(|old| old.key == new.key);
        let hands = listeners::deal(&listeners, workers, is_new)
            .map_err(|error| one(format!("can't hand out sockets: {error}")))?;
        let offload = prepare::offload(&config, &mut notes).map_err(one)?;
        let logs = Log::prepare(&config.log).map_err(|error| one(error.to_string()))?;
        let moved = self.moved_pid_file(&config).map_err(one)?;
        let report = match self.store.replace_sources(sources) {
            Ok(report) => report,
            Err(problems) => {
                if let Some(file) = moved {
                    file.remove();
                }
                return Err(texts(&problems));
            }
        };
        notes.extend(listeners.iter().filter(|l| is_new(l)).map(Active::words));
        let mut notes: Vec<_> = notes.into_iter().map(|note| (Level::Notice, note)).collect();
        notes.extend(warnings.iter().map(|warning| (Level::Warn, warning.to_string())));
        let fixed = |c: &Config| {
            let process = &c.process;
            (c.workers, c.runtime, process.daemon, process.user.clone(), process.files)
        };
        if fixed(&config) != fixed(&self.config) {
            let words =
                "workers, runtime, daemon, user and worker_rlimit_nofile change at the next start";
            notes.push((Level::Warn, words.to_owned()));
        }
        let snapshot = prepare::snapshot(&config, &self.store, &self.ticketer, &listeners, offload);
        // Before requests can name logs that are new.
        self.log.replace(logs);
        self.shared.snapshot.store(Arc::new(snapshot));
        prepare::set_admission(&self.shared.admission, &config.limits);
        if let Some(new) = moved
            && let Some(old) = self.pid_file.replace(new)
        {
            old.remove();
        }
        let stays = |old: &Active| listeners.iter().any(|new| new.address == old.address);
        self.listeners.iter().filter(|old| !stays(old)).for_each(Active::unlink);
        self.listeners = listeners;
        let daemon = self.config.process.daemon;
        self.config = config;
        self.config.process.daemon = daemon;
        let handle = self.log.handle();
        self.voice = Voice::new(handle.clone(), &self.config.log, !daemon);
        self.crew.log_to(&handle);
        self.crew.hand_out(hands);
        voice::say_report(&handle, &report);
        self.watch.rescan();
        Ok(notes)
    }

    /// The pid file of a configuration that has it elsewhere. During an upgrade it stays where the
    /// other process looks for it.
    fn moved_pid_file(&self, config: &Config) -> Result<Option<PidFile>, String> {
        let now = self.pid_file.as_ref().map(PidFile::path);
        match config.process.pid.as_deref() {
            Some(path) if Some(path) != now && self.heir.is_none() => {
                PidFile::write(path).map(Some)
            }
            _ => Ok(None),
        }
    }
}
