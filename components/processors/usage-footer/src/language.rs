//! Words and numbers in the languages that the footer knows.

/// A language of the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    German,
    Spanish,
    French,
    Hebrew,
}

impl Language {
    /// # Errors
    /// A language that the footer does not know.
    pub fn parse(code: &str) -> Result<Self, String> {
        match code.trim() {
            "en" => Ok(Self::English),
            "de" => Ok(Self::German),
            "es" => Ok(Self::Spanish),
            "fr" => Ok(Self::French),
            "he" => Ok(Self::Hebrew),
            other => Err(format!("the setting language is `{other}`; use en, de, es, fr or he")),
        }
    }

    pub(crate) fn tokens(self, tokens_in: u64, tokens_out: u64) -> String {
        let (into, out) = (self.grouped(tokens_in), self.grouped(tokens_out));
        match self {
            Self::English => format!("{into} tokens in, {out} out"),
            Self::German => format!("{into} Token hinein, {out} heraus"),
            Self::Spanish => format!("{into} tokens de entrada, {out} de salida"),
            Self::French => format!("{into} jetons en entrée, {out} en sortie"),
            Self::Hebrew => format!("{into} אסימוני קלט, {out} אסימוני פלט"),
        }
    }

    /// Two digits behind the point from a cent upwards, else four.
    pub(crate) fn dollars(self, micro_usd: u64) -> String {
        let (unit, digits) = if micro_usd < 10_000 { (100, 4) } else { (10_000, 2) };
        let rounded = (micro_usd + unit / 2) / unit;
        if rounded == 0 {
            let least = self.amount(format!("0{}0001", self.point()));
            return match self {
                Self::English => format!("under {least}"),
                Self::German => format!("unter {least}"),
                Self::Spanish => format!("menos de {least}"),
                Self::French => format!("moins de {least}"),
                Self::Hebrew => format!("פחות מ־{least}"),
            };
        }
        let whole = 1_000_000 / unit;
        let (dollars, rest) = (self.grouped(rounded / whole), rounded % whole);
        self.amount(format!("{dollars}{}{rest:0digits$}", self.point()))
    }

    /// Seconds with one digit behind the point below a minute, else minutes and seconds.
    pub(crate) fn duration(self, milliseconds: u64) -> String {
        let (minute, second) = if self == Self::Hebrew { ("דק׳", "שנ׳") } else { ("min", "s") };
        let tenths = (milliseconds + 50) / 100;
        if tenths < 600 {
            return format!("{}{}{} {second}", tenths / 10, self.point(), tenths % 10);
        }
        let seconds = (milliseconds + 500) / 1_000;
        format!("{} {minute} {} {second}", self.grouped(seconds / 60), seconds % 60)
    }

    fn amount(self, number: String) -> String {
        match self {
            Self::English | Self::Hebrew => format!("${number}"),
            Self::German | Self::Spanish | Self::French => format!("{number} $"),
        }
    }

    fn point(self) -> char {
        match self {
            Self::English | Self::Hebrew => '.',
            Self::German | Self::Spanish | Self::French => ',',
        }
    }

    fn grouped(self, number: u64) -> String {
        let mark = match self {
            Self::English | Self::Hebrew => ',',
            Self::German | Self::Spanish => '.',
            // NARROW NO-BREAK SPACE
            Self::French => '\u{202F}',
        };
        let digits = number.to_string();
        let mut grouped = String::with_capacity(digits.len() * 2);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(mark);
            }
            grouped.push(digit);
        }
        grouped
    }
}
