//! What a plugin is and asks for, as JSON: for whoever agrees by a program.

use serde_json::{Value, json};

use super::Offer;
use crate::plugins::{self, Manifest};

/// Of a manifest alone.
pub fn view(manifest: &Manifest) -> Value {
    let provides: Vec<&str> = manifest.provides.iter().map(|interface| interface.name()).collect();
    let secrets = manifest.secrets.iter().map(|secret| {
        json!({ "variable": secret.variable, "hosts": secret.hosts, "optional": secret.optional, "description": secret.description })
    });
    let settings = manifest
        .settings
        .iter()
        .map(|(key, setting)| (key.clone(), json!({ "description": setting.description, "default": setting.default })));
    let connection = manifest.connection.as_ref().map(|connection| {
        json!({
            "displayName": connection.display_name.trim(),
            "category": connection.category,
            "authType": connection.auth_type,
            "scopes": connection.scopes,
            "sensitive": connection.sensitive,
        })
    });
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "provides": provides,
        "may": plugins::in_words(manifest),
        "rights": plugins::Rights::of(manifest),
        "connection": connection,
        "secrets": secrets.collect::<Vec<_>>(),
        "settings": settings.collect::<serde_json::Map<_, _>>(),
    })
}

/// Of a package that was fetched.
pub fn view_offer(offer: &Offer) -> Value {
    let mut view = view(&offer.package.manifest);
    view["source"] = json!(offer.source);
    view["contract"] = json!(offer.package.contract);
    view["digest"] = json!(format!("sha256:{}", offer.package.digest()));
    view["signer"] = json!({ "key": offer.package.signer, "trusted": offer.signer });
    view["installed"] = json!(offer.installed.as_ref().map(|installed| &installed.version));
    view["beyond"] = json!(offer.beyond());
    view["replacesBuiltIn"] = json!(offer.replaces_built_in());
    view["resembles"] = json!(offer.resembles);
    view
}
