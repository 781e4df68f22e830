// `moescope lab` with a real JupyterLab, reached as a browser reaches it.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { KernelManager, ServerConnection } from "@jupyterlab/services";
import { findJupyter } from "../../kernel/install/jupyter.ts";
import { jupyterFolder } from "../../kernel/install/paths.ts";

const skip = findJupyter() ? false : "needs JupyterLab 4: npm test makes a private one, or: pip install jupyterlab";

describe("moescope lab", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "moescope-lab-"));
  const home = join(folder, "home");
  let program: ChildProcess;
  let said = "";
  let url: URL;

  before(async () => {
    mkdirSync(home);
    writeFileSync(
      join(folder, "my notes.ipynb"),
      JSON.stringify({ cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 }),
    );
    const { XDG_CACHE_HOME: _, ...env } = process.env;
    program = spawn(process.execPath, [resolve("bin/moescope.mjs"), "lab", "my notes.ipynb", "--no-browser"], {
      cwd: folder,
      env: { ...env, HOME: home, XDG_DATA_HOME: "", DISPLAY: "" },
      stdio: ["ignore", "inherit", "pipe"],
    });
    program.stderr!.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    for (let i = 0; i < 600 && !/open http\S+/.test(said); i++) await new Promise((done) => setTimeout(done, 100));
    const address = /open (http\S+)/.exec(said)?.[1];
    assert.ok(address, said);
    url = new URL(address);
  });

  after(async () => {
    program.kill("SIGTERM");
    if (program.exitCode === null) await new Promise((done) => program.once("close", done));
    rmSync(folder, { recursive: true, force: true });
    // Its client keeps timers after it was disposed of.
    setTimeout(() => process.exit(), 500).unref();
  });

  const settings = () =>
    ServerConnection.makeSettings({
      baseUrl: `${url.origin}/`,
      wsUrl: `ws://${url.host}/`,
      token: url.searchParams.get("token")!,
    });

  it("prints the notebook's address, and nothing else of the server's own", () => {
    assert.match(url.pathname, /\/lab\/tree\/my(?:%20| )notes\.ipynb$/);
    const lines = said.trim().split("\n");
    assert.equal(lines.length, 3, said);
    for (const line of lines) assert.match(line, /^moescope: /);
  });

  it("offers our kernel first, and the plugin", async () => {
    const token = url.searchParams.get("token");
    const specs = (await (await fetch(`${url.origin}/api/kernelspecs?token=${token}`)).json()) as {
      default: string;
      kernelspecs: Record<string, { spec: { display_name: string } }>;
    };
    assert.equal(specs.default, "moescope");
    assert.equal(specs.kernelspecs["moescope"].spec.display_name, "TypeScript (Moescope)");
    const page = await (await fetch(`${url.origin}/lab?token=${token}`)).text();
    assert.match(page, /"extension": "\.\/extension", "load": "static\/[0-9a-f]+\/remote\.js", "name": "moescope"/);
    assert.equal((await fetch(`${url.origin}/kernelspecs/moescope/logo-svg.svg?token=${token}`)).status, 200);
  });

  it("runs a cell; small replies do not wait for Nagle's algorithm", async (t) => {
    const manager = new KernelManager({ serverSettings: settings() });
    const kernel = await manager.startNew({ name: "moescope" });
    const shown: string[] = [];
    const future = kernel.requestExecute({ code: "const x: number = 6; x * 7" });
    future.onIOPub = (message) => {
      if ("data" in message.content)
        shown.push(String((message.content.data as Record<string, unknown>)["text/plain"]));
    };
    assert.equal((await future.done).content.status, "ok");
    assert.deepEqual(shown, ["42"]);
    const times: number[] = [];
    for (let i = 0; i < 10; i++) {
      const begin = performance.now();
      await kernel.requestExecute({ code: String(i) }).done;
      times.push(performance.now() - begin);
    }
    t.diagnostic(`round trip through the server, median of 10: ${times.sort((a, b) => a - b)[5].toFixed(1)} ms`);
    await kernel.shutdown();
    manager.dispose();
  });

  it("writes nothing into the user's home, and keeps its own folder in order", () => {
    assert.deepEqual(readdirSync(home), []);
    assert.ok(existsSync(join(jupyterFolder(), "data/kernels/moescope/kernel.json")));
    assert.match(readFileSync(join(jupyterFolder(), "config/jupyter_server_config.py"), "utf8"), /set_nodelay\(True\)/);
  });

  it("ends with its server when it is told to", async () => {
    program.kill("SIGTERM");
    await new Promise((done) => program.once("close", done));
    await assert.rejects(fetch(url.origin));
  });
});
