#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mercury_fuzz::result::check(bytes));
