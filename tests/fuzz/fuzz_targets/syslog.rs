//! `sheen_tests::fuzz::syslog` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sheen_tests::fuzz::syslog(bytes));
