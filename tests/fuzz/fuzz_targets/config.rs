//! `sheen_tests::fuzz::config` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sheen_tests::fuzz::config(bytes));
