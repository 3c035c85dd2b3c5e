//! The real nginx of this machine, for tests that compare.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::{port, wait};

/// A running nginx; it ends with the value.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    pub port: u16,
    folder: TempDir,
}

/// Whether there is one.
pub fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

impl Nginx {
    /// Runs `http`, the inside of an http block in which `PORT` stands for the port it listens on
    /// and `ROOT` for its folder, whose `files` are written before.
    pub fn start(http: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), files);
        // The port may be taken between two binds: then the next is tried.
        for _ in 0..8 {
            let port = port::free();
            let root = folder.path().display();
            let http = http.replace("PORT", &port.to_string()).replace("ROOT", &root.to_string());
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|name| format!("{name}_temp_path {root}/{name};\n"))
                .collect();
            let conf = format!(
                "master_process off; daemon off; pid {root}/pid; error_log {root}/error.log;\n\
                 events {{ worker_connections 256; }}\n\
                 http {{ access_log off; default_type text/plain; {temporary} {http} }}\n"
            );
            fs::write(folder.path().join("nginx.conf"), conf).unwrap();
            let mut process = Command::new(PROGRAM)
                .args(["-p", &root.to_string(), "-c", &format!("{root}/nginx.conf")])
                .args(["-e", &format!("{root}/error.log")])
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let up = wait::holds_within(wait::DEADLINE, || {
                TcpStream::connect(("127.0.0.1", port)).is_ok()
                    || process.try_wait().unwrap().is_some()
            });
            if up && process.try_wait().unwrap().is_none() {
                return Self { process, port, folder };
            }
            let _ = process.kill();
            let _ = process.wait();
            let log = fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
            assert!(!log.contains("[emerg]") || log.contains("bind()"), "{log}");
        }
        panic!("nginx does not start");
    }

    /// What it answers to raw bytes, to the end of the connection.
    pub fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

const PROGRAM: &str = "/usr/sbin/nginx";
