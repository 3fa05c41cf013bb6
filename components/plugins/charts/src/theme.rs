//! Colours: the house style, and the two other themes.

/// Colours of everything that the option does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub background: &'static str,
    pub title: &'static str,
    pub label: &'static str,
    pub value_label: &'static str,
    pub axis: &'static str,
    pub split: &'static str,
    pub palette: &'static [&'static str],
}

const HOUSE: Theme = Theme {
    background: "#ffffff",
    title: "#111827",
    label: "#4b5563",
    value_label: "#9ca3af",
    axis: "#d1d5db",
    split: "#e5e7eb",
    palette: &["#4f46e5", "#0d9488", "#d97706", "#dc2626", "#7c3aed", "#0891b2"],
};

const DARK: Theme = Theme {
    background: "#111827",
    title: "#f9fafb",
    label: "#d1d5db",
    value_label: "#9ca3af",
    axis: "#4b5563",
    split: "#374151",
    palette: &["#818cf8", "#2dd4bf", "#fbbf24", "#f87171", "#a78bfa", "#22d3ee"],
};

const VINTAGE: Theme = Theme {
    background: "#fef8ef",
    title: "#333333",
    label: "#4d4637",
    value_label: "#8a8170",
    axis: "#b9ad97",
    split: "#e8dec9",
    palette: &["#d87c7c", "#919e8b", "#d7ab82", "#6e7074", "#61a0a8", "#787464"],
};

impl Theme {
    /// None of that name is an error that names those there are.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: Option<&str>) -> Result<Self, crate::Refusal> {
        match name {
            None | Some("" | "default") => Ok(HOUSE),
            Some("dark") => Ok(DARK),
            Some("vintage") => Ok(VINTAGE),
            Some(other) => Err(crate::Refusal::Unsupported(format!(
                "there is no theme `{other}`; use dark or vintage, or give colours in the option (color, backgroundColor)"
            ))),
        }
    }
}
