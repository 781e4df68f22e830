/** Columns that text takes in a terminal: graphemes, wide East Asian letters and emoji count as two. */

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

export function* graphemesOf(text: string): Generator<string> {
  // Nearly all text: no need to ask the segmenter.
  if (/^[\x20-\x7e]*$/.test(text)) yield* text;
  else for (const { segment } of graphemes.segment(text)) yield segment;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;
const NONE = /^[\p{Mark}\p{Cf}\p{Cc}]+$/u;

export function graphemeWidth(grapheme: string): number {
  if (grapheme.length === 1 && grapheme >= " " && grapheme < "\x7f") return 1;
  return NONE.test(grapheme) ? 0 : WIDE.test(grapheme) ? 2 : 1;
}

export function textWidth(text: string): number {
  let width = 0;
  for (const grapheme of graphemesOf(text)) width += graphemeWidth(grapheme);
  return width;
}

/** Cuts to at most so many columns, with an ellipsis when something is lost. */
export function fit(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let out = "";
  let width = 0;
  for (const grapheme of graphemesOf(text)) {
    width += graphemeWidth(grapheme);
    if (width > columns - 1) break;
    out += grapheme;
  }
  return `${out}…`;
}
