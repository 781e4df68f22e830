/** `moescope lab`: JupyterLab on a notebook with our kernel, plugin and settings, all in a folder of ours. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { CliError } from "../cli-error.ts";
import { place } from "./install.ts";
import { bringJupyter, type Jupyter, NoPythonError } from "./jupyter.ts";
import { jupyterFolder, packageRoot, userDataFolder } from "./paths.ts";

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
    stdio: ["ignore", "inherit", "inherit"],
  });
  const wait = () => {};
  process.on("SIGINT", wait);
  const terminate = () => child.kill("SIGTERM");
  process.on("SIGTERM", terminate);
  const code = await new Promise<number>((done, fail) => {
    child.on("error", fail);
    child.on("close", (status) => done(status ?? 0));
    void address(env["JUPYTER_RUNTIME_DIR"]!, child.pid!, () => child.exitCode !== null).then((url) => {
      if (url) say(`${browser ? "opening" : "open"} ${url}\nmoescope: Ctrl-C here ends it`);
    });
  });
  process.off("SIGINT", wait);
  process.off("SIGTERM", terminate);
  return code;
}

/** The server writes its address and token into a file named after its process. */
async function address(runtime: string, pid: number, ended: () => boolean): Promise<string | null> {
  const page = join(runtime, `jpserver-${pid}-open.html`);
  const list = join(runtime, `jpserver-${pid}.json`);
  clearDead(runtime, pid);
  for (let i = 0; i < 600 && !ended(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (!existsSync(list)) continue;
    const link = existsSync(page)
      ? /href="([^"]+)"/.exec(readFileSync(page, "utf8"))?.[1].replaceAll("&amp;", "&")
      : undefined;
    if (link) return link;
    const { url, token } = JSON.parse(readFileSync(list, "utf8")) as { url: string; token: string };
    return `${url}lab?token=${token}`;
  }
  return null;
}

/** A server that was killed leaves its files; a new process may get its number. */
function clearDead(runtime: string, pid: number): void {
  if (!existsSync(runtime)) return;
  for (const name of readdirSync(runtime)) {
    const path = join(runtime, name);
    if (name.startsWith(`jpserver-${pid}`) && statSync(path).mtimeMs < Date.now() - 60_000) unlinkSync(path);
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
