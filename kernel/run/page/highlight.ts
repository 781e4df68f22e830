/** TypeScript coloured for reading: comments, strings, numbers, keywords, types, calls. No parser; a wrong guess costs a colour. */
import { escapeHtml } from "./sanitize.ts";

const KEYWORDS =
  "abstract as async await break case catch class const continue debugger declare default delete do else enum export extends false finally for from function if implements import in infer instanceof interface is keyof let namespace new null of override private protected public readonly return satisfies static super switch this throw true try type typeof undefined using var void while with yield";

const TOKENS: [string, RegExp][] = [
  ["comment", /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/],
  ["string", /"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\[\s\S]|[^`\\])*`?/],
  ["magic", /^[ \t]*(?:%{1,2}|!)[^\n]*/],
  ["number", /\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.[\d_]*)?(?:e[+-]?\d+)?)n?\b/],
  ["keyword", new RegExp(`(?<![.\\w$])(?:${KEYWORDS.replaceAll(" ", "|")})(?![\\w$])`)],
  ["type", /(?<![\w$])[A-Z][\w$]*/],
  ["call", /[a-z_$][\w$]*(?=\s*\()/],
  ["name", /[p{ID_Start}$_][p{ID_Continue}$]*/],
];
const LEXER = new RegExp(TOKENS.map(([name, { source }]) => `(?<${name}>${source})`).join("|"), "gmu");

export function highlight(code: string): string {
  let out = "";
  let end = 0;
  for (const match of code.matchAll(LEXER)) {
    out += escapeHtml(code.slice(end, match.index));
    const kind = TOKENS.find(([name]) => match.groups![name] !== undefined)![0];
    out += kind === "name" ? escapeHtml(match[0]) : `<span class="hl-${kind}">${escapeHtml(match[0])}</span>`;
    end = match.index + match[0].length;
  }
  return out + escapeHtml(code.slice(end));
}
