/** The `moescope` program: one verb, its options, and an exit code. 0: done; 1: what was asked for failed (a cell threw); 2: it could not be tried (usage, something missing). */
import { parseArgs } from "node:util";
import { CliError } from "./cli-error.ts";

type Options = Record<string, { type: "boolean" | "string"; short?: string; value?: string; help: string }>;
type Values = Record<string, string | boolean | undefined>;

interface Verb {
  summary: string;
  /** Names of the positional arguments; `[x]` may be left out. */
  args: string[];
  options?: Options;
  /** Modules are loaded here, so that one verb does not wait for another's. */
  run(args: string[], values: Values): Promise<number | undefined>;
}

const VERBS: Record<string, Verb> = {
  lab: {
    summary:
      "open JupyterLab on a notebook, with this kernel and its renderer (nothing is installed for other programs)",
    args: ["[NOTEBOOK]"],
    options: { "no-browser": { type: "boolean", help: "only print the address" } },
    run: async ([notebook], values) =>
      (await import("./install/lab.ts")).lab({ notebook, browser: !values["no-browser"] }),
  },
  repl: {
    summary: "TypeScript at a prompt, in this terminal; executes what is piped into it",
    args: [],
    options: { model: { type: "string", value: "NAME", help: "begin with this model loaded as `m`" } },
    run: async (_, values) =>
      (await import("./frontends/terminal/start.ts")).repl({ model: values["model"] as string | undefined }),
  },
  run: {
    summary: "execute a notebook (.ipynb) or a script (.ts, as one cell), without Jupyter",
    args: ["FILE"],
    options: {
      out: {
        type: "string",
        short: "o",
        value: "FILE",
        help: "write the executed notebook there (default for a notebook: in place)",
      },
      html: { type: "string", value: "FILE", help: "write one self-contained page" },
      "allow-errors": { type: "boolean", help: "go on after a failing cell" },
      timeout: { type: "string", value: "S", help: "seconds a cell may take; then it is interrupted" },
    },
    run: async ([file], values) =>
      (await import("./run/start.ts")).run(file, { ...values, allowErrors: values["allow-errors"] === true }),
  },
  kernel: {
    summary: "serve a Jupyter front end (what Jupyter calls)",
    args: ["CONNECTION_FILE"],
    run: async ([file]) => {
      await (await import("./kernel.ts")).startKernel(file);
      return undefined;
    },
  },
  install: {
    summary: "make the kernel and its renderer known to your Jupyter programs",
    args: [],
    options: {
      user: { type: "boolean", help: "for you alone (default)" },
      prefix: { type: "string", value: "DIR", help: "into DIR/share/jupyter, e.g. a virtual environment" },
    },
    run: async (_, values) => (await import("./install/install.ts")).install(values),
  },
  uninstall: {
    summary: "remove what `install` wrote",
    args: [],
    options: {
      user: { type: "boolean", help: "for you alone (default)" },
      prefix: { type: "string", value: "DIR", help: "from DIR/share/jupyter" },
    },
    run: async (_, values) => (await import("./install/install.ts")).uninstall(values),
  },
  doctor: {
    summary: "say what works on this machine, and how to get what does not",
    args: [],
    run: async () => (await import("./install/doctor.ts")).doctor(),
  },
};

/** What a file that was named turned out not to be. */
const FILE_ERRORS = new Set(["ConnectionFileError", "NotebookError"]);

/** Runs the program. Sets `process.exitCode`, or ends the process when the verb fails; resolves when the verb is done or runs by itself. */
export async function main(argv: string[]): Promise<void> {
  // Whoever reads our output may stop reading (`| head`).
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  try {
    process.exitCode = (await dispatch(argv)) ?? 0;
  } catch (error) {
    const known = error instanceof CliError || FILE_ERRORS.has((error as Error)?.name);
    process.stderr.write(`moescope: ${known ? (error as Error).message : ((error as Error)?.stack ?? error)}\n`);
    // Not only the exit code: a front end may be waiting in its worker for a session that failed to start.
    process.exit(known ? 2 : 1);
  }
}

async function dispatch(argv: string[]): Promise<number | undefined> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(rest[0] && rest[0] in VERBS ? verbHelp(rest[0]) : help());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version" || name === "-v") {
    const { packageVersion } = await import("./install/paths.ts");
    process.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (!verb)
    throw new CliError(
      `there is no "${name}".${suggestion(name)} Its verbs: ${Object.keys(VERBS).join(", ")}. More: moescope --help`,
    );
  const { values, positionals } = parse(name, verb, rest);
  if (values["help"]) {
    process.stdout.write(verbHelp(name));
    return 0;
  }
  const required = verb.args.filter((arg) => !arg.startsWith("[")).length;
  if (positionals.length < required) throw new CliError(`${name} needs ${verb.args.join(" ")}. Usage: ${usage(name)}`);
  if (positionals.length > verb.args.length)
    throw new CliError(`${name} does not take "${positionals[verb.args.length]}". Usage: ${usage(name)}`);
  return verb.run(positionals, values);
}

function parse(name: string, verb: Verb, argv: string[]): { values: Values; positionals: string[] } {
  const options: Record<string, { type: "boolean" | "string"; short?: string }> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [key, { type, short }] of Object.entries(verb.options ?? {}))
    options[key] = short ? { type, short } : { type };
  try {
    return parseArgs({ args: argv, options, allowPositionals: true, strict: true }) as {
      values: Values;
      positionals: string[];
    };
  } catch (error) {
    const unknown = /Unknown option '-*([^']+)'/.exec((error as Error).message)?.[1];
    if (!unknown) throw new CliError(`${(error as Error).message}. Usage: ${usage(name)}`);
    const near = nearest(unknown, Object.keys(options));
    throw new CliError(
      `${name} has no option "${unknown}".${near ? ` Did you mean --${near}?` : ""} Usage: ${usage(name)}`,
    );
  }
}

function usage(name: string): string {
  const { args, options = {} } = VERBS[name];
  const flags = Object.entries(options).map(([key, { value }]) => `[--${key}${value ? ` ${value}` : ""}]`);
  return ["moescope", name, ...args, ...flags].join(" ");
}

function verbHelp(name: string): string {
  const { summary, options = {} } = VERBS[name];
  const rows = Object.entries(options).map(([key, { short, value, help: text }]) => [
    `${short ? `-${short}, ` : ""}--${key}${value ? ` ${value}` : ""}`,
    text,
  ]);
  return `${usage(name)}\n\n${summary}\n${rows.length ? `\n${columns(rows)}` : ""}`;
}

function help(): string {
  const rows = Object.entries(VERBS).map(([name, { args, summary }]) => [[name, ...args].join(" "), summary]);
  return [
    "Moescope: a microscope for mixture-of-experts transformers, in a TypeScript notebook.\n",
    "Usage: moescope VERB [options]\n",
    columns(rows),
    "moescope VERB --help tells more. Exit codes: 0 done, 1 a cell or check failed, 2 it could not be tried.\n",
  ].join("\n");
}

function columns(rows: string[][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}

function suggestion(name: string): string {
  const near = nearest(name, Object.keys(VERBS));
  return near ? ` Did you mean "${near}"?` : "";
}

/** The name at most two typing mistakes away, or one that begins alike. */
export function nearest(word: string, names: string[]): string | null {
  let best: string | null = null;
  let least = 3;
  for (const name of names) {
    const distance = word.length > 1 && name.startsWith(word) ? 1 : editDistance(word.toLowerCase(), name);
    if (distance < least && distance < name.length) [best, least] = [name, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + Number(a[i - 1] !== b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length];
}
