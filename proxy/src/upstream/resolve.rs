//! Names that variables make of an app's address (`resolver`), looked up while their request waits.
//!
//! The system's resolver blocks: one thread asks it for all workers, begun when the first name is
//! sought. What it said is kept by each worker for as long as `valid=` has it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::config::address::resolve_by_system;
use crate::config::{Resolving, Upstream, UpstreamAddress};
use crate::context::Worker;
use crate::fault::{Cause, Fault};
use crate::io::notify::{self, Ringer};
use crate::limits::{LOOKUPS_WAITING_MAX, NAMES_KNOWN_MAX};
use crate::stage::{Interrupt, Stage};

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sought {
    pub name: String,
    pub port: u16,
    pub how: Resolving,
}

/// What a worker knows.
#[derive(Debug, Default)]
pub struct Names(RefCell<HashMap<Sought, Known, RandomState>>);

#[derive(Debug)]
struct Known {
    upstream: Arc<Upstream>,
    until_ms: u64,
}

/// Where workers ask.
#[derive(Debug, Default)]
pub struct Desk(OnceLock<Option<SyncSender<Question>>>);

#[derive(Debug)]
struct Question {
    name: String,
    port: u16,
    answer: Arc<OnceLock<Answer>>,
    ringer: Ringer,
}

/// Or nginx's number and words for what went wrong.
type Answer = Result<Vec<SocketAddr>, &'static str>;

/// The addresses of a name. The inner error is for the error log, in nginx's words.
pub async fn look_up(
    worker: &Worker,
    sought: Sought,
) -> Result<Result<Arc<Upstream>, String>, Fault> {
    let now_ms = worker.registry.now_ms();
    if let Some(upstream) = worker.names.known(&sought, now_ms) {
        return Ok(Ok(upstream));
    }
    let answer = match ask(worker, &sought).await {
        Ok(answer) => answer,
        Err(Fault { cause: Cause::Interrupted(Interrupt::Deadline), .. }) => {
            Err("110: Operation timed out")
        }
        Err(fault) => return Err(fault),
    };
    let fits = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => sought.how.v4,
        SocketAddr::V6(_) => sought.how.v6,
    };
    let addresses = answer.map(|all| all.into_iter().filter(fits).map(UpstreamAddress::Tcp));
    let addresses = addresses.map(Iterator::collect::<Vec<_>>);
    let addresses = addresses.and_then(|all| if all.is_empty() { Err(NOT_FOUND) } else { Ok(all) });
    Ok(match addresses {
        Ok(addresses) => {
            let upstream = Arc::new(Upstream { name: sought.name.clone(), addresses });
            worker.names.learn(sought, upstream.clone(), now_ms);
            Ok(upstream)
        }
        Err(why) => Err(format!("{} could not be resolved ({why})", sought.name)),
    })
}

async fn ask(worker: &Worker, sought: &Sought) -> Result<Answer, Fault> {
    let Ok((ringer, bell)) = notify::pair() else { return Ok(Err(FAILED)) };
    let answer = Arc::new(OnceLock::new());
    let (name, port) = (sought.name.clone(), sought.port);
    if !worker.shared.desk.ask(Question { name, port, answer: answer.clone(), ringer }) {
        return Ok(Err(FAILED));
    }
    let Ok(bell) = bell.attach() else { return Ok(Err(FAILED)) };
    let watch = worker.registry.watch();
    watch.enter(Stage::ConnectUpstream, sought.how.timeout);
    let _ = watch.wait(pin!(bell.readable())).await?;
    Ok(answer.get().cloned().unwrap_or(Err(FAILED)))
}

impl Names {
    fn known(&self, sought: &Sought, now_ms: u64) -> Option<Arc<Upstream>> {
        let known = self.0.borrow();
        known
            .get(sought)
            .filter(|known| known.until_ms > now_ms)
            .map(|known| known.upstream.clone())
    }

    fn learn(&self, sought: Sought, upstream: Arc<Upstream>, now_ms: u64) {
        let mut all = self.0.borrow_mut();
        if all.len() >= NAMES_KNOWN_MAX {
            all.clear();
        }
        let valid_ms = u64::try_from(sought.how.valid.as_millis()).unwrap_or(u64::MAX);
        let until_ms = now_ms.saturating_add(valid_ms);
        all.insert(sought, Known { upstream, until_ms });
    }
}

impl Desk {
    /// False when too many wait already, or nobody could be put there.
    fn ask(&self, question: Question) -> bool {
        let begin = || -> io::Result<_> {
            let (sender, questions) = sync_channel(LOOKUPS_WAITING_MAX);
            let thread = thread::Builder::new().name("sheen-resolver".to_owned());
            thread.spawn(move || answer(&questions))?;
            Ok(sender)
        };
        let desk = self.0.get_or_init(|| begin().ok());
        desk.as_ref().is_some_and(|desk| desk.try_send(question).is_ok())
    }
}

/// Answers until no worker can ask any more.
fn answer(questions: &Receiver<Question>) {
    // Requests that came while one was answered ask for the same.
    let mut just_said: HashMap<(String, u16), (Instant, Answer)> = HashMap::new();
    for Question { name, port, answer, ringer } in questions {
        just_said.retain(|_, (when, _)| when.elapsed() < JUST_NOW);
        let (_, said) = just_said.entry((name, port)).or_insert_with_key(|(name, port)| {
            let said = resolve_by_system(name, *port).map_err(|error| words(&error));
            (Instant::now(), said)
        });
        let _ = answer.set(said.clone());
        ringer.ring();
    }
}

/// The system has no numbers for these, but words.
fn words(error: &io::Error) -> &'static str {
    if error.to_string().contains("Temporary failure") { FAILED } else { NOT_FOUND }
}

const FAILED: &str = "2: Server failure";
const NOT_FOUND: &str = "3: Host not found";
const JUST_NOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn sought(name: &str, valid_s: u64) -> Sought {
        let valid = Duration::from_secs(valid_s);
        let how = Resolving { v4: true, v6: true, valid, timeout: Duration::from_secs(30) };
        Sought { name: name.to_owned(), port: 80, how }
    }

    #[test]
    fn names_are_known_for_a_time_and_not_without_bound() {
        let names = Names::default();
        let upstream = Arc::new(Upstream { name: "a".to_owned(), addresses: Vec::new() });
        names.learn(sought("a", 2), upstream.clone(), 1000);
        assert!(names.known(&sought("a", 2), 2999).is_some());
        assert!(names.known(&sought("a", 2), 3000).is_none(), "its time is up");
        assert!(names.known(&sought("b", 2), 1000).is_none());
        for number in 0..2 * NAMES_KNOWN_MAX {
            names.learn(sought(&number.to_string(), 2), upstream.clone(), 1000);
            assert!(names.0.borrow().len() <= NAMES_KNOWN_MAX);
        }
    }

    #[test]
    fn who_cannot_wait_is_told_so() {
        let (sender, questions) = sync_channel(1);
        let desk = Desk(OnceLock::from(Some(sender)));
        let question = || Question {
            name: "a".to_owned(),
            port: 80,
            answer: Arc::default(),
            ringer: notify::pair().unwrap().0,
        };
        assert!(desk.ask(question()));
        assert!(!desk.ask(question()), "one waits, and that is all");
        drop(questions);
        assert!(!desk.ask(question()), "nobody is there");
    }
}
