//! The benches: side by side with other proxies, and instruction counts.
#![allow(clippy::print_stdout, reason = "a bench speaks to whoever runs it")]

mod address;
mod cases;
mod changes;
mod chart;
mod compare;
mod configs;
mod counts;
mod floor;
mod histogram;
mod link;
mod load;
mod machine;
mod measure;
mod peers;
mod pki;
mod poll;
mod process;
mod repeat;
mod report;
mod root;
mod rules;
mod scaling;
mod spread;
mod talk;
mod targets;
mod upstream;
mod whole;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::address::Address;
use crate::compare::CompareArgs;
use crate::counts::CountsArgs;

/// As sheen has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Benches of sheen")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compare(CompareArgs),
    Counts(CountsArgs),
    /// Call one of the counted functions again and again
    Repeat {
        name: String,
        times: u64,
    },
    /// Run as a bare relay: neither TLS nor HTTP
    Floor {
        #[arg(long)]
        listen: SocketAddr,
        /// Where every request is redirected
        #[arg(long)]
        redirect: SocketAddr,
        /// ADDRESS:PORT or unix:/path
        #[arg(long)]
        to: Address,
    },
    /// Run as the app behind the proxies; prints its address
    Upstream {
        /// A path to listen at, too
        #[arg(long)]
        unix: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Counts(args) => counts::run(&args),
        Command::Repeat { name, times } => repeat::run(&name, times),
        Command::Floor { listen, redirect, to } => {
            floor::run(listen, redirect, to).map_err(|error| error.to_string())
        }
        Command::Upstream { unix } => serve(&unix).map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(unix: &Path) -> std::io::Result<()> {
    let (listeners, address) = upstream::bind(unix)?;
    println!("{address}");
    upstream::run(&listeners)
}
