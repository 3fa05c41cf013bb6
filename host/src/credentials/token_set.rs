//! One link of a provider's chain of credentials: what is used, what renews it, and until when.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

/// Names of the fields that are no extras.
const FIELDS: [&str; 4] = ["type", "access", "refresh", "expires"];

#[derive(Clone)]
pub struct TokenSet {
    pub access: SecretString,
    /// Single use with most providers: the next link replaces it. Without it nothing can be renewed.
    pub refresh: Option<SecretString>,
    /// Milliseconds since the Unix epoch, as stored; absent means never.
    pub expires: Option<i64>,
    /// What else the provider keeps beside them (`accountId`, `enterpriseUrl`, …).
    pub extras: Map<String, Json>,
}

impl TokenSet {
    /// A blob of a variable: whatever has a usable access token. `None` means corrupt.
    pub fn from_blob(blob: &Json) -> Option<Self> {
        let blob = blob.as_object()?;
        Some(Self {
            access: text(blob.get("access"))?,
            refresh: text(blob.get("refresh")),
            expires: number(blob.get("expires")),
            extras: extras(blob),
        })
    }

    /// An entry of `auth.json`: complete, or none of ours.
    pub fn from_entry(entry: &Json) -> Option<Self> {
        let entry = entry.as_object().filter(|entry| entry.get("type").and_then(Json::as_str) == Some("oauth"))?;
        Some(Self {
            access: text(entry.get("access"))?,
            refresh: Some(text(entry.get("refresh"))?),
            expires: Some(number(entry.get("expires"))?),
            extras: extras(entry),
        })
    }

    /// The entry of `auth.json`, as `pi` writes it.
    pub fn to_entry(&self) -> Json {
        let mut entry = Map::new();
        entry.insert("type".into(), json!("oauth"));
        entry.insert("access".into(), json!(self.access.expose_secret()));
        if let Some(refresh) = &self.refresh {
            entry.insert("refresh".into(), json!(refresh.expose_secret()));
        }
        if let Some(expires) = self.expires {
            entry.insert("expires".into(), json!(expires));
        }
        entry.extend(self.extras.clone());
        Json::Object(entry)
    }

    pub fn is_renewable(&self) -> bool {
        self.refresh.is_some() && self.expires.is_some()
    }

    pub fn same_access(&self, other: &Self) -> bool {
        self.access.expose_secret() == other.access.expose_secret()
    }

    /// The fingerprint of what renews it.
    pub fn refresh_print(&self) -> Option<String> {
        self.refresh.as_ref().map(fingerprint)
    }
}

/// Fingerprints instead of tokens.
impl fmt::Debug for TokenSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenSet")
            .field("access", &fingerprint(&self.access))
            .field("refresh", &self.refresh_print())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What a log may say of a token: the first 12 hex digits of its SHA-256.
pub fn fingerprint(secret: &SecretString) -> String {
    let digest = Sha256::digest(secret.expose_secret().as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Option<&Json>) -> Option<SecretString> {
    value?.as_str().map(str::trim).filter(|text| !text.is_empty()).map(SecretString::from)
}

/// Whole milliseconds; a float is what some JavaScript wrote.
fn number(value: Option<&Json>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_f64().filter(|number| number.is_finite()).map(|number| number as i64))
}

fn extras(object: &Map<String, Json>) -> Map<String, Json> {
    let extra = object.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str()));
    extra.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// oauth.md #5, #29: what is complete is taken, with its extras, and nothing else.
    #[test]
    fn entries() {
        let entry = json!({ "type": "oauth", "access": "a", "refresh": "r", "expires": 5, "accountId": "x" });
        assert_eq!(TokenSet::from_entry(&entry).unwrap().to_entry(), entry);
        for broken in [
            json!({ "type": "api_key", "key": "k" }),
            json!({ "type": "oauth", "access": "a", "refresh": "r" }),
            json!({ "type": "oauth", "access": "", "refresh": "r", "expires": 5 }),
            json!({ "type": "oauth", "access": "a", "refresh": 7, "expires": 5 }),
            json!({ "type": "oauth", "access": "a", "refresh": "r", "expires": "5" }),
            json!({ "access": "a", "refresh": "r", "expires": 5 }),
            json!([]),
        ] {
            assert!(TokenSet::from_entry(&broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn tokens_are_not_printed() {
        let set = TokenSet::from_blob(&json!({ "access": "canary-a", "refresh": "canary-r", "expires": 1 })).unwrap();
        let printed = format!("{set:?}");
        assert!(!printed.contains("canary") && printed.contains(&set.refresh_print().unwrap()), "{printed}");
        assert_eq!(set.refresh_print().unwrap().len(), 12);
    }
}
