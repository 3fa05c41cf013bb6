//! Signatures of webhooks: what was signed is known, and nothing else is taken for it.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use mercury::plugins::signatures::{ed25519, rsa_sha256};

/// The first bytes are a key and a place to change, the rest is the message.
///
/// # Panics
/// Where a changed text, key or signature passes.
pub fn check(bytes: &[u8]) {
    // Whatever is given as a key: at most it is refused.
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let (modulus, exponent) = head.split_at(head.len().saturating_sub(3));
    assert!(!rsa_sha256(modulus, exponent, head, tail));
    assert!(!ed25519(head, head, tail) || head.len() == 32 && tail.len() == 64);

    let Some((seed, rest)) = bytes.split_first_chunk::<32>() else { return };
    let Some((place, message)) = rest.split_first_chunk::<2>() else { return };
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
    let signature = pair.sign(message);
    let (key, signature) = (pair.public_key().as_ref(), signature.as_ref());
    assert!(ed25519(key, message, signature));

    let bit = usize::from(u16::from_le_bytes(*place));
    for which in 0..3 {
        let mut parts = [key.to_vec(), message.to_vec(), signature.to_vec()];
        let part = &mut parts[which];
        if part.is_empty() {
            continue;
        }
        let at = bit / 8 % part.len();
        part[at] ^= 1 << (bit % 8);
        let [key, message, signature] = &parts;
        assert!(!ed25519(key, message, signature), "a changed bit passes");
    }
    for cut in [&signature[1..], &[signature, &[0]].concat()] {
        assert!(!ed25519(key, message, cut));
    }
}
