//! A large body on its way by the kernel alone: the app's socket, a pipe, the client's socket,
//! whose TLS the kernel does.
//!
//! Exactly what is left of the body is moved, so the app's connection stays in order. What is held
//! in between is what the pipe holds.

use std::pin::pin;

use crate::fault::{Cause, Fault};
use crate::io::splice::Pipe;
use crate::limits::RECORD_BYTES_MAX;
use crate::relay::{Half, Turn};

/// Moves the body to its end. The head, and what has come of the body, have gone before.
pub async fn run(half: &mut Half<'_>, pipe: &mut Pipe) -> Result<(), Fault> {
    let mut turn = Turn::default();
    loop {
        let left = half.body.left();
        if left == 0 {
            return Ok(());
        }
        let to_come = left - pipe.held() as u64;
        let filled = fill(half, pipe, to_come)?;
        if filled == Filled::End {
            // What has come belongs to the client all the same.
            drain(half, pipe, pipe.held()).await?;
            return Err(half.fault(Cause::Closed));
        }
        if pipe.held() == 0 {
            half.from.watch.enter(half.stage, half.limit_now());
            let gone = || half.heeds_client && half.to.peer_closed();
            // An error of the readiness itself shows again, in words, at the next fill.
            let _ = half.from.watch.wait_unless(pin!(half.from.readable()), gone).await?;
            continue;
        }
        // Full records as long as more comes at once; the rest when there is nothing.
        let whole = pipe.held() - pipe.held() % RECORD_BYTES_MAX;
        match (filled, whole) {
            (Filled::Some, 0) => continue,
            (Filled::Some, whole) => drain(half, pipe, whole).await?,
            (Filled::Nothing | Filled::End, _) => drain(half, pipe, pipe.held()).await?,
        }
        turn.piece().await;
    }
}

/// What the app had for the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Some,
    /// Nothing now, or there is no room.
    Nothing,
    /// The app has ended its stream.
    End,
}

fn fill(half: &Half<'_>, pipe: &mut Pipe, to_come: u64) -> Result<Filled, Fault> {
    if to_come == 0 || pipe.is_full() {
        return Ok(Filled::Nothing);
    }
    let bytes = usize::try_from(to_come).unwrap_or(usize::MAX).min(FILL_BYTES_MAX);
    Ok(match half.from.fill(pipe, bytes)? {
        Some(0) => Filled::End,
        Some(_) => Filled::Some,
        None => Filled::Nothing,
    })
}

async fn drain(half: &mut Half<'_>, pipe: &mut Pipe, mut bytes: usize) -> Result<(), Fault> {
    while bytes > 0 {
        match half.to.drain(pipe, bytes)? {
            Some(moved) => {
                bytes -= moved;
                half.body.went_by(moved as u64);
            }
            None => half.to.writable().await?,
        }
    }
    Ok(())
}

/// splice(2) takes no more at a time.
const FILL_BYTES_MAX: usize = 1 << 30;
