//! Signature checks with public keys. Everybody has them: they touch nothing.

mod host;

use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

/// The largest exponent of a key that is taken, in bytes; all that are in use have three. A large one
/// would make each check slow.
const MOST_EXPONENT: usize = 5;
/// The largest modulus, in bytes: 8,192 bits. One of megabytes would be worked on before it is refused.
const MOST_MODULUS: usize = 1 << 10;

/// Whether `signature` (64 bytes) is one of `message` by the key (32 bytes; RFC 8032).
pub fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    key.len() == 32 && UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// Whether `signature` is an RS256 one of `message` (RFC 7518, 3.3) by a key of 2,048 to 8,192 bits.
pub fn rsa_sha256(modulus: &[u8], exponent: &[u8], message: &[u8], signature: &[u8]) -> bool {
    // A JWK has no leading zeros (RFC 7518 section 2, Base64urlUInt), some libraries add one.
    let (n, e) = (without_zeros(modulus), without_zeros(exponent));
    !e.is_empty()
        && e.len() <= MOST_EXPONENT
        && n.len() <= MOST_MODULUS
        && RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests;
