#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tcp_stream_muxer_fuzz::tls::tls(data));
