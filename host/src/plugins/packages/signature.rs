//! Who vouches for a package: an Ed25519 signature over all of it.
//!
//! What is signed is a text of its own kind, so that no signature made for another purpose fits:
//! the contract's version, and the digest of every file. The signature's file has one spelling only.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

/// The file beside the manifest.
pub const SIGNATURE_FILE: &str = "plugin.sig";
const HEADING: &str = "mercury plugin signature 1";
const ALGORITHM: &str = "ed25519:";
/// Of a private key's file.
const PRIVATE: &str = "mercury plugin signing key 1";

#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("{SIGNATURE_FILE} is not a signature. Sign the folder again with `mercury plugins sign KEY FOLDER`")]
    Malformed,
    #[error(
        "its signature by {key} does not fit its files: the package was changed after it was signed. Do not use it; get it again from its author"
    )]
    Wrong { key: PublicKey },
    #[error("`{text}` is not a public key such as `ed25519:…`")]
    PublicKey { text: String },
    #[error("the file is not a signing key. Make one with `mercury plugins keygen FILE`")]
    PrivateKey,
    #[error("no key can be made on this machine")]
    NoRandom,
}

/// A public key, as `ed25519:` and base64.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let wrong = || SignatureError::PublicKey { text: text.chars().take(80).collect() };
        let bytes = STANDARD.decode(text.strip_prefix(ALGORITHM).ok_or_else(wrong)?).map_err(|_| wrong())?;
        Ok(Self(bytes.try_into().map_err(|_| wrong())?))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{ALGORITHM}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = SignatureError;

    fn try_from(text: String) -> Result<Self, SignatureError> {
        Self::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// What is signed. `files` are digests by path, without the signature itself.
pub(super) fn signed_text(contract: &str, files: &BTreeMap<String, String>) -> String {
    let mut text = format!("{HEADING}\ncontract {contract}\n");
    for (path, digest) in files.iter().filter(|(path, _)| *path != SIGNATURE_FILE) {
        text.push_str(&format!("file {digest} {path}\n"));
    }
    text
}

/// A signature that has been read and not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    key: PublicKey,
    signature: [u8; 64],
}

impl Signature {
    pub fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        let text = std::str::from_utf8(text).map_err(|_| SignatureError::Malformed)?;
        let mut lines = text.lines();
        let parsed = (|| {
            (lines.next()? == HEADING).then_some(())?;
            let key = PublicKey::parse(lines.next()?.strip_prefix("key ")?).ok()?;
            let signature = STANDARD.decode(lines.next()?.strip_prefix("signature ")?).ok()?;
            Some(Self { key, signature: signature.try_into().ok()? })
        })();
        // One spelling: what reads the same but is written differently is not accepted.
        parsed.filter(|parsed| parsed.to_string() == text).ok_or(SignatureError::Malformed)
    }

    /// Who signed, where `text` is what was signed.
    pub fn verify(&self, text: &str) -> Result<&PublicKey, SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.key.0)
            .verify(text.as_bytes(), &self.signature)
            .map(|()| &self.key)
            .map_err(|_| SignatureError::Wrong { key: self.key.clone() })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{HEADING}\nkey {}\nsignature {}\n", self.key, STANDARD.encode(self.signature))
    }
}

/// An author's private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new one, and the text of its file.
    pub fn generate() -> Result<(Self, SecretString), SignatureError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignatureError::NoRandom)?;
        let document = pair.to_pkcs8().map_err(|_| SignatureError::NoRandom)?;
        let text = format!("{PRIVATE}\n{}\n", STANDARD.encode(document.as_ref()));
        Ok((Self { pair }, SecretString::from(text)))
    }

    pub fn parse(text: &SecretString) -> Result<Self, SignatureError> {
        let encoded = text.expose_secret().strip_prefix(PRIVATE).ok_or(SignatureError::PrivateKey)?;
        let document = STANDARD.decode(encoded.trim()).map_err(|_| SignatureError::PrivateKey)?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| SignatureError::PrivateKey)?;
        Ok(Self { pair })
    }

    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    pub fn sign(&self, text: &str) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        Signature { key: self.public(), signature }
    }
}
