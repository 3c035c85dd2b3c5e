//! ngx_core_module and the events modules: processes, and how they wait.

use super::Takes::{Flag, Many, Milliseconds, Number, Offset, Once, OnceBlock, Word};
use super::Treatment::{Does, NoEffect, Refused};
use super::{
    AT_LEAST_ONE, EVENTS, EVERYWHERE, Family, HTTP, MAIN, NONE, ONE, ONE_OR_TWO, Opens, Row,
    TWO_OR_THREE, Treatment, row,
};

pub(super) const ROWS: &[Row] = &[
    row("daemon", MAIN, Flag, CORE),
    row("error_log", MAIN, Many(AT_LEAST_ONE), Does(Family::Core)),
    row("events", MAIN, OnceBlock(NONE, Opens::Context(EVENTS)), CORE),
    row("http", MAIN, OnceBlock(NONE, Opens::Context(HTTP)), CORE),
    row("include", EVERYWHERE, Many(ONE), CORE),
    row("master_process", MAIN, Flag, CORE),
    row("pid", MAIN, Once(ONE), CORE),
    row("user", MAIN, Once(ONE_OR_TWO), CORE),
    row("worker_processes", MAIN, Once(ONE), CORE),
    row("worker_rlimit_nofile", MAIN, Number, CORE),
    row("worker_shutdown_timeout", MAIN, Milliseconds, CORE),
    row(
        "working_directory",
        MAIN,
        Once(ONE),
        NoEffect("every path is whole, and the kernel says where core files go"),
    ),
    row("debug_points", MAIN, Word(&["stop", "abort"]), ONE_PROCESS),
    row("env", MAIN, Many(ONE), ENVIRONMENT),
    row("load_module", MAIN, Many(ONE), BUILT_IN),
    row("lock_file", MAIN, Once(ONE), ONE_PROCESS),
    row("pcre_jit", MAIN, Flag, NoEffect("regular expressions are compiled at load")),
    row(
        "ssl_engine",
        MAIN,
        Once(ONE),
        Refused("keys come from files: name the key file in ssl_certificate_key"),
    ),
    row(
        "ssl_object_cache_inheritable",
        MAIN,
        Flag,
        NoEffect("certificates are read anew when they change"),
    ),
    row("thread_pool", MAIN, Many(TWO_OR_THREE), ONE_PROCESS),
    row("timer_resolution", MAIN, Milliseconds, RING),
    row("worker_cpu_affinity", MAIN, Once(AT_LEAST_ONE), ONE_PROCESS),
    row("worker_priority", MAIN, Once(ONE), ONE_PROCESS),
    row("worker_rlimit_core", MAIN, Offset, ONE_PROCESS),
    row("google_perftools_profiles", MAIN, Once(ONE), NoEffect("sheen is profiled with perf")),
    row("worker_connections", EVENTS, Once(ONE), CORE),
    row("accept_mutex", EVENTS, Flag, RING),
    row("accept_mutex_delay", EVENTS, Milliseconds, RING),
    row("debug_connection", EVENTS, Many(ONE), NoEffect("sheen logs by level alone")),
    row("epoll_events", EVENTS, Number, RING),
    row("multi_accept", EVENTS, Flag, RING),
    row("use", EVENTS, Once(ONE), RING),
    row("worker_aio_requests", EVENTS, Number, RING),
];

const CORE: Treatment = Does(Family::Core);
const ONE_PROCESS: Treatment = NoEffect("sheen is one process with a thread per core");
const RING: Treatment = NoEffect("sheen waits on io_uring in its own way");
const BUILT_IN: Treatment = NoEffect("what sheen can do is built in");
const ENVIRONMENT: Treatment = NoEffect("sheen keeps its environment and hands it to nobody");
