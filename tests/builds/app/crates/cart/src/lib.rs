//! A library of the application's own.

/// Fails in the library.
pub fn load(id: u32) -> u32 {
    assert!(id > 1_000, "cart {id} is empty");
    id
}
