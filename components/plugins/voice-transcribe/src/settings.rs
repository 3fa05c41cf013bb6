//! What an operator set, checked.

use crate::provider::Provider;

/// Stands for the provider's own usual model at OpenAI and Gemini.
pub const DEFAULT_MODEL: &str = "mike249/whisper-tiny-he-2";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub provider: Provider,
    pub model: String,
    /// Without a slash at its end.
    pub base_url: String,
    /// ISO 639-1.
    pub language: Option<String>,
}

impl Settings {
    /// # Errors
    /// The setting that is wrong, and what it may be.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = |key: &str| get(key).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let provider = Provider::parse(value("provider").as_deref().unwrap_or("openai"))?;
        let model = value("model").unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        let model = if model == DEFAULT_MODEL { provider.usual_model().to_owned() } else { model };
        let base_url = value("base_url").unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
        if !base_url.starts_with("https://") {
            return Err(format!("the setting base_url is `{base_url}`; it must begin with https://"));
        }
        let language = value("language");
        let is_code = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase());
        if let Some(wrong) = language.as_ref().filter(|code| !is_code(code)) {
            return Err(format!(
                "the setting language is `{wrong}`; use an ISO 639-1 code such as he, or leave it empty"
            ));
        }
        Ok(Self { provider, model, base_url: base_url.trim_end_matches('/').to_owned(), language })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|key| values.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_and_the_model_of_each_provider() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.provider, settings.model.as_str()), (Provider::OpenAi, "gpt-4o-mini-transcribe"));
        assert_eq!(read(&[("provider", "gemini")]).unwrap().model, "gemini-2.5-flash");
        assert_eq!(read(&[("provider", "api")]).unwrap().model, DEFAULT_MODEL);
        assert_eq!(read(&[("provider", "openai"), ("model", "whisper-1")]).unwrap().model, "whisper-1");
    }

    /// examples.md #47
    #[test]
    fn what_is_wrong_is_named() {
        assert!(read(&[("base_url", "http://x")]).unwrap_err().contains("https://"));
        assert!(read(&[("language", "Hebrew")]).unwrap_err().contains("`Hebrew`"));
        assert!(read(&[("provider", "whisper")]).unwrap_err().contains("`whisper`"));
        let local = read(&[("provider", "local")]).unwrap_err();
        assert!(local.contains("stand_ins") && local.contains("openai"), "{local}");
    }
}
