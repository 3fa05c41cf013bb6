//! SVG, written from top to bottom.

use std::fmt::Write as _;

use crate::{option::Title, theme::Theme};

/// A drawing in the making. Coordinates in pixels from the top left.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) width: f64,
    pub(crate) height: f64,
    out: String,
}

/// How a text stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style<'a> {
    pub(crate) size: f64,
    pub(crate) color: &'a str,
    /// `start`, `middle` or `end`.
    pub(crate) anchor: &'static str,
    pub(crate) bold: bool,
    /// Degrees, clockwise.
    pub(crate) turned: f64,
}

impl<'a> Style<'a> {
    pub(crate) fn new(size: f64, color: &'a str, anchor: &'static str) -> Self {
        Self { size, color, anchor, bold: false, turned: 0.0 }
    }
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32, background: &str) -> Self {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"DejaVu Sans, Noto Sans, Helvetica, Arial, sans-serif\">"
        );
        let _ = write!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>", escaped(background));
        Self { width: width.into(), height: height.into(), out }
    }

    pub(crate) fn title(&mut self, title: &Title, theme: &Theme) {
        let x = match title.left.as_deref() {
            Some("left") => 14.0,
            Some("right") => self.width - 14.0,
            _ => self.width / 2.0,
        };
        let anchor = match title.left.as_deref() {
            Some("left") => "start",
            Some("right") => "end",
            _ => "middle",
        };
        let color = title.color.as_deref().unwrap_or(theme.title);
        let style = Style { bold: true, ..Style::new(title.size, color, anchor) };
        // The first line's top stands 14 below the edge.
        self.text(x, 14.0 + title.size * 0.8, &title.text, style);
        self.text(x, 14.0 + title.size + 14.0, &title.subtext, Style::new(12.0, theme.label, anchor));
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, text: &str, style: Style<'_>) {
        if text.is_empty() {
            return;
        }
        let bold = if style.bold { " font-weight=\"bold\"" } else { "" };
        let turned = if style.turned == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({} {} {})\"", short(style.turned), short(x), short(y))
        };
        let _ = write!(
            self.out,
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{bold}{turned}>{}</text>",
            short(x),
            short(y),
            short(style.size),
            escaped(style.color),
            style.anchor,
            escaped(text)
        );
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, dashed: bool) {
        let dash = if dashed { " stroke-dasharray=\"4 4\"" } else { "" };
        let _ = write!(
            self.out,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\"{dash}/>",
            short(from.0),
            short(from.1),
            short(to.0),
            short(to.1),
            escaped(color)
        );
    }

    /// `attributes` is SVG and must hold nothing that came from an option unescaped.
    pub(crate) fn path(&mut self, data: &str, attributes: &str) {
        let _ = write!(self.out, "<path d=\"{data}\" {attributes}/>");
    }

    pub(crate) fn circle(&mut self, at: (f64, f64), radius: f64, attributes: &str) {
        let _ = write!(
            self.out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {attributes}/>",
            short(at.0),
            short(at.1),
            short(radius)
        );
    }

    pub(crate) fn swatch(&mut self, x: f64, y: f64, color: &str) {
        let _ = write!(
            self.out,
            "<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"10\" rx=\"3\" fill=\"{}\"/>",
            short(x),
            short(y),
            escaped(color)
        );
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }
}

/// Two digits behind the point, as far as they say something.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text of an element or attribute; what XML 1.0 forbids is dropped.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// About how wide a text is, without the font at hand.
pub(crate) fn width_of(text: &str, size: f64) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.32,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
            letter if letter >= '\u{2E80}' => 1.0,
            letter if letter.is_uppercase() => 0.7,
            _ => 0.6,
        })
        .sum();
    ems * size
}
