//! Round numbers for axes, and numbers as people read them.

/// The range of a value axis, with the numbers that it shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) ticks: Vec<f64>,
}

/// About so many parts, as ECharts has it.
const PARTS: f64 = 5.0;

impl Scale {
    /// Bounds that the option gives are kept, the least below the most; others are the next round number outwards. Zero is
    /// part of it where `from_zero`.
    pub(crate) fn over(
        values: impl Iterator<Item = f64>,
        from_zero: bool,
        given_least: Option<f64>,
        given_most: Option<f64>,
    ) -> Self {
        let (mut least, mut most) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
        if least > most {
            (least, most) = (0.0, 1.0);
        }
        if from_zero {
            (least, most) = (least.min(0.0), most.max(0.0));
        }
        least = given_least.unwrap_or(least);
        most = given_most.unwrap_or(most);
        // A bound beyond all values, which are then not seen.
        if least > most && given_least.is_some() {
            most = least;
        } else if least > most {
            least = most;
        }
        if most - least <= f64::EPSILON * most.abs().max(least.abs()).max(1.0) {
            let half = if most == 0.0 { 0.5 } else { most.abs() * 0.1 };
            // Upwards from zero, unless it ends there.
            let upwards = from_zero && least == 0.0 && given_most.is_none();
            (least, most) = (if upwards { 0.0 } else { least - half }, most + half);
        }
        let step = round_step((most - least) / PARTS);
        let least = given_least.unwrap_or((least / step).floor() * step);
        let most = given_most.unwrap_or((most / step).ceil() * step);
        let first = (least / step).ceil();
        let ticks = (0..=100)
            .map(|at| (first + f64::from(at)) * step)
            .take_while(|tick| *tick <= most + step * 1e-9)
            // Without the dust of binary fractions.
            .map(|tick| if tick.abs() < step * 1e-9 { 0.0 } else { tick })
            .collect();
        Self { least, most, ticks }
    }

    /// 0 at the least value, 1 at the most.
    pub(crate) fn place(&self, value: f64) -> f64 {
        (value - self.least) / (self.most - self.least)
    }
}

/// 1, 2 or 5 times a power of ten, not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.abs().max(f64::MIN_POSITIVE).log10().floor());
    let part = rough / power;
    let round = if part <= 1.0 {
        1.0
    } else if part <= 2.0 {
        2.0
    } else if part <= 5.0 {
        5.0
    } else {
        10.0
    };
    round * power
}

/// With commas between thousands, and at most ten significant digits.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if !(-6.0..15.0).contains(&magnitude) {
        return format!("{value:e}");
    }
    let decimals = (9.0 - magnitude).clamp(0.0, 10.0) as usize;
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let scale = |values: &[f64], zero| Scale::over(values.iter().copied(), zero, None, None).ticks;
        assert_eq!(scale(&[1.0, 2.0], true), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(scale(&[-30.0, 120.0], true), [-50.0, 0.0, 50.0, 100.0, 150.0]);
        assert_eq!(scale(&[1000.0, 1004.0], false), [1000.0, 1001.0, 1002.0, 1003.0, 1004.0]);
        assert_eq!(scale(&[0.0], true), [0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5]);
        assert_eq!(Scale::over([5.0].into_iter(), true, Some(0.0), Some(10.0)).ticks.last(), Some(&10.0));
    }

    /// A bound that is given holds, also beyond all values.
    #[test]
    fn a_bound_leaves_room() {
        for (least, most) in [(None, Some(0.0)), (None, Some(-3.0)), (Some(9.0), None), (Some(0.0), None)] {
            for values in [&[][..], &[0.0], &[1.0, 2.0]] {
                for zero in [true, false] {
                    let scale = Scale::over(values.iter().copied(), zero, least, most);
                    assert!(scale.least < scale.most, "{least:?} {most:?} {values:?} {scale:?}");
                    assert!(
                        least.is_none_or(|least| least == scale.least) && most.is_none_or(|most| most == scale.most)
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, expected) in [
            (0.0, "0"),
            (1234567.0, "1,234,567"),
            (-0.5, "-0.5"),
            (0.30000000000000004, "0.3"),
            (1e-9, "1e-9"),
            (999.0, "999"),
            (12345.678, "12,345.678"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    proptest! {
        #[test]
        fn every_value_has_its_place(values in prop::collection::vec(-1e12_f64..1e12, 1..20), zero in any::<bool>()) {
            let scale = Scale::over(values.iter().copied(), zero, None, None);
            prop_assert!(!scale.ticks.is_empty() && scale.ticks.len() <= 12, "{scale:?}");
            for value in values {
                let place = scale.place(value);
                prop_assert!((-1e-6..=1.000_001).contains(&place), "{value} {scale:?}");
            }
        }
    }
}
