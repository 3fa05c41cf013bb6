// Markdown tables, found in a text and written as CSV. Pure: knows nothing of the host.

/** Rows of a long table that stay in the text. */
const SHOWN = 3;

export interface Shortened {
  text: string;
  /** One for each table that was long. */
  files: { name: string; csv: string }[];
}

/** The text with every table of more than `most` rows cut short, and those tables whole. */
export function shorten(text: string, most: number): Shortened {
  const lines = text.split('\n');
  const kept: string[] = [];
  const files: { name: string; csv: string }[] = [];
  let fence = '';
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? '';
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === '' && mark !== undefined) fence = mark;
    else if (mark !== undefined && mark[0] === fence[0] && mark.length >= fence.length && line.trim() === mark) fence = '';
    const end = fence === '' ? tableEnd(lines, at) : at;
    const rows = end - at - 2;
    if (rows > most) {
      const name = `table-${files.length + 1}.csv`;
      const cells = [line, ...lines.slice(at + 2, end)].map(split);
      files.push({ name, csv: cells.map((row) => row.map(quote).join(',')).join('\r\n') + '\r\n' });
      kept.push(...lines.slice(at, at + 2 + SHOWN), '', `(${rows} rows: all of them in ${name})`);
      at = end;
    } else {
      kept.push(line);
      at += 1;
    }
  }
  return { text: kept.join('\n'), files };
}

/** Behind the table that begins at the line, or the line itself. */
function tableEnd(lines: string[], at: number): number {
  const head = lines[at] ?? '';
  const rule = lines[at + 1] ?? '';
  if (!head.includes('|') || !/^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(rule)) return at;
  if (split(head).length !== split(rule).length) return at;
  let end = at + 2;
  while (end < lines.length && (lines[end] ?? '').includes('|')) end += 1;
  return end;
}

/** The cells of a row; `\|` stands for a bar inside one. */
function split(line: string): string[] {
  const inner = line.trim().replace(/^\|/, '').replace(/(?<!\\)\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

/** RFC 4180; what a spreadsheet would take for a formula is made text. */
function quote(cell: string): string {
  const formula = /^[=+\-@\t\r]/.test(cell) && !/^[+-]?[\d.,]+%?$/.test(cell);
  const text = formula ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
