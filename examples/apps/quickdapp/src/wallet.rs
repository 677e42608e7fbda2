//! Wallets: who has signed a text.
//!
//! A wallet is a pair of keys. Here it is ECDSA on P-256, which browsers and `ring` know; Ethereum uses
//! another curve. The address is a hash of the public key, so the server needs to know no key.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

/// The text that a wallet signs to sign in. It names the site, so that another site cannot use the signature here.
pub fn sign_in_text(origin: &str, address: &str, nonce: &str) -> String {
    format!("{origin} wants you to sign in with your wallet:\n{address}\n\nNonce: {nonce}")
}

/// Whether a text may be an address, in upper or lower case.
pub fn is_address(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns the address of the wallet that has signed the text, in lower case. None if none has.
pub fn signer(text: &str, public_key: &str, signature: &str) -> Option<String> {
    let (public_key, signature) = (bytes(public_key)?, bytes(signature)?);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public_key).verify(text.as_bytes(), &signature).ok()?;
    Some(address(&public_key))
}

/// The address of a public key, in lower case.
pub fn address(public_key: &[u8]) -> String {
    let hash = hash(public_key);
    // An address has 20 bytes: the last 40 digits, as with Ethereum.
    format!("0x{}", &hash[hash.len() - 40..])
}

/// The SHA-256 of some bytes, in hex.
pub fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Returns 32 random bytes, in hex. None if the system has none.
pub fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
