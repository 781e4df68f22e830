import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { nearest } from "../../kernel/cli.ts";
import { cuda, engine } from "../../kernel/install/doctor.ts";
import { which } from "../../kernel/install/exec.ts";

describe("did you mean", () => {
  const verbs = ["lab", "repl", "run", "kernel", "install", "uninstall", "doctor"];
  for (const [word, near] of [
    ["instal", "install"],
    ["uninstal", "uninstall"],
    ["kernal", "kernel"],
    ["rnu", "run"],
    ["relp", "repl"],
    ["doc", "doctor"],
    ["LAB", "lab"],
    ["serve", null],
    ["x", null],
    ["", null],
  ] as const) {
    it(`${word || "nothing"}: ${near}`, () => assert.equal(nearest(word, verbs), near));
  }
});

describe("doctor", () => {
  const folder = mkdtempSync(join(tmpdir(), "moescope-doctor-"));
  after(() => rmSync(folder, { recursive: true }));
  const make = (name: string, ...files: string[]): string => {
    mkdirSync(join(folder, name), { recursive: true });
    for (const file of files) writeFileSync(join(folder, name, file), "");
    return join(folder, name);
  };

  it("tells no driver, no device and neither apart", () => {
    const [none, library, devices] = [
      make("none"),
      make("library", "libcuda.so.1"),
      make("devices", "nvidia0", "nvidia1", "nvidiactl"),
    ];
    assert.match(cuda([none, "/no/such"], none).text, /^no NVIDIA driver and no device/);
    assert.match(cuda([library], none).text, /^the driver's library is there but no device/);
    assert.match(cuda([none], devices).text, /^2 device\(s\) but no driver library/);
    for (const finding of [cuda([none], none), cuda([library], none), cuda([none], devices)]) {
      assert.equal(finding.state, "missing");
      assert.match(finding.text, /the engine runs on the CPU\.$/);
    }
  });

  it("says why the engine does not load", () => {
    assert.match(engine(join(folder, "absent.node")).text, /not built.*npm run build/);
    const broken = join(make("broken"), "moescope.node");
    writeFileSync(broken, "not an addon");
    const finding = engine(broken);
    assert.equal(finding.state, "broken");
    assert.match(
      finding.text,
      /does not load \(.*(?:invalid ELF header|file too short|mach-o|not a valid).*\)\. Build it for this machine/i,
    );
  });
});

it("finds programs on PATH, not what merely has the name", () => {
  const folder = mkdtempSync(join(tmpdir(), "moescope-path-"));
  writeFileSync(join(folder, "tool"), "", { mode: 0o644 });
  mkdirSync(join(folder, "sub"));
  assert.equal(which("tool", folder), null);
  symlinkSync(process.execPath, join(folder, "sub/tool"));
  assert.equal(which("tool", `${folder}:${join(folder, "sub")}`), join(folder, "sub/tool"));
  assert.equal(which("sub", folder), null);
  rmSync(folder, { recursive: true });
});
