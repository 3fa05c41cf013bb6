#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| mercury_fuzz::manifest::check(text));
