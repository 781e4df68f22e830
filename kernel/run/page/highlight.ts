/** Code with classes for its colours. */
import { tokens } from "../../language/tokens.ts";
import { escapeHtml } from "./sanitize.ts";

export const highlight = (code: string): string =>
  tokens(code)
    .map(({ kind, text }) =>
      kind === "plain" ? escapeHtml(text) : `<span class="hl-${kind}">${escapeHtml(text)}</span>`,
    )
    .join("");
