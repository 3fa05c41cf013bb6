use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// RFC 8032 section 7.1, tests 1 to 3.
#[test]
fn ed25519_vectors() {
    for (key, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let (key, message, signature) = (hex(key), hex(message), hex(signature));
        assert!(ed25519(&key, &message, &signature));
        for index in 0..signature.len() {
            let mut forged = signature.clone();
            forged[index] ^= 1;
            assert!(!ed25519(&key, &message, &forged), "byte {index}");
        }
        assert!(!ed25519(&key, &[&message[..], b"x"].concat(), &signature));
        assert!(!ed25519(&key[1..], &message, &signature) && !ed25519(&key, &message, &signature[1..]));
    }
}

/// adapters.md #34: Discord's signature is over timestamp and body.
#[test]
fn a_discord_interaction() {
    let key = hex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    let signature = hex(
        "c1098e97d711377f30225d53d94b89d43537f92e5b3afaddc590781b1f9f9d4b2eeab335d370be3b9a090bc61a85b86448bc140dcd195f1569c2bff181257607",
    );
    assert!(ed25519(&key, b"1700000000{\"type\":1}", &signature));
    assert!(!ed25519(&key, b"1700000001{\"type\":1}", &signature));
}

/// A key made here signs, its public numbers check.
#[test]
fn rsa_with_the_numbers_of_a_jwk() {
    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::KeySize,
        signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
    };
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // RSAPublicKey of RFC 8017: a sequence of the modulus, behind a zero, and the exponent.
    let der = pair.public_key().as_ref();
    let (n, e) = (der[9..265].to_vec(), der[267..].to_vec());
    assert_eq!((&der[..9], &der[265..]), (&[0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0][..], &[2, 3, 1, 0, 1][..]));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"header.payload", &mut signature).unwrap();
    assert!(rsa_sha256(&n, &e, b"header.payload", &signature));
    assert!(rsa_sha256(&[&[0][..], &n].concat(), &e, b"header.payload", &signature), "a leading zero");
    assert!(!rsa_sha256(&n, &e, b"header.payloae", &signature));
    assert!(!rsa_sha256(&n, &[3], b"header.payload", &signature));
    for (n, e) in [
        (vec![], e.clone()),
        (n.clone(), vec![]),
        (vec![0; 256], e.clone()),
        (n.clone(), vec![255; 256]),
        (n[..128].to_vec(), e),
    ] {
        assert!(!rsa_sha256(&n, &e, b"header.payload", &signature));
    }
    assert!(!rsa_sha256(&n, &[1, 0, 1], b"header.payload", &[]));
}
