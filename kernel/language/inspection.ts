/** Hover and signature help as a MIME bundle: markdown as the server wrote it, and the same without its marks. */
import type { LiveValues } from "../bridge/language.ts";
import type { MimeBundle } from "../display/mime.ts";

const WORD = /[\p{ID_Continue}$.]*$/u;

/** What is known of the value under the cursor, asked for with detail 1. */
export async function valueAt(live: LiveValues, code: string, cursor: number, detail: 0 | 1): Promise<string | null> {
  const word = WORD.exec(code.slice(0, cursor))![0] + /^[\p{ID_Continue}$]*/u.exec(code.slice(cursor))![0];
  return detail > 0 && word ? live.describe(word).catch(() => null) : null;
}

export interface Hover {
  contents?: { value: string } | string;
}
export interface Signatures {
  signatures?: { label: string; documentation?: { value: string } | string }[];
  activeSignature?: number;
}

export function inspection(hover: Hover | null, help: Signatures | null, value: string | null): MimeBundle | null {
  const parts: string[] = [];
  const text = typeof hover?.contents === "string" ? hover.contents : hover?.contents?.value;
  if (text?.trim()) parts.push(tidy(text.trim()));
  else if (help?.signatures?.length) {
    const { label, documentation } = help.signatures[help.activeSignature ?? 0];
    const doc = typeof documentation === "string" ? documentation : documentation?.value;
    parts.push(["```typescript", label, "```", ...(doc ? ["", tidy(doc.trim())] : [])].join("\n"));
    if (help.signatures.length > 1) parts.push(`and ${help.signatures.length - 1} more overloads`);
  }
  if (value) parts.push(["```typescript", `= ${value}`, "```"].join("\n"));
  if (!parts.length) return null;
  const markdown = parts.join("\n\n");
  return { "text/markdown": markdown, "text/plain": plain(markdown) };
}

/** Paths of declaration files mean nothing in a notebook's page: links to them keep their text. "(alias)" tells how cells are joined, not what the name is. */
function tidy(markdown: string): string {
  return mapProse(markdown, (text) => text.replace(/\[([^\]\n]+)\]\(file:[^)\n]*\)/g, "$1")).replace(
    /^\(alias\) /gm,
    "",
  );
}

function plain(markdown: string): string {
  const text = mapProse(markdown, (prose) =>
    prose.replace(/\[([^\]\n]+)\]\([^)\n]*\)/g, "$1").replace(/^(\s*)\*(@\w+)\*/gm, "$1$2"),
  );
  return text
    .replace(/^```.*\n?/gm, "")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

/** Changes what stands outside of fenced code. */
function mapProse(markdown: string, change: (prose: string) => string): string {
  return markdown
    .split(/(^```[\s\S]*?^```)/m)
    .map((part) => (part.startsWith("```") ? part : change(part)))
    .join("");
}
