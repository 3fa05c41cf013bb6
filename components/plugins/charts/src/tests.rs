//! Whole drawings.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn draw(option: &serde_json::Value) -> Result<Drawing, Refusal> {
    render(&option.to_string(), 800, 400, Theme::named(None).unwrap())
}

fn svg(option: &serde_json::Value) -> String {
    draw(option).unwrap().svg
}

fn refusal(option: &serde_json::Value) -> Refusal {
    draw(option).unwrap_err()
}

/// Bars are the only filled paths of their own colour.
fn bars(svg: &str) -> usize {
    svg.matches("\" fill=\"#4f46e5\"/>").count()
}

/// examples.md #1
#[test]
fn two_bars() {
    let svg = svg(
        &json!({"xAxis": {"type": "category", "data": ["a", "b"]}, "yAxis": {}, "series": [{"type": "bar", "data": [1, 2]}]}),
    );
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"400\""), "{svg}");
    assert_eq!(bars(&svg), 2, "{svg}");
    // The house style: half the band wide, on the baseline, the higher one twice as high.
    assert!(svg.contains("M148.5 352L148.5 211Q148.5 206 153.5 206"), "{svg}");
    assert!(svg.contains("M502.5 352L502.5 65Q502.5 60 507.5 60"), "{svg}");
    for label in [">a<", ">b<", ">0.5<", ">2<"] {
        assert!(svg.contains(label), "{label}");
    }
}

/// examples.md #2
#[test]
fn what_is_too_large_is_refused() {
    let theme = Theme::named(None).unwrap();
    let option = json!({"series": [{"type": "bar", "data": [1]}]}).to_string();
    for (width, height) in [(5000, 400), (800, 4097), (10, 400)] {
        assert_eq!(render(&option, width, height, theme).unwrap_err().code(), "limit");
    }
    assert_eq!(refusal(&json!({"series": [{"type": "line", "data": vec![1; MOST_POINTS + 1]}]})).code(), "limit");
    assert_eq!(render(&" ".repeat(MOST_OPTION_BYTES + 1), 800, 400, theme).unwrap_err().code(), "limit");
}

/// examples.md #3
#[test]
fn functions_are_refused() {
    for code in [
        "function (value) { return value + '€' }",
        "(p) => p.value",
        "v=>v*2",
        "async (a, b) => a",
        "({value}) => value",
    ] {
        let option = json!({"yAxis": {"axisLabel": {"formatter": code}}, "series": [{"type": "bar", "data": [1]}]});
        let refusal = refusal(&option);
        assert_eq!(refusal.code(), "unsupported", "{code}");
        assert!(refusal.to_string().contains("option.yAxis.axisLabel.formatter is a function"), "{refusal}");
    }
    for text in ["{value} €", "the function (of time)", "a => b is an arrow in prose", "x > y"] {
        let option = json!({"title": {"text": text}, "series": [{"type": "bar", "data": [1]}]});
        assert!(draw(&option).is_ok(), "{text}");
    }
    assert!(render("{series: [function() {}]}", 800, 400, Theme::named(None).unwrap()).is_err());
}

#[test]
fn text_cannot_become_markup() {
    let evil = "<script>\"&'\u{0}";
    let svg = svg(&json!({
        "title": {"text": evil, "subtext": evil},
        "xAxis": {"data": [evil], "name": evil},
        "series": [{"type": "bar", "name": evil, "data": [{"value": 1, "name": evil}], "label": {"show": true, "formatter": "{a}{b}"}}, {"type": "line", "name": evil, "data": [1]}]
    }));
    assert!(!svg.contains("<script") && !svg.contains('\0') && svg.contains("&lt;script&gt;"), "{svg}");
    for color in ["red\" onload=\"x", "url(http://x)", "<", ""] {
        let option = json!({"color": [color], "series": [{"type": "bar", "data": [1]}]});
        assert_eq!(refusal(&option).code(), "invalid-option", "{color}");
        let option = json!({"series": [{"type": "bar", "data": [{"value": 1, "itemStyle": {"color": color}}]}]});
        assert_eq!(refusal(&option).code(), "invalid-option", "{color}");
    }
}

#[test]
fn what_is_not_drawn_is_named() {
    for (option, expected) in [
        (json!({"series": [{"type": "radar", "data": []}]}), "radar"),
        (json!({"dataset": {}, "series": [{"type": "bar", "data": [1]}]}), "`dataset`"),
        (json!({"xAxis": {"type": "time"}, "series": [{"type": "line", "data": [[1, 2]]}]}), "`time`"),
        (json!({"series": []}), "0 series"),
        (json!({}), "no series"),
        (json!({"series": [{"type": "pie", "data": [1]}, {"type": "bar", "data": [1]}]}), "alone"),
        (json!({"series": [{"type": "bar", "data": ["many"]}]}), "data[0]"),
        (json!({"series": [{"type": "pie", "data": [{"name": "a", "value": -1}]}]}), "below zero"),
        (json!({"yAxis": [{}, {}], "series": [{"type": "bar", "data": [1]}]}), "one yAxis"),
    ] {
        let refusal = refusal(&option);
        assert!(refusal.to_string().contains(expected), "{refusal}");
    }
    let drawing = draw(&json!({"tooltip": {}, "series": [{"type": "bar", "data": [1], "markLine": {}}]})).unwrap();
    assert_eq!(drawing.ignored, ["tooltip", "series[0].markLine"]);
}

#[test]
fn lines_bend_and_have_gaps() {
    let svg = svg(
        &json!({"xAxis": {"data": ["a", "b", "c", "d", "e"]}, "series": [{"type": "line", "data": [1, 3, 2, null, 5]}]}),
    );
    assert_eq!(svg.matches("fill=\"none\"").count(), 2, "a gap makes two lines");
    assert_eq!(svg.matches("<circle").count(), 4);
    assert!(svg.contains('C') && svg.contains("fill-opacity=\"0.12\""));
    let straight = self::svg(
        &json!({"series": [{"type": "line", "smooth": false, "data": [1, 3, 2]}, {"type": "line", "name": "b", "data": [1, 2]}]}),
    );
    assert!(!straight.contains("fill-opacity"), "only a single line is filled");
}

#[test]
fn stacks_share_their_place() {
    let svg = svg(&json!({
        "xAxis": {"data": ["a"]},
        "series": [
            {"type": "bar", "name": "one", "stack": "s", "data": [1]},
            {"type": "bar", "name": "two", "stack": "s", "data": [3]},
            {"type": "bar", "name": "three", "data": [2]}
        ]
    }));
    // Four high in all, and three names in the legend.
    assert!(svg.contains(">4<") && svg.contains(">one<") && svg.contains(">three<"), "{svg}");
}

#[test]
fn bars_lie_on_their_side() {
    let svg = svg(
        &json!({"yAxis": {"type": "category", "data": ["a", "b"]}, "xAxis": {"type": "value"}, "series": [{"type": "bar", "data": [1, -2]}]}),
    );
    assert_eq!(bars(&svg), 2, "{svg}");
    assert!(svg.contains("text-anchor=\"start\">-2<"), "{svg}");
}

#[test]
fn pies_and_rings() {
    let option = |radius: serde_json::Value| json!({"title": {"text": "T"}, "series": [{"type": "pie", "radius": radius, "data": [{"name": "a", "value": 1}, {"name": "b", "value": 3}, {"name": "none", "value": 0}]}]});
    let pie = svg(&option(json!("70%")));
    assert_eq!(pie.matches("<path").count(), 2);
    assert!(pie.contains(">a (25 %)<") && pie.contains(">b (75 %)<") && !pie.contains("none"), "{pie}");
    let arcs = |svg: &str| {
        svg.matches(" 0 0 1 ").count()
            + svg.matches(" 0 0 0 ").count()
            + svg.matches(" 0 1 1 ").count()
            + svg.matches(" 0 1 0 ").count()
    };
    assert_eq!((arcs(&pie), arcs(&svg(&option(json!(["40%", "70%"]))))), (2, 4), "a ring has an inner arc as well");
    let whole = svg(&json!({"series": [{"type": "pie", "data": [{"name": "all", "value": 5}]}]}));
    assert!(whole.contains(">all (100 %)<"));
}

#[test]
fn scattered_points_need_no_zero() {
    let svg =
        svg(&json!({"xAxis": {}, "yAxis": {}, "series": [{"type": "scatter", "data": [[100, 1000], [101, 1004]]}]}));
    assert_eq!(svg.matches("fill-opacity=\"0.7\"").count(), 2);
    assert!(!svg.contains(">0<"), "{svg}");
}

/// Middles of the circles, in their order.
fn circles(svg: &str) -> Vec<(f64, f64)> {
    let number = |circle: &str, name: &str| -> f64 {
        let rest = circle.split_once(&format!(" {name}=\"")).unwrap().1;
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    svg.split("<circle").skip(1).map(|circle| (number(circle, "cx"), number(circle, "cy"))).collect()
}

/// Where the label stands: of names on the x axis, the middle of their place.
fn label_x(svg: &str, label: &str) -> f64 {
    let before = svg.split_once(&format!(">{label}<")).unwrap().0;
    before.rsplit_once(" x=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap()
}

/// A pair is drawn over the name that it gives, or that its index stands for.
#[test]
fn pairs_lie_over_their_names() {
    for (kind, data) in [
        ("line", json!([["Jan", 3], ["Mar", 5]])),
        ("line", json!([[0, 3], [2, 5]])),
        ("scatter", json!([{"value": ["Jan", 3]}, [2.0, 5]])),
    ] {
        let names = json!({"type": "category", "data": ["Jan", "Feb", "Mar"]});
        let svg = svg(&json!({"xAxis": names, "series": [{"type": kind, "smooth": false, "data": data}]}));
        let x: Vec<f64> = circles(&svg).iter().map(|middle| middle.0).collect();
        assert_eq!(x, [label_x(&svg, "Jan"), label_x(&svg, "Mar")], "{kind} {data}");
    }
    let bars = svg(
        &json!({"xAxis": {"data": ["Jan", "Feb", "Mar"]}, "series": [{"type": "bar", "data": [["Mar", 5]], "label": {"show": true, "formatter": "{b}={c}"}}]}),
    );
    assert_eq!(label_x(&bars, "Mar=5"), label_x(&bars, "Mar"));
    // One on the other, where they are of the same month.
    let stacked = svg(&json!({
        "xAxis": {"data": ["Jan", "Feb"]},
        "series": [
            {"type": "bar", "stack": "s", "data": [["Feb", 4]]},
            {"type": "bar", "stack": "s", "data": [["Jan", 5], ["Feb", 4]]}
        ]
    }));
    assert!(stacked.contains(">8<"), "{stacked}");
}

/// Without a list the axis has the names of its points, of all series.
#[test]
fn names_come_from_the_points() {
    let svg = svg(&json!({"series": [
        {"type": "line", "smooth": false, "data": [["Jan", 1], ["Feb", 2]]},
        {"type": "line", "smooth": false, "data": [["Feb", 3], [2027, 4], ["Feb", 5]]}
    ]}));
    let x: Vec<f64> = circles(&svg).iter().map(|middle| middle.0).collect();
    let [jan, feb, year] = ["Jan", "Feb", "2027"].map(|name| label_x(&svg, name));
    assert!(jan < feb && feb < year);
    assert_eq!(x, [jan, feb, feb, year, feb]);
    assert_eq!(svg.matches("y=\"374\"").count(), 3, "no place is left over: {svg}");
}

/// x comes first in a pair, also where y has the names.
#[test]
fn pairs_lie_beside_their_names() {
    let option = |data| json!({"yAxis": {"type": "category", "data": ["a", "b", "c"]}, "xAxis": {"type": "value"}, "series": [{"type": "line", "data": data}]});
    let plain = circles(&svg(&option(json!([1, null, 4]))));
    assert_eq!(circles(&svg(&option(json!([[1, "a"], [4, "c"]])))), plain);
    assert_eq!(circles(&svg(&option(json!([[1, 0], [4, 2]])))), plain);
    assert!(refusal(&option(json!([["a", 1]]))).to_string().contains("data[0] is no number"));
}

#[test]
fn what_has_no_place_is_refused() {
    let names = json!({"data": ["Jan", "Feb"]});
    for (data, expected) in [
        (json!([["Jan", 1], ["Mar", 2]]), "series[0].data[1] is at `Mar`, which is none of the axis' names"),
        (json!([[2, 1]]), "series[0].data[0] is at no place of the axis, which has 0 to 1"),
        (json!([[0.5, 1]]), "no place"),
        (json!([[-1, 1]]), "no place"),
        (json!([[null, 1]]), "is no number"),
    ] {
        let refusal = refusal(&json!({"xAxis": names, "series": [{"type": "bar", "data": data}]}));
        assert!(refusal.to_string().contains(expected), "{refusal}");
        assert_eq!(refusal.code(), "invalid-option");
    }
    let numbers = json!({"xAxis": {"type": "value"}, "series": [{"type": "scatter", "data": [["Jan", 3]]}]});
    assert_eq!(refusal(&numbers).code(), "invalid-option");
    let beside = json!({"yAxis": {"type": "category", "data": ["a"]}, "xAxis": {}, "series": [{"type": "scatter", "data": [[100, 0]]}]});
    assert_eq!(refusal(&beside).code(), "unsupported");
    for (min, max) in [(10, 5), (5, 5)] {
        let option = json!({"yAxis": {"min": min, "max": max}, "series": [{"type": "bar", "data": [1]}]});
        assert!(refusal(&option).to_string().contains("yAxis.min"), "{min} {max}");
    }
}

#[test]
fn themes_and_colours() {
    let option = json!({"series": [{"type": "bar", "data": [1]}]}).to_string();
    let dark = render(&option, 800, 400, Theme::named(Some("dark")).unwrap()).unwrap().svg;
    assert!(dark.contains("fill=\"#111827\"") && dark.contains("#818cf8"));
    assert_eq!(Theme::named(Some("neon")).unwrap_err().code(), "unsupported");
}

#[test]
fn every_shape_is_json() {
    for (name, shape) in schema::TYPES.iter().chain(schema::COMPONENTS) {
        assert!(serde_json::from_str::<serde_json::Value>(shape).is_ok(), "{name}");
    }
    for (name, shape) in schema::TYPES {
        let mut series: serde_json::Value = serde_json::from_str(shape).unwrap();
        if *name == "pie" {
            series["radius"] = json!("70%");
        }
        draw(&json!({"series": [series]})).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(schema::shape("radar").is_none());
}

proptest! {
    /// Whatever the numbers and texts, the result has the balance of XML and no infinite number.
    #[test]
    fn any_data_is_drawn_or_refused(
        kind in prop::sample::select(vec!["bar", "line", "scatter", "pie"]),
        values in prop::collection::vec(prop::option::of(-1e300_f64..1e300), 0..12),
        name in "\\PC{0,12}",
        grid in prop::option::of(-50_i32..500),
        sideways in any::<bool>(),
        (min, max) in (prop::option::of(-9_i32..9), prop::option::of(-9_i32..9)),
    ) {
        let data: Vec<_> = values.iter().map(|value| json!({"value": value, "name": name})).collect();
        let mut option = json!({"title": {"text": name}, "grid": {"left": grid}, "series": [{"type": kind, "name": name, "data": data}]});
        option["yAxis"] = json!({"min": min, "max": max});
        if sideways {
            option["yAxis"] = json!({"type": "category"});
            option["xAxis"] = json!({"type": "value", "min": min, "max": max});
        }
        if let Ok(drawing) = draw(&option) {
            prop_assert!(!drawing.svg.contains("NaN") && !drawing.svg.contains("inf\""), "{}", drawing.svg);
            prop_assert_eq!(drawing.svg.matches("<text").count(), drawing.svg.matches("</text>").count());
        }
    }
}
