//! No allocation on the request path: what ARCHITECTURE.md promises, counted.
#![allow(unsafe_code, reason = "a global allocator is unsafe by its signature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bench::{fixtures, hot};
use sheen::buf::Buf;
use sheen::redirect::Redirect;

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came; counting allocates nothing,
// and a thread that ends only stops counting.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of one call, after some that warm what is kept.
fn allocations(mut call: impl FnMut()) -> usize {
    (0..3).for_each(|_| call());
    let before = COUNT.get();
    call();
    COUNT.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(vec![1u8; 10])), 1);
}

#[test]
fn a_redirect_allocates_nothing() {
    let redirect = Redirect::new(8443);
    let answer = || assert!(hot::redirect_parts(&redirect, &fixtures::LOCATION) > 100);
    assert_eq!(allocations(answer), 0);
}

#[test]
fn a_request_on_a_kept_connection_allocates_nothing() {
    let snapshot = fixtures::snapshot();
    for tls in [true, false] {
        let context = fixtures::context(&snapshot, tls);
        let mut planning = fixtures::Planning::default();
        let count = allocations(|| assert!(planning.again(&context).is_some()));
        assert_eq!(count, 0, "tls: {tls}");
    }
}

#[test]
fn an_answer_allocates_nothing() {
    let (mut buf, mut scratch) = (Buf::new(), Vec::new());
    let count = allocations(|| {
        buf.clear();
        buf.extend(fixtures::ANSWER);
        buf.extend(b"body");
        hot::translate_answer(&mut buf, fixtures::ANSWER.len(), fixtures::HSTS, &mut scratch);
        assert!(buf.data().ends_with(b"\r\n\r\nbody"));
    });
    assert_eq!(count, 0);
}

#[test]
fn a_certificate_is_found_without_allocating() {
    let set = fixtures::set(100);
    let find = |name| assert!(hot::select_certificate(&set, name, fixtures::SCHEMES));
    assert_eq!(allocations(|| find("site-7.example")), 0);
    assert_eq!(allocations(|| find("nobody.example")), 0);
}
