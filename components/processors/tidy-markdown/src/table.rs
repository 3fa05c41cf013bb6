//! One table as a list.

use mercury_text::tables;

/// An item for each row: its first cell in bold, then the others with the names of their columns
/// (without, where there is only one other). None where no row is wider than `width` characters,
/// or there is no row.
pub(crate) fn as_list(header: &str, rows: &[&str], width: usize) -> Option<Vec<String>> {
    let names = tables::cells(header);
    let rows: Vec<_> = rows.iter().map(|row| tables::cells(row)).collect();
    let longest = rows.iter().chain([&names]).map(|cells| row_width(cells)).max().unwrap_or(0);
    if longest <= width {
        return None;
    }
    let items: Vec<_> = rows.iter().filter_map(|row| item(&names, row)).collect();
    (!items.is_empty()).then_some(items)
}

/// As shown: cells with one bar and two blanks between them.
fn row_width(cells: &[String]) -> usize {
    cells.iter().map(|cell| cell.chars().count()).sum::<usize>() + cells.len().saturating_sub(1) * 3
}

fn item(names: &[String], row: &[String]) -> Option<String> {
    let (first, others) = row.split_first()?;
    let others: Vec<_> = others
        .iter()
        .enumerate()
        .filter(|(_, cell)| !cell.is_empty())
        .map(|(at, cell)| match names.get(at + 1).filter(|name| !name.is_empty() && names.len() > 2) {
            Some(name) => format!("{name} {cell}"),
            None => cell.clone(),
        })
        .collect();
    let others = others.join("; ");
    let first = first.trim_matches('*').trim();
    match (first.is_empty(), others.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("- {others}")),
        (false, true) => Some(format!("- **{first}**")),
        (false, false) => Some(format!("- **{first}**: {others}")),
    }
}
