//! Expanded keys, kept by a worker for the connections that are busy.
//!
//! aws-lc expands a key into 0.6 KiB of tables, which takes a quarter of a microsecond. An idle
//! WebSocket needs none, so they belong to the worker and not to the connection: a table of places, in
//! which whoever needs one takes the place of whoever had it before.

use std::cell::{Cell, RefCell};

use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::error::Unspecified;

use crate::limits::KEY_CONTEXTS_MAX;

thread_local! {
    static CONTEXTS: RefCell<Vec<Option<(u64, LessSafeKey)>>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// The name under which this worker keeps the expanded form of one key. No two keys have the same one.
#[derive(Debug)]
pub(super) struct Context {
    number: u64,
}

impl Context {
    pub(super) fn new() -> Self {
        let number = NEXT.get();
        NEXT.set(number + 1);
        Self { number }
    }

    fn place(&self) -> usize {
        (self.number % KEY_CONTEXTS_MAX as u64) as usize
    }

    /// Works with the expanded key, which `expand` makes where it is not at hand.
    pub(super) fn with<R>(
        &self,
        expand: impl FnOnce() -> Result<LessSafeKey, Unspecified>,
        work: impl FnOnce(&LessSafeKey) -> Result<R, Unspecified>,
    ) -> Result<R, Unspecified> {
        CONTEXTS.with_borrow_mut(|contexts| {
            let place = self.place();
            if contexts.len() <= place {
                contexts.resize_with(place + 1, || None);
            }
            match &mut contexts[place] {
                Some((number, key)) if *number == self.number => work(key),
                other => work(&other.insert((self.number, expand()?)).1),
            }
        })
    }
}

/// aws-lc wipes what it frees.
impl Drop for Context {
    fn drop(&mut self) {
        // A thread that ends may drop a connection after its locals are gone.
        let _ = CONTEXTS.try_with(|contexts| {
            let mut contexts = contexts.borrow_mut();
            if let Some(place) = contexts.get_mut(self.place())
                && matches!(place, Some((number, _)) if *number == self.number)
            {
                *place = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_128_GCM, Aad, Nonce, UnboundKey};

    use super::*;

    fn key(byte: u8) -> Result<LessSafeKey, Unspecified> {
        Ok(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[byte; 16])?))
    }

    /// A tag that tells keys apart.
    fn tag(key: &LessSafeKey) -> Result<Vec<u8>, Unspecified> {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        Ok(key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut [])?.as_ref().to_vec())
    }

    fn unneeded() -> Result<LessSafeKey, Unspecified> {
        panic!("it is at hand")
    }

    #[test]
    fn a_key_is_expanded_once_and_again_when_another_has_taken_its_place() {
        let first = Context::new();
        let own = first.with(|| key(1), tag).unwrap();
        assert_eq!(first.with(unneeded, tag).unwrap(), own);
        let between: Vec<Context> = (1..KEY_CONTEXTS_MAX).map(|_| Context::new()).collect();
        let rival = Context::new();
        assert_eq!(rival.place(), first.place());
        assert_ne!(rival.with(|| key(2), tag).unwrap(), own);
        assert_eq!(first.with(|| key(1), tag).unwrap(), own);
        assert_ne!(rival.with(|| key(2), tag).unwrap(), own);
        drop((first, between));
        rival.with(unneeded, tag).unwrap();
    }

    #[test]
    fn a_key_that_is_gone_leaves_nothing_behind() {
        let context = Context::new();
        let place = context.place();
        context.with(|| key(1), tag).unwrap();
        assert!(CONTEXTS.with_borrow(|contexts| contexts[place].is_some()));
        drop(context);
        assert!(CONTEXTS.with_borrow(|contexts| contexts[place].is_none()));
    }
}
