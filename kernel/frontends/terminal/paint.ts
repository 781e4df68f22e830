/** Colours of code in the terminal: the sixteen that every theme defines. */
import { type TokenKind, tokens } from "../../language/tokens.ts";
import type { Piece } from "./layout.ts";

const STYLES: Record<TokenKind, string> = {
  comment: "2",
  string: "32",
  magic: "33",
  number: "33",
  keyword: "35",
  type: "36",
  call: "34",
  plain: "",
};

export const painted = (code: string, color: boolean): Piece[] =>
  color ? tokens(code).map(({ kind, text }) => ({ text, style: STYLES[kind] })) : [{ text: code, style: "" }];
