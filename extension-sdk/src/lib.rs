//! What a native extension of bootc-image is written with.
#[allow(unsafe_code)]
pub mod abi;
