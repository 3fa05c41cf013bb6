//! Secrets by their shape: one table, one row a kind.

use std::borrow::Cow;

use regex::{Captures, Regex};

use Hint::{Has, Word};

/// What stands where a secret was.
pub const REMOVED: &str = "[secret removed]";

/// One kind of secret. The pattern's group `secret` is removed, or the whole match.
#[derive(Debug)]
pub struct Shape {
    /// For tests and people.
    pub name: &'static str,
    /// Without this in the text the pattern cannot match. Compiling a pattern costs about a
    /// millisecond and every call is a fresh instance, so most rows must not need it.
    hint: Hint,
    pattern: &'static str,
}

#[derive(Debug)]
enum Hint {
    /// One of these texts.
    Has(&'static [&'static str]),
    /// A run of at least so many bytes without white space.
    Word(usize),
}

impl Hint {
    fn is_in(&self, text: &str, longest_word: usize) -> bool {
        match self {
            Self::Has(texts) => texts.iter().any(|wanted| text.contains(wanted)),
            Self::Word(length) => longest_word >= *length,
        }
    }
}

/// In order: a more exact row comes before a wider one.
pub const SHAPES: &[Shape] = &[
    // RFC 7468; also PGP's armour (RFC 9580, 6.2). Cut off at the end of the text, it is
    // still a key.
    Shape {
        name: "private key block",
        hint: Has(&["PRIVATE KEY"]),
        pattern: r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)",
    },
    // docs.anthropic.com, API keys and OAuth tokens (sk-ant-api03-, sk-ant-oat01-, sk-ant-ort01-).
    Shape { name: "Anthropic", hint: Has(&["sk-ant-"]), pattern: r"\bsk-ant-[A-Za-z0-9]+-[A-Za-z0-9_-]{16,}" },
    // platform.openai.com: sk-proj-, sk-svcacct-, sk-admin-, and the old sk- with 48 characters.
    // OpenRouter's sk-or-v1- and others follow the habit.
    Shape {
        name: "OpenAI",
        hint: Has(&["sk-"]),
        pattern: r"\bsk-(?:(?:proj|svcacct|admin|or-v1)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,})",
    },
    // docs.github.com, About authentication to GitHub: ghp_ gho_ ghu_ ghs_ ghr_ and github_pat_.
    Shape {
        name: "GitHub",
        hint: Has(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"]),
        pattern: r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    },
    // docs.gitlab.com, token prefixes.
    Shape { name: "GitLab", hint: Has(&["glpat-"]), pattern: r"\bglpat-[A-Za-z0-9_-]{20,}" },
    // api.slack.com, token types: xoxb xoxp xoxa xoxr xoxs xoxe, and xapp for app-level tokens.
    Shape {
        name: "Slack",
        hint: Has(&["xox", "xapp-"]),
        pattern: r"\b(?:xox[abeprs](?:\.xox[bp])?|xapp)-[A-Za-z0-9-]{10,}",
    },
    // core.telegram.org/bots: the bot's number, a colon, 35 characters. The file and method
    // addresses of the Bot API write `bot` before it.
    Shape {
        name: "Telegram bot",
        hint: Word(44),
        pattern: r"(?:\bbot|\b)(?<secret>[0-9]{8,10}:[A-Za-z0-9_-]{35})(?:$|[^A-Za-z0-9_-])",
    },
    // cloud.google.com, API keys: AIza and 35 characters; OAuth client secrets GOCSPX-.
    Shape { name: "Google API key", hint: Has(&["AIza"]), pattern: r"\bAIza[A-Za-z0-9_-]{35}" },
    Shape {
        name: "Google OAuth",
        hint: Has(&["GOCSPX-", "ya29.", "1//0"]),
        pattern: r"\b(?:GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{30,})",
    },
    // docs.aws.amazon.com/IAM, unique identifiers: AKIA long-term, ASIA temporary.
    Shape {
        name: "AWS access key",
        hint: Has(&["AKIA", "ASIA"]),
        pattern: r"\b(?:AKIA|ASIA)[A-Z2-7]{4}[A-Z0-9]{12}\b",
    },
    // The secret half has no shape of its own: 40 characters count only where the name is near.
    Shape {
        name: "AWS secret key",
        hint: Word(40),
        pattern: r#"(?i)\baws_?(?:secret)?_?(?:access)?_?key["'\s:=]{1,8}(?-i:(?<secret>[A-Za-z0-9/+]{40}))(?:$|[^A-Za-z0-9/+])"#,
    },
    // docs.stripe.com, keys: sk_ secret, rk_ restricted, each live or test, and whsec_ of webhooks.
    Shape {
        name: "Stripe",
        hint: Has(&["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"]),
        pattern: r"\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})",
    },
    // Prefixes of single providers, as their own documents name them: Hugging Face, npm, Groq, xAI,
    // Replicate, Perplexity, DigitalOcean, Shopify, Linear, Notion, Atlassian.
    Shape {
        name: "prefixed token",
        hint: Has(&["hf_", "npm_", "gsk_", "xai-", "r8_", "pplx-", "dop_v1_", "shpat_", "lin_api_", "ntn_", "ATATT3"]),
        pattern: r"\b(?:hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{36,}|pplx-[A-Za-z0-9]{40,}|dop_v1_[a-f0-9]{64}|shpat_[a-f0-9]{32}|lin_api_[A-Za-z0-9]{32,}|ntn_[A-Za-z0-9]{40,}|ATATT3[A-Za-z0-9_=-]{60,})",
    },
    // pypi.org/help, API tokens: a macaroon whose first field names the site.
    Shape { name: "PyPI", hint: Has(&["pypi-AgE"]), pattern: r"\bpypi-AgE[A-Za-z0-9_-]{50,}" },
    // docs.sendgrid.com: SG., 22 characters, a dot, 43 characters.
    Shape { name: "SendGrid", hint: Has(&["SG."]), pattern: r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}" },
    // Whoever has these addresses may post: the secret is the path.
    Shape {
        name: "webhook address",
        hint: Has(&["hooks.slack.com/", "/api/webhooks/"]),
        pattern: r"(?:hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/)(?<secret>[A-Za-z0-9/_-]{20,})",
    },
    // learn.microsoft.com, connection strings: of Azure's storage and messaging (base64), and of databases.
    Shape {
        name: "connection string",
        hint: Has(&["AccountKey=", "SharedAccessKey=", "SharedAccessSignature="]),
        pattern: r"\b(?:AccountKey|SharedAccessKey|SharedAccessSignature)=(?<secret>[A-Za-z0-9+/=%&_-]{20,})",
    },
    Shape {
        name: "password in a connection string",
        hint: Has(&[";"]),
        pattern: r"(?i)\b(?:server|data source|host|user id|uid|database|initial catalog)\s*=[^;\n]{1,128};(?:[^;\n]{1,128};)*?\s*(?:password|pwd)\s*=\s*(?<secret>[^;\s\[\]]{4,128})",
    },
    // RFC 7617: the credentials of Basic, at least eight characters of base64.
    Shape {
        name: "Basic",
        hint: Word(12),
        pattern: r"(?i)\bauthorization\x22?\s*[:=]\s*\x22?Basic\s+(?-i:(?<secret>[A-Za-z0-9+/]{12,}={0,2}))",
    },
    // RFC 7519: three base64url parts, the first two of which begin with `{"`.
    Shape {
        name: "JWT",
        hint: Has(&["eyJ"]),
        pattern: r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    },
    // discord.com/developers: base64 of the bot's id (17 to 20 digits), a time stamp, an HMAC.
    Shape {
        name: "Discord bot",
        hint: Word(58),
        pattern: r"\b[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    },
    // Mercury's own console and run tokens: mrc_ and 48 hexadecimal digits.
    Shape { name: "Mercury", hint: Has(&["mrc_"]), pattern: r"\bmrc_[0-9a-f]{48}\b" },
    // RFC 6750, 2.1. Short values are examples in prose; what follows a digit-free word is too.
    Shape { name: "Bearer", hint: Word(24), pattern: r"(?i)\bBearer\s+(?-i:(?<secret>[A-Za-z0-9._~+/-]{24,}=*))" },
    // RFC 3986, 3.2.1: a password in an address.
    Shape {
        name: "password in an address",
        hint: Has(&["://"]),
        pattern: r"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@'\x22`\[\]]{0,64}:(?<secret>[^\s/:@'\x22`\[\]]{6,128})@",
    },
];

/// The text without its secrets.
pub fn remove(text: &str) -> String {
    let longest_word = text.split_whitespace().map(str::len).max().unwrap_or(0);
    let original = text;
    let mut text = Cow::Borrowed(text);
    for shape in SHAPES.iter().filter(|shape| shape.hint.is_in(original, longest_word)) {
        // A row that did not compile would fail the test below, which compiles each.
        let Ok(pattern) = Regex::new(shape.pattern) else { continue };
        if let Cow::Owned(changed) = pattern.replace_all(&text, replacement) {
            text = Cow::Owned(changed);
        }
    }
    text.into_owned()
}

fn replacement(found: &Captures<'_>) -> String {
    let (Some(whole), Some(secret)) = (found.get(0), found.name("secret")) else {
        return REMOVED.to_owned();
    };
    let (start, end) = (secret.start() - whole.start(), secret.end() - whole.start());
    format!("{}{REMOVED}{}", &whole.as_str()[..start], &whole.as_str()[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Name of the row, text with a secret of that kind, the text without it. The secrets are
    /// put together here so that no scanner takes this file for a leak.
    fn positives() -> Vec<(&'static str, String, &'static str)> {
        let a = |count: usize| "aB3dE6gH9j".repeat(10)[..count].to_owned();
        vec![
            (
                "private key block",
                "x\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\ny".into(),
                "x\n[secret removed]\ny",
            ),
            ("private key block", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl".into(), "[secret removed]"),
            ("Anthropic", format!("key: sk-ant-api03-{}.", a(40)), "key: [secret removed]."),
            ("OpenAI", format!("`sk-proj-{}`", a(40)), "`[secret removed]`"),
            ("OpenAI", format!("OPENAI_API_KEY=sk-{}", a(48)), "OPENAI_API_KEY=[secret removed]"),
            ("GitHub", format!("ghp_{}", a(36)), "[secret removed]"),
            ("GitHub", format!("https://github_pat_{}@github.com", a(82)), "https://[secret removed]@github.com"),
            ("GitLab", format!("glpat-{}", a(20)), "[secret removed]"),
            ("Slack", format!("xoxb-123456789012-{}", a(24)), "[secret removed]"),
            ("Telegram bot", format!("bot token 123456789:{} ok", a(35)), "bot token [secret removed] ok"),
            (
                "Telegram bot",
                format!("https://api.telegram.org/bot123456789:{}/getMe", a(35)),
                "https://api.telegram.org/bot[secret removed]/getMe",
            ),
            ("Google API key", format!("AIza{}", a(35)), "[secret removed]"),
            ("Google OAuth", format!("ya29.{}", a(60)), "[secret removed]"),
            ("AWS access key", "AKIAIOSFODNN7EXAMPLE".into(), "[secret removed]"),
            (
                "AWS secret key",
                format!("aws_secret_access_key = {}\n", a(40)),
                "aws_secret_access_key = [secret removed]\n",
            ),
            (
                "AWS secret key",
                format!("AWS_SECRET_ACCESS_KEY=\"{}\"", a(40)),
                "AWS_SECRET_ACCESS_KEY=\"[secret removed]\"",
            ),
            ("Stripe", format!("sk_live_{}", a(24)), "[secret removed]"),
            ("Stripe", format!("whsec_{}", a(32)), "[secret removed]"),
            ("prefixed token", format!("HF_TOKEN=hf_{}", a(34)), "HF_TOKEN=[secret removed]"),
            ("prefixed token", format!("npm_{}", a(36)), "[secret removed]"),
            ("prefixed token", format!("`gsk_{}`", a(52)), "`[secret removed]`"),
            ("prefixed token", format!("dop_v1_{}", "0123456789abcdef".repeat(4)), "[secret removed]"),
            ("PyPI", format!("pypi-AgE{}", a(80)), "[secret removed]"),
            ("SendGrid", format!("SG.{}.{}", a(22), a(43)), "[secret removed]"),
            (
                "webhook address",
                format!("https://hooks.slack.com/services/T00000000/B00000000/{}", a(24)),
                "https://hooks.slack.com/services/[secret removed]",
            ),
            (
                "webhook address",
                format!("https://discord.com/api/webhooks/123456789012345678/{}", a(68)),
                "https://discord.com/api/webhooks/[secret removed]",
            ),
            (
                "connection string",
                format!("AccountName=x;AccountKey={}==;EndpointSuffix=y", a(86)),
                "AccountName=x;AccountKey=[secret removed];EndpointSuffix=y",
            ),
            (
                "password in a connection string",
                "Server=db;Database=app;User Id=sa;Password=hunter2hunter2;".into(),
                "Server=db;Database=app;User Id=sa;Password=[secret removed];",
            ),
            ("Basic", "Authorization: Basic dXNlcjpodW50ZXIy".into(), "Authorization: Basic [secret removed]"),
            ("JWT", format!("eyJ{}.eyJ{}.{}", a(20), a(30), a(43)), "[secret removed]"),
            ("Discord bot", format!("M{}.{}.{}", a(23), a(6), a(38)), "[secret removed]"),
            ("Mercury", format!("mrc_{}", "0123456789abcdef".repeat(3)), "[secret removed]"),
            ("Bearer", format!("Authorization: Bearer {}", a(40)), "Authorization: Bearer [secret removed]"),
            (
                "password in an address",
                "postgres://app:hunter2hunter2@db/x".into(),
                "postgres://app:[secret removed]@db/x",
            ),
        ]
    }

    const NEGATIVES: &[(&str, &str)] = &[
        ("private key block", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"),
        ("private key block", "-----BEGIN PUBLIC KEY-----"),
        ("Anthropic", "keys begin with sk-ant-"),
        ("OpenAI", "the sk-learn package, risk-abcdefghijklmnopqrstuvwxyzabcdefgh"),
        ("OpenAI", "sk-estimator-with-a-very-long-hyphenated-name"),
        ("GitHub", "ghp_short and github_pat_x"),
        ("GitLab", "glpat-x"),
        ("Slack", "xoxo-hugs"),
        ("Telegram bot", "at 12:30 on 20240101:00 and 10.0.0.1:8080"),
        ("Google API key", "AIza is a prefix"),
        ("Google OAuth", "1//2 of it"),
        ("AWS access key", "AKIA and ASIANDISHES, ASIAPACIFICREGIONALOFFICES"),
        ("AWS secret key", "commit da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("Stripe", "sk_live_ and pk_live_0123456789abcdefghijkl are names"),
        ("prefixed token", "hf_hub_download, npm_config_registry, xai-grok, r8_unorm, gsk_short"),
        ("PyPI", "pypi-AgEI"),
        ("SendGrid", "SG.1 and SG.js"),
        ("webhook address", "https://discord.com/api/webhooks/ and hooks.slack.com/services/T0"),
        ("connection string", "AccountKey=<your key>"),
        ("password in a connection string", "Server=db;Database=app;Trusted_Connection=True; password = ask me"),
        ("Basic", "Authorization: Basic auth, basically authorization"),
        ("JWT", "eyJhbGciOiJIUzI1NiJ9 alone"),
        ("Discord bot", "example.com/Main.module.function"),
        ("Mercury", "mrc_123 and mrctl"),
        ("Bearer", "Bearer of good news, bearer token"),
        ("password in an address", "https://example.org:8443/a@b and git@github.com:o/r.git"),
        ("hash", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("uuid", "0190a5d0-7c1e-7b3e-9c5a-2f1d3b4c5d6e"),
        ("address", "https://example.org/path?query=a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2"),
        ("code", "```rust\nlet key = env(\"OPENAI_API_KEY\")?;\n```"),
    ];

    #[test]
    fn every_row_compiles_and_has_a_positive_that_only_it_needs() {
        for shape in SHAPES {
            let pattern = Regex::new(shape.pattern).unwrap();
            let own: Vec<_> = positives().into_iter().filter(|row| row.0 == shape.name).collect();
            assert!(!own.is_empty(), "{}", shape.name);
            for (name, text, _) in own {
                assert!(pattern.is_match(&text), "{name}: {text}");
                let longest_word = text.split_whitespace().map(str::len).max().unwrap();
                assert!(shape.hint.is_in(&text, longest_word), "{name}: the hint misses {text}");
            }
        }
    }

    #[test]
    fn secrets_go_and_their_surroundings_stay() {
        for (name, text, expected) in positives() {
            assert_eq!(remove(&text), expected, "{name}: {text}");
        }
    }

    #[test]
    fn look_alikes_stay() {
        for (name, text) in NEGATIVES {
            assert_eq!(&remove(text), text, "{name}");
        }
    }

    proptest! {
        /// Whatever a pattern finds, its hint has seen: texts made of the patterns' own ingredients.
        #[test]
        fn no_hint_hides_a_secret(parts in prop::collection::vec(ingredient(), 1..12)) {
            let text = parts.concat();
            let longest_word = text.split_whitespace().map(str::len).max().unwrap_or(0);
            for shape in SHAPES.iter().filter(|shape| !shape.hint.is_in(&text, longest_word)) {
                prop_assert!(!Regex::new(shape.pattern).unwrap().is_match(&text), "{}: {text}", shape.name);
            }
        }
    }

    fn ingredient() -> impl Strategy<Value = String> {
        let texts = positives().into_iter().map(|row| row.1).chain(NEGATIVES.iter().map(|row| row.1.to_owned()));
        prop_oneof![prop::sample::select(texts.collect::<Vec<_>>()), "[A-Za-z0-9:./_ \n-]{0,50}"]
    }
}
