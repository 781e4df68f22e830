/** TypeScript cut into coloured kinds for display: no parser, works on half a line; a wrong guess costs a colour. */

export type TokenKind = "comment" | "string" | "magic" | "number" | "keyword" | "type" | "call" | "plain";

export interface Token {
  kind: TokenKind;
  text: string;
}

const KEYWORDS =
  "abstract as async await break case catch class const continue debugger declare default delete do else enum export extends false finally for from function if implements import in infer instanceof interface is keyof let namespace new null of override private protected public readonly return satisfies static super switch this throw true try type typeof undefined using var void while with yield";

const KINDS: [TokenKind, RegExp][] = [
  ["comment", /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/],
  ["string", /"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\[\s\S]|[^`\\])*`?/],
  ["magic", /^[ \t]*%[^\n]*/],
  ["number", /\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.[\d_]*)?(?:e[+-]?\d+)?)n?\b/],
  ["keyword", new RegExp(`(?<![.\\w$])(?:${KEYWORDS.replaceAll(" ", "|")})(?![\\w$])`)],
  ["type", /(?<![\w$])[A-Z][\w$]*/],
  ["call", /[a-z_$][\w$]*(?=\s*\()/],
  ["plain", /[p{ID_Start}$_][p{ID_Continue}$]*/],
];
const LEXER = new RegExp(KINDS.map(([kind, { source }]) => `(?<${kind}>${source})`).join("|"), "gmu");

/** The whole text, in order. */
export function tokens(code: string): Token[] {
  const list: Token[] = [];
  const push = (kind: TokenKind, text: string): void => {
    if (text) list.push({ kind, text });
  };
  let end = 0;
  for (const match of code.matchAll(LEXER)) {
    push("plain", code.slice(end, match.index));
    push(KINDS.find(([kind]) => match.groups![kind] !== undefined)![0], match[0]);
    end = match.index + match[0].length;
  }
  push("plain", code.slice(end));
  return list;
}
