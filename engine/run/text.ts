import type { Captured } from "./captured.ts";

/** The text of the rows that are wanted, decoded together, so that characters that several tokens share come out whole. */
export function runText(run: Captured, wanted: (t: number) => boolean): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let out = "";
  for (let t = 0; t < run.tokens.length; t++)
    if (wanted(t)) out += decoder.decode(run.tokenBytes(run.tokens.ids[t]), { stream: true });
  return out + decoder.decode();
}
