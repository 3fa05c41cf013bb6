//! What `charts schema` tells: the shape of each type and component that is drawn.

/// Names of the types, then those of the components.
pub const TYPES: &[(&str, &str)] = &[
    (
        "bar",
        r##"{"type":"bar","name":"text","data":[1,null,{"value":3,"name":"text","itemStyle":{"color":"#dc2626"}}],"stack":"text","barWidth":"50%","itemStyle":{"color":"#4f46e5"},"label":{"show":true,"formatter":"{c} €"}}"##,
    ),
    (
        "line",
        r##"{"type":"line","name":"text","data":[1,null,3],"smooth":true,"stack":"text","areaStyle":{},"symbolSize":7,"lineStyle":{"width":3,"type":"solid|dashed","color":"#4f46e5"},"label":{"show":false,"formatter":"{c}"}}"##,
    ),
    (
        "pie",
        r##"{"type":"pie","name":"text","data":[{"name":"text","value":1}],"radius":"70%|[\"40%\",\"70%\"]","label":{"show":true,"formatter":"{b}: {c} ({d} %)"}}"##,
    ),
    (
        "scatter",
        r##"{"type":"scatter","name":"text","data":[[1.5,2]],"symbolSize":8,"itemStyle":{"color":"#4f46e5"},"label":{"show":false}}"##,
    ),
];

pub const COMPONENTS: &[(&str, &str)] = &[
    (
        "title",
        r##"{"text":"text","subtext":"text","left":"center|left|right","textStyle":{"color":"#111827","fontSize":16}}"##,
    ),
    ("legend", r#"{"show":true}"#),
    ("grid", r#"{"left":60,"right":32,"top":60,"bottom":"12%"}"#),
    (
        "xAxis",
        r##"{"type":"category|value","data":["text"],"name":"text","min":0,"max":100,"scale":false,"axisLabel":{"formatter":"{value} €","rotate":0}}"##,
    ),
    (
        "yAxis",
        r#"{"type":"value|category","data":["text"],"name":"text","min":0,"max":100,"scale":false,"axisLabel":{"formatter":"{value} €"}}"#,
    ),
    ("color", r##"["#4f46e5","#0d9488"]"##),
    ("backgroundColor", r##""#ffffff""##),
];

/// The shape of a type or component, as an example in JSON.
pub fn shape(name: &str) -> Option<&'static str> {
    TYPES.iter().chain(COMPONENTS).find(|(known, _)| *known == name).map(|(_, shape)| *shape)
}
