//! Stands for the chain: a real one would be called over the network.

use std::fmt;

use crate::wallet;

/// The number of the chain, which is that of local chains.
pub const ID: u64 = 31337;

/// Deploys a token, and returns the address of its contract.
///
/// # Errors
///
/// The chain accepts symbols of at most 8 letters.
pub async fn deploy(owner: &str, symbol: &str) -> Result<String, ChainError> {
    tokio::task::yield_now().await;
    let length = symbol.chars().count();
    if length > 8 {
        return Err(ChainError::SymbolTooLong { length });
    }
    Ok(wallet::address(format!("{owner} {symbol}").as_bytes()))
}

/// Why the chain has refused something.
#[derive(Debug)]
pub enum ChainError {
    /// The symbol has more than 8 letters.
    SymbolTooLong {
        /// The number of letters.
        length: usize,
    },
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SymbolTooLong { length } => write!(f, "a symbol has at most 8 letters, this one has {length}"),
        }
    }
}

impl std::error::Error for ChainError {}
