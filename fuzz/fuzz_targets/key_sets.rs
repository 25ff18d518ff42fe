//! See `src/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_service::fuzz::key_sets(bytes));
