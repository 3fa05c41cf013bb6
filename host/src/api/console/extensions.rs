//! Plugins in and out, as `mercury plugins` does it: what one asks for is shown, and holds once somebody
//! has agreed to exactly that.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Api, by_hand, guards_others};
use crate::{
    callers::extension_view,
    http::{ApiError, Given, Input, Path},
    plugins::{
        Manifest, Taken,
        packages::{self, InstallError, Listed, Origin, Source, State as Standing},
    },
    project::Changes,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in super::super) struct Wanted {
    /// A plugin that comes with the host; before `source`.
    catalog_name: Option<String>,
    /// As `mercury plugins add` takes it.
    source: Option<String>,
    /// Of the package that was shown, and agreed to. Without it, it is only shown.
    digest: Option<String>,
    /// Take it though nobody who is trusted has signed it.
    #[serde(default)]
    allow_unsigned: bool,
    /// Let it take the place of a plugin that comes with the host.
    #[serde(default)]
    replace: bool,
}

impl Given for Wanted {
    const EXAMPLE: &'static str = "{\"catalogName\": \"\"}";
}

/// `GET /api/console/extensions`: those that are at work now.
pub(in super::super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let loaded = api.rooms()?.plugins.loaded();
    Ok(Json(json!({ "extensions": loaded.iter().map(|plugin| extension_view(plugin)).collect::<Vec<_>>() })))
}

/// `GET /api/console/extensions/catalog`: those that come with the host, on or off.
pub(in super::super) async fn catalog(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let listed = super::plugins(&api).await?;
    let view = |plugin: &Listed| {
        json!({
            "name": plugin.name,
            "sourceDir": plugin.path,
            "description": plugin.manifest.as_ref().map(|manifest| manifest.description.trim()),
            "enabled": plugin.state == Standing::Ready,
        })
    };
    let carried: Vec<_> = listed.iter().filter(|plugin| plugin.origin == Some(Origin::BuiltIn)).map(view).collect();
    Ok(Json(json!({ "extensions": carried })))
}

/// `POST /api/console/extensions/install`
pub(in super::super) async fn install(
    State(api): State<Api>,
    Input(given): Input<Wanted>,
) -> Result<Json<Value>, ApiError> {
    match (&given.catalog_name, &given.source) {
        (Some(name), _) => switch_on(&api, name).await,
        (None, Some(source)) => take(&api, source, &given).await,
        (None, None) => {
            let next = "Send {\"catalogName\": \"charts\"} or {\"source\": \"oci://registry.example/name:1.0.0\"}";
            Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_source", "catalogName or source is required", next))
        }
    }
}

/// What comes with the host is there already; it is at work from the next start on.
async fn switch_on(api: &Api, name: &str) -> Result<Json<Value>, ApiError> {
    let listed = super::plugins_to_be(api).await?;
    let known = listed.iter().find(|plugin| plugin.name == name && plugin.origin == Some(Origin::BuiltIn));
    let known = known.ok_or_else(|| {
        let next = "GET /api/console/extensions/catalog lists those that there are";
        ApiError::new(StatusCode::BAD_REQUEST, "unknown_extension", "Unknown catalog extension", next)
    })?;
    if known.manifest.as_ref().is_some_and(|manifest| manifest.inbox.is_some()) {
        let error = format!("{name} serves a chat platform, and needs its credentials");
        let next = "Use POST /api/console/adapters/configure";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "is_an_adapter", error, next));
    }
    let is_there = |needed: &str| listed.iter().any(|plugin| plugin.name == needed && plugin.state == Standing::Ready);
    let mut needs = known.manifest.iter().flat_map(|manifest| &manifest.depends);
    if let Some(needed) = needs.find(|needed| !is_there(needed)) {
        return Err(refusal(InstallError::Needs { name: name.to_owned(), needed: needed.clone() }));
    }
    api.change(enabled(name, true)).await?;
    tracing::warn!(plugin = name, "a plugin was switched on by the operator");
    let mut answer = json!({ "ok": true, "name": name, "restart": true });
    let found = super::plugins_to_be(api).await?.into_iter().find(|plugin| plugin.name == name);
    if let Some(Standing::Inactive(reason)) = found.map(|plugin| plugin.state) {
        answer["waits"] = json!(reason);
    }
    Ok(Json(answer))
}

fn enabled(name: &str, flag: bool) -> Changes {
    let path = vec!["plugins".to_owned(), name.to_owned(), "enabled".to_owned()];
    Changes { flags: vec![(path, flag)], ..Changes::default() }
}

async fn take(api: &Api, source: &str, given: &Wanted) -> Result<Json<Value>, ApiError> {
    let rooms = api.rooms()?;
    let installer = &rooms.installer;
    let offer = installer.fetch(&Source::parse(source).map_err(refusal)?).await.map_err(refusal)?;
    if offer.installed.is_some() {
        return Err(refusal(InstallError::Installed { name: offer.name().to_owned() }));
    }
    let view = packages::view_offer(&offer);
    let Some(agreed) = &given.digest else {
        let next = "Read what it may do; who agrees sends the same with its `digest`";
        return Ok(Json(json!({ "ok": false, "name": offer.name(), "plugin": view, "next": next })));
    };
    if view["digest"] != *agreed {
        let error = "What is there now is not what was agreed to";
        let next = "Ask without a digest, and read again what it may do";
        return Err(ApiError::new(StatusCode::CONFLICT, "changed", error, next));
    }
    let signer = installer.signer(&offer, given.allow_unsigned).map_err(refusal)?;
    installer.check_place(&offer, given.replace).await.map_err(refusal)?;
    let in_place = super::plugins(api).await?.into_iter().find(|plugin| plugin.name == offer.name());
    if in_place.and_then(|plugin| plugin.manifest).is_some_and(|manifest| manifest.is_essential()) {
        let next = "Put it in that place with `mercury plugins add --replace` in the project";
        return Err(guards_others(offer.name(), next));
    }
    installer.check_needs(&offer).await.map_err(refusal)?;
    let name = offer.name().to_owned();
    let package = installer.install(offer, signer).await.map_err(refusal)?;
    let taken = rooms.plugins.take_up(&name, &package).await.map_err(|error| super::broken(error.to_string()))?;
    if let Taken::Not(reason) = taken {
        // What nobody uses would come to work some day, when nobody thinks of it.
        installer.remove(&name).await.map_err(refusal)?;
        take_up(api).await?;
        let error = format!("`{name}` cannot be used here, and was not installed: {reason}");
        return Err(ApiError::new(StatusCode::CONFLICT, "not_taken", error, "Mend that, then install it again"));
    }
    tracing::warn!(plugin = name, source, "a plugin was installed by the operator");
    let mut answer = json!({ "ok": true, "name": name, "plugin": view, "restart": false });
    if let Taken::Waits(reason) = taken {
        (answer["restart"], answer["waits"]) = (json!(true), json!(reason));
    }
    Ok(Json(answer))
}

/// `DELETE /api/console/extensions/{name}`: one that was installed goes; one that comes with the host is
/// switched off. What it has stored stays (`POST /api/plugins/{name}/purge`).
pub(in super::super) async fn remove(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let listed = super::plugins(&api).await?;
    let Some(known) = listed.into_iter().find(|plugin| plugin.name == name) else {
        let error = format!("No plugin `{}` is installed", name.chars().take(100).collect::<String>());
        let next = "GET /api/console/extensions lists those that are";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_installed", error, next));
    };
    let (way, rooms) = (way_out(&known)?, api.rooms()?);
    rooms.installer.check_needed(&name).await.map_err(refusal)?;
    match way {
        Way::Package => {
            rooms.installer.remove(&name).await.map_err(refusal)?;
            let refused = take_up(&api).await?;
            tracing::warn!(plugin = name, "a plugin was removed by the operator");
            let mut answer = json!({ "ok": true, "restart": false });
            if known.agreed().is_some_and(|package| rooms.plugins.uses(&name, package)) {
                (answer["restart"], answer["waits"]) = (json!(true), json!(refused));
            }
            Ok(Json(answer))
        }
        Way::Switch => {
            api.change(enabled(&name, false)).await?;
            tracing::warn!(plugin = name, "a plugin was switched off by the operator");
            Ok(Json(json!({ "ok": true, "restart": true })))
        }
    }
}

/// How a plugin goes.
#[derive(Debug, PartialEq)]
enum Way {
    Package,
    Switch,
}

fn way_out(plugin: &Listed) -> Result<Way, ApiError> {
    let name = &plugin.name;
    let way = match &plugin.origin {
        Some(Origin::Package(_)) => Way::Package,
        Some(Origin::BuiltIn) => Way::Switch,
        Some(Origin::Folder) => {
            return Err(by_hand(format!("{name} was put into the folder of plugins by hand"), "Remove it there"));
        }
        None => {
            let next = format!("Remove it with `mercury plugins remove {name}` in the project, which says what it is");
            return Err(by_hand(format!("{name} cannot be read, so nobody knows whether it guards the others"), &next));
        }
    };
    if plugin.manifest.as_ref().is_none_or(Manifest::is_essential) {
        let next = match way {
            Way::Package => format!("Remove it with `mercury plugins remove {name}` in the project"),
            Way::Switch => format!("Write plugins.{name}.enabled: false into mercury.yaml, if that is what you want"),
        };
        return Err(guards_others(name, &next));
    }
    Ok(way)
}

/// What is not used in place of what is at work, and why.
async fn take_up(api: &Api) -> Result<String, ApiError> {
    let changes = api.rooms()?.plugins.reload().await.map_err(|error| super::broken(error.to_string()))?;
    Ok(changes.refusals())
}

fn refusal(error: InstallError) -> ApiError {
    let (status, code, next) = match &error {
        InstallError::NoSource { .. } => (StatusCode::BAD_REQUEST, "bad_source", ""),
        InstallError::Unsigned { .. } | InstallError::Stranger { .. } => {
            (StatusCode::CONFLICT, "not_vouched_for", "Here that is `allowUnsigned: true`")
        }
        InstallError::Installed { .. } => (StatusCode::CONFLICT, "installed", ""),
        InstallError::BuiltIn { .. } => (StatusCode::CONFLICT, "takes_a_place", "Here that is `replace: true`"),
        InstallError::Conflict { .. } | InstallError::Changed { .. } => (StatusCode::CONFLICT, "conflict", ""),
        InstallError::Needs { .. } | InstallError::Needed { .. } => {
            (StatusCode::CONFLICT, "needed", "Nothing was changed")
        }
        InstallError::NotInstalled { .. } => (StatusCode::NOT_FOUND, "not_installed", ""),
        InstallError::Package(_) | InstallError::Archive { .. } | InstallError::Broken { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "bad_package", "Nothing was installed")
        }
        InstallError::Registry(_) => (StatusCode::BAD_GATEWAY, "registry_failed", "Nothing was installed"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "not_installed", "Nothing was installed; read the host's log"),
    };
    ApiError::new(status, code, error.to_string(), next)
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use super::*;
    use crate::plugins::{Rights, packages::Agreed};

    /// Who holds a session takes no guard away, however it came.
    #[test]
    fn what_guards_the_others_stays() {
        let listed = |origin: Option<Origin>, more: &str| {
            let text = format!("name = \"p\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\n{more}");
            let manifest = origin.as_ref().map(|_| Manifest::parse(FilePath::new("plugin.toml"), &text).unwrap());
            Listed { name: "p".into(), state: Standing::Ready, manifest, origin, path: "p".into() }
        };
        let package = Origin::Package(Box::new(Agreed {
            version: "1.0.0".into(),
            contract: "0.2.0".into(),
            digest: String::new(),
            source: String::new(),
            signer: None,
            files: Default::default(),
            rights: Rights::default(),
        }));
        let (guard, processor) = ("provides = [\"tool-guard\"]\n", "provides = [\"result-processor\"]\n");
        let required = format!("{processor}required = true\n");
        for (origin, way, next) in [
            (package, Way::Package, "mercury plugins remove p"),
            (Origin::BuiltIn, Way::Switch, "plugins.p.enabled: false"),
        ] {
            assert_eq!(way_out(&listed(Some(origin.clone()), processor)).ok(), Some(way));
            for essential in [guard, &required] {
                let refused = format!("{:?}", way_out(&listed(Some(origin.clone()), essential)).unwrap_err());
                assert!(refused.contains("guards the others") && refused.contains(next), "{refused}");
            }
        }
        for strange in [Some(Origin::Folder), None] {
            assert!(way_out(&listed(strange, guard)).is_err());
        }
    }
}
