//! Sets the linker up for an addon. Without the `binding` feature there is nothing to set up.

fn main() {
    #[cfg(feature = "binding")]
    {
        napi_build::setup();
        // The runtime's thread outlives every JS thread: a library unmapped under it would crash the process.
        if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}
