/** `moescope lab`: JupyterLab on a notebook with our kernel, plugin and settings, all in a folder of ours. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { CliError } from "../cli-error.ts";
import { place } from "./install.ts";
import { bringJupyter, type Jupyter, NoPythonError } from "./jupyter.ts";
import { KERNEL_NAME } from "./kernelspec.ts";
import { jupyterFolder, packageRoot, userDataFolder } from "./paths.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const FIRST = "notebooks/00-first-contact.ipynb";

const say = (line: string): void => void process.stderr.write(`moescope: ${line}\n`);

export async function lab({ notebook, browser }: { notebook?: string; browser: boolean }): Promise<number> {
  const path = resolve(notebook ?? join(packageRoot, FIRST));
  if (!existsSync(path)) throw new CliError(`there is no notebook ${path}`);
  let jupyter: Jupyter;
  try {
    jupyter = await bringJupyter(say);
  } catch (error) {
    if (!(error instanceof NoPythonError)) throw error;
    say(`${error.message}`);
    say("opening the terminal instead, with the small model loaded as `m`");
    const { repl } = await import("../frontends/terminal/start.ts");
    return (await repl({ model: "tiny-scout" })) ?? 0;
  }
  say(`JupyterLab ${jupyter.version} (${jupyter.from})`);
  return serve(jupyter, path, browser && hasDisplay());
}

/** Everything JupyterLab reads and writes lies in our folder; the user's own kernels stay visible to it. */
export function environment(): NodeJS.ProcessEnv {
  const base = jupyterFolder();
  const data = join(base, "data");
  const config = join(base, "config");
  for (const folder of [data, join(config, "labconfig")]) mkdirSync(folder, { recursive: true });
  place(data, "link");
  writeFileSync(join(config, "jupyter_server_config.py"), SERVER_CONFIG);
  writeFileSync(
    join(config, "labconfig/page_config.json"),
    `${JSON.stringify({ disabledExtensions: { "@jupyterlab/apputils-extension:announcements": true } }, null, 2)}\n`,
  );
  const also = [process.env["JUPYTER_PATH"], userDataFolder()].filter(Boolean);
  return {
    ...process.env,
    JUPYTER_DATA_DIR: data,
    JUPYTER_CONFIG_DIR: config,
    JUPYTER_RUNTIME_DIR: join(base, "runtime"),
    JUPYTER_PATH: [data, ...also].join(delimiter),
    // JupyterLab looks for Python kernels, and asks its own yarn for its settings: each would leave a folder in the home of a user who has none.
    ...(existsSync(join(homedir(), ".ipython")) ? {} : { IPYTHONDIR: join(base, "ipython") }),
    npm_config_cache:
      process.env["npm_config_cache"] ?? (existsSync(join(homedir(), ".npm")) ? undefined : join(base, "npm")),
  };
}

async function serve(jupyter: Jupyter, path: string, browser: boolean): Promise<number> {
  const env = environment();
  const isFolder = statSync(path).isDirectory();
  const args = [
    ...jupyter.command.slice(1),
    path,
    ...(browser ? [] : ["--no-browser"]),
    // Ctrl-C was pressed in the terminal that started it; there is nobody else to ask.
    "--ServerApp.answer_yes=True",
    "--Application.log_level=WARN",
    ...(process.getuid?.() === 0 ? ["--allow-root"] : []),
  ];
  const child = spawn(jupyter.command[0], args, {
    cwd: isFolder ? path : dirname(path),
    env,
    stdio: ["ignore", "inherit", "pipe"],
  });
  // Ctrl-C reaches the server itself as well; a signal to us alone must not leave it behind.
  let ending = false;
  const end = () => {
    ending = true;
    child.kill("SIGTERM");
  };
  for (const signal of SIGNALS) process.on(signal, end);
  // What it says while it ends is of no use to the one who ended it.
  passOn(child.stderr!, () => !ending);
  const code = await new Promise<number>((done, fail) => {
    child.on("error", fail);
    child.on("close", (status) => done(status ?? 0));
    void address(env["JUPYTER_RUNTIME_DIR"]!, child.pid!, () => child.exitCode !== null).then((url) => {
      if (url) say(`${browser ? "opening" : "open"} ${url}\nmoescope: Ctrl-C here ends it`);
    });
  });
  for (const signal of SIGNALS) process.off(signal, end);
  return code;
}

/** The server announces its address in a paragraph of its own; we give the one of the notebook instead. */
function passOn(log: NodeJS.ReadableStream, wanted: () => boolean): void {
  const announced =
    /^(?:\s*|\[C [^\]]* ServerApp\]\s*|\s*To access the server, open this file in a browser:|\s*Or copy and paste (?:one of these URLs|this URL):|\s*(?:file|https?):\/\/\S+)$/;
  createInterface({ input: log }).on("line", (line) => {
    if (wanted() && !announced.test(line)) process.stderr.write(`${line}\n`);
  });
}

/** The server writes its address, token included, into files named after its process. */
async function address(runtime: string, pid: number, ended: () => boolean): Promise<string | null> {
  const pages = [`jpserver-file-to-run-${pid}-open.html`, `jpserver-${pid}-open.html`].map((name) =>
    join(runtime, name),
  );
  clearDead(runtime, pid);
  for (let i = 0; i < 600 && !ended(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Its own page is written first, the notebook's after it and before the server serves.
    if (!existsSync(join(runtime, `jpserver-${pid}.json`))) continue;
    const page = pages.find((path) => existsSync(path));
    const link = page && /href="([^"]+)"/.exec(readFileSync(page, "utf8"))?.[1].replaceAll("&amp;", "&");
    if (link) return link;
  }
  return null;
}

/** A server that was killed leaves its files; a new process may get its number. */
function clearDead(runtime: string, pid: number): void {
  if (!existsSync(runtime)) return;
  for (const name of readdirSync(runtime)) {
    const path = join(runtime, name);
    if (name.startsWith("jpserver-") && name.includes(String(pid)) && statSync(path).mtimeMs < Date.now() - 60_000)
      unlinkSync(path);
  }
}

/** Can a browser be shown here? */
function hasDisplay(): boolean {
  if (process.env["SSH_CONNECTION"] && !process.env["DISPLAY"]) return false;
  return (
    process.platform !== "linux" ||
    Boolean(process.env["DISPLAY"] || process.env["WAYLAND_DISPLAY"] || process.env["WSL_DISTRO_NAME"])
  );
}

const SERVER_CONFIG = `# Written by Moescope at each start.
c = get_config()  # noqa: F821
c.MultiKernelManager.default_kernel_name = "${KERNEL_NAME}"

# The server's WebSocket leaves Nagle's algorithm on, which holds every small reply back for some 40 ms.
try:
    from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

    _open = KernelWebsocketHandler.open

    async def _open_without_delay(self, *args, **kwargs):
        self.set_nodelay(True)
        return await _open(self, *args, **kwargs)

    KernelWebsocketHandler.open = _open_without_delay
except (ImportError, AttributeError):
    pass
`;
