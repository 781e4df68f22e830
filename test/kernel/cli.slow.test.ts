// The program as it is called: help, refusals, install and uninstall, doctor.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, describe, it } from "node:test";

const binary = resolve("bin/moescope.mjs");
const folder = mkdtempSync(join(tmpdir(), "moescope-cli-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function moescope(args: string[], env: NodeJS.ProcessEnv = {}, program = binary) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

/** Every path below, folders with a slash. */
const tree = (path: string): string[] =>
  existsSync(path)
    ? readdirSync(path)
        .flatMap((name) =>
          statSync(join(path, name)).isDirectory()
            ? [`${name}/`, ...tree(join(path, name)).map((inner) => `${name}/${inner}`)]
            : [name],
        )
        .sort()
    : [];

describe("usage", () => {
  it("helps, with every verb, and with one", () => {
    const { status, stdout } = moescope(["--help"]);
    assert.equal(status, 0);
    for (const verb of ["lab", "repl", "run FILE", "kernel CONNECTION_FILE", "install", "uninstall", "doctor"])
      assert.ok(stdout.includes(`\n  ${verb}`), verb);
    const run = moescope(["run", "--help"]);
    assert.equal(run.status, 0);
    assert.match(run.stdout, /^moescope run FILE \[--out FILE\][\s\S]*-o, --out FILE +write the executed notebook/);
    assert.equal(moescope(["--version"]).stdout.trim(), JSON.parse(readFileSync("package.json", "utf8")).version);
  });
  it("does not mind when nobody reads on", () => {
    const { status, stdout, stderr } = spawnSync(
      "bash",
      ["-c", `"${process.execPath}" "${binary}" doctor | head -1; exit \${PIPESTATUS[0]}`],
      { encoding: "utf8" },
    );
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^Moescope /);
  });
  for (const [args, message] of [
    [["instal"], /^moescope: there is no "instal"\. Did you mean "install"\?/],
    [["constructor"], /^moescope: there is no "constructor"\./],
    [["run"], /^moescope: run needs FILE\. Usage: moescope run FILE/],
    [["doctor", "now"], /^moescope: doctor does not take "now"/],
    [["run", "a.ts", "--htm", "x"], /^moescope: run has no option "htm"\. Did you mean --html\?/],
    [["run", "a.ts", "--out"], /argument missing/],
    [["lab", "no such.ipynb"], /^moescope: there is no notebook .*no such\.ipynb/],
    [["kernel", "no-such.json"], /^moescope: .*no-such\.json/],
    [["install", "--user", "--prefix", "x"], /choose one of --user and --prefix/],
  ] as const) {
    it(`refuses ${args.join(" ")} in one sentence, exit code 2`, () => {
      const { status, stdout, stderr } = moescope([...args]);
      assert.deepEqual([status, stdout], [2, ""], stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    });
  }
});

describe("a program that cannot start", () => {
  // The door alone, in a folder that is not built.
  const place = join(folder, "unbuilt");
  mkdirSync(join(place, "bin"), { recursive: true });
  cpSync(binary, join(place, "bin/moescope.mjs"));
  it("says that it is not built, and how to build it", () => {
    const { status, stderr } = moescope(["doctor"], {}, join(place, "bin/moescope.mjs"));
    assert.equal(status, 2);
    assert.match(stderr, /^moescope: it is not built yet\. In .*unbuilt run: npm run build\n$/);
  });
  it("says that Node is too old", () => {
    const as = (version: string) => {
      const pretend = join(folder, `node-${version}.mjs`);
      writeFileSync(
        pretend,
        `Object.defineProperty(process.versions, "node", { value: "${version}" }); await import(${JSON.stringify(binary)});`,
      );
      return moescope(["--version"], {}, pretend);
    };
    for (const version of ["18.20.4", "20.18.3", "21.7.3", "22.11.0"]) {
      const { status, stderr } = as(version);
      assert.equal(status, 2, version);
      assert.ok(
        stderr.startsWith(`moescope: Node ${version} is too old: Moescope needs 20.19 (or a later 20)`),
        stderr,
      );
    }
    for (const version of ["20.19.0", "22.12.0", "23.0.0"]) assert.equal(as(version).status, 0, version);
  });
});

describe("install and uninstall", () => {
  it("write the kernelspec and the plugin where Jupyter looks, and remove exactly that", () => {
    const data = join(folder, "data");
    mkdirSync(join(data, "kernels/other"), { recursive: true });
    writeFileSync(join(data, "kernels/other/kernel.json"), "{}");
    const before = tree(data);
    const { status, stdout } = moescope(["install"], { JUPYTER_DATA_DIR: data });
    assert.equal(status, 0);
    const spec = JSON.parse(readFileSync(join(data, "kernels/moescope/kernel.json"), "utf8"));
    assert.deepEqual(spec.argv, [process.execPath, resolve("dist/kernel/bundle/kernel.cjs"), "{connection_file}"]);
    assert.deepEqual([spec.language, spec.interrupt_mode], ["typescript", "message"]);
    assert.match(readFileSync(join(data, "kernels/moescope/logo-svg.svg"), "utf8"), /^<svg/);
    assert.ok(stdout.includes(join(data, "kernels/moescope")));
    const plugin = JSON.parse(readFileSync(join(data, "labextensions/moescope/package.json"), "utf8"));
    assert.ok(existsSync(join(data, "labextensions/moescope", plugin.jupyterlab._build.load)));
    const installed = tree(data);
    assert.equal(moescope(["install"], { JUPYTER_DATA_DIR: data }).status, 0);
    assert.deepEqual(tree(data), installed, "installing again changes nothing");
    assert.equal(moescope(["uninstall"], { JUPYTER_DATA_DIR: data }).status, 0);
    assert.deepEqual(
      tree(data).filter((path) => path !== "labextensions/"),
      before,
    );
    assert.match(moescope(["uninstall"], { JUPYTER_DATA_DIR: data }).stdout, /^Nothing of Moescope's/);
  });

  it("leave what others put there", () => {
    const prefix = join(folder, "prefix");
    moescope(["install", "--prefix", prefix]);
    const kernel = join(prefix, "share/jupyter/kernels/moescope");
    writeFileSync(join(kernel, "mine.txt"), "");
    const { stdout } = moescope(["uninstall", "--prefix", prefix]);
    assert.match(stdout, /Left, because Moescope did not write what is in it:\n.*kernels\/moescope/);
    assert.deepEqual(readdirSync(kernel), ["mine.txt"]);
  });

  it("never follow a list out of their folders", () => {
    const data = join(folder, "evil");
    moescope(["install"], { JUPYTER_DATA_DIR: data });
    const victim = join(folder, "victim");
    writeFileSync(victim, "precious");
    writeFileSync(
      join(data, "kernels/moescope/installed.json"),
      JSON.stringify([victim, `${data}/kernels/moescope/../../../victim`]),
    );
    moescope(["uninstall"], { JUPYTER_DATA_DIR: data });
    assert.equal(readFileSync(victim, "utf8"), "precious");
  });
});

describe("doctor", () => {
  it("names every part, and exits 0 when what is needed is there", () => {
    const { status, stdout } = moescope(["doctor"]);
    for (const part of ["Node", "engine", "machine", "CUDA", "Jupyter", "plugin", "Chromium", "types"])
      assert.match(stdout, new RegExp(`^(ok|missing|broken) +${part} +\\S`, "m"));
    assert.match(
      stdout,
      /^ok +engine +native engine \S+, kernels for (AVX-512|AVX-512 and AMX|AVX2 and FMA|NEON|plain C\+\+)/m,
    );
    assert.match(stdout, /^ok +types +TypeScript 7\.0\.2 language server answers$/m);
    assert.equal(status, 0, stdout);
  });
  it("tells what was left out on purpose from what is broken", () => {
    const place = join(folder, "packed");
    for (const path of ["bin", "dist/kernel", "build/native/moescope.node"])
      cpSync(path, join(place, path), { recursive: true });
    mkdirSync(join(place, "node_modules"));
    for (const name of ["oxc-parser", "@oxc-parser", "@oxc-project"])
      if (existsSync(join("node_modules", name)))
        cpSync(join("node_modules", name), join(place, "node_modules", name), { recursive: true });
    const manifest = JSON.parse(readFileSync("package.json", "utf8"));
    const doctor = (mark: object) => {
      writeFileSync(join(place, "package.json"), JSON.stringify({ ...manifest, ...mark }));
      return moescope(["doctor"], {}, join(place, "bin/moescope.mjs"));
    };
    const lost = doctor({});
    assert.match(lost.stdout, /^broken +types +TypeScript's language server does not start/m);
    assert.equal(lost.status, 1, lost.stdout);
    const packed = doctor({ moescope: { leftOut: ["types", "plugin"] } });
    assert.match(packed.stdout, /^absent +types +not part of this installation; cells run unchecked/m);
    assert.match(packed.stdout, /^absent +plugin +not part of this installation/m);
    assert.equal(packed.status, 0, packed.stdout);
  });
  it("says how to get Python where there is none", () => {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, "node"));
    // The private environment of this clone, where there is one, needs no PATH.
    const { stdout } = moescope(["doctor"], { PATH: bin });
    assert.match(
      stdout,
      /^(?:missing +Jupyter +no Python 3.*sudo apt install python3|ok +Jupyter +JupyterLab 4\S* \(.*\.venv\))/m,
    );
  });
});
