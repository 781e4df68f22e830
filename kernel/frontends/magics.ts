/** Lines that begin with `%` at the top of a cell speak to the kernel instead of to TypeScript. */
import type { ErrorReport } from "../bridge/messages.ts";

export type TypesMode = "strict" | "warn" | "off";

/** What magics may change. */
export interface MagicState {
  types: TypesMode;
}

interface Magic {
  usage: string;
  help: string;
  run(argument: string, state: MagicState): string;
}

export class MagicError extends Error {
  override name = "MagicError";
}

const TYPES: Record<TypesMode, string> = {
  strict: "a cell with type errors does not run",
  warn: "type errors are shown under the cell, and it runs",
  off: "no type check",
};

const MAGICS: Record<string, Magic> = {
  types: {
    usage: "%types strict|warn|off",
    help: "What type errors do: strict refuses the cell, warn (the default) shows them under it, off does not look. Alone, says which.",
    run(argument, state) {
      if (argument) {
        if (!(argument in TYPES)) throw new MagicError(`%types takes strict, warn or off, not "${argument}".`);
        state.types = argument as TypesMode;
      }
      return `types: ${state.types} (${TYPES[state.types]})\n`;
    },
  },
};

const help = (): string =>
  `${Object.values(MAGICS)
    .map(({ usage, help }) => `${usage}\n    ${help}`)
    .join("\n")}\nname? name??\n    What is known of a name: its type, signature, documentation.\n%\n    This list.\n`;

/** `name?`, `name??` (more) or `?name` alone in a cell asks what is known of it. */
export function splitQuestion(code: string): { expression: string; detail: 0 | 1 } | null {
  const match = /^\s*(?:([\w$.]+)(\?{1,2})|(\?{1,2})([\w$.]+))\s*$/.exec(code);
  if (!match) return null;
  return { expression: match[1] ?? match[4], detail: (match[2] ?? match[3]).length === 2 ? 1 : 0 };
}

export interface Magics {
  /** The cell with its magic lines blanked, so that positions stay; "" when nothing else is there. */
  code: string;
  run(state: MagicState): { text: string } | { error: ErrorReport };
}

/** Null when the cell begins with none. */
export function splitMagics(code: string): Magics | null {
  const lines = code.split("\n");
  const magics: string[] = [];
  let n = 0;
  for (; n < lines.length; n++) {
    const line = lines[n].trim();
    if (line.startsWith("%")) magics.push(line.slice(1).trim());
    else if (line !== "") break;
  }
  if (magics.length === 0) return null;
  const rest = lines.slice(n).join("\n");
  return {
    code: rest.trim() === "" ? "" : [...lines.slice(0, n).map((line) => " ".repeat(line.length)), rest].join("\n"),
    run(state) {
      try {
        return { text: magics.map((line) => runMagic(line, state)).join("") };
      } catch (error) {
        const { name, message } = error as Error;
        return { error: { name, message, traceback: [`\u001b[31m${name}\u001b[0m: ${message}`] } };
      }
    },
  };
}

function runMagic(line: string, state: MagicState): string {
  const [, name, argument] = /^(\S*)\s*(.*)$/.exec(line)!;
  if (name === "" || name === "help") return help();
  const magic = MAGICS[name];
  if (!magic)
    throw new MagicError(
      `There is no magic %${name}. Known: ${Object.keys(MAGICS)
        .map((m) => `%${m}`)
        .join(", ")}; % alone lists them.`,
    );
  return magic.run(argument, state);
}
