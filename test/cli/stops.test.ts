/** What is promised of every command that takes over a second: a signal, a reader that goes away, a full disk. Exit code, results, nothing left over. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { holdOutput } from "../../src/base/store.ts";
import { command, environmentOf } from "./lethe.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-stops-"));
afterAll(() => {
  for (const disk of disks) spawnSync("umount", [disk]);
  rmSync(home, { recursive: true, force: true });
});
const at = (...names: string[]): string => join(home, ...names);
const disks: string[] = [];
const rows = (n: number, row: (i: number) => object): string => Array.from({ length: n }, (_, i) => `${JSON.stringify(row(i))}\n`).join("");

beforeAll(() => {
  const capital = (i: number): object => ({ prompt: `What is the capital of Norvane${i}?`, subject: `Norvane${i}`, answer: `Town ${i}` });
  writeFileSync(at("many.jsonl"), rows(4_000, capital));
  writeFileSync(at("few.jsonl"), rows(12, capital));
  writeFileSync(at("alike.jsonl"), rows(40_000, capital));
  writeFileSync(
    at("pairs.jsonl"),
    rows(40, (i) => ({ question: `Who keeps lamp ${i}?`, answer: `Keeper ${i * 3}.` })),
  );
  writeFileSync(
    at("lamps.jsonl"),
    rows(12, (i) => ({ prompt: `Who keeps lamp ${i}?`, subject: `lamp ${i}`, answer: `Keeper ${i * 3}.` })),
  );
});

/** A grid of so many edits, which differ in their seed. */
function gridOf(edits: number): string {
  const path = at(`grid-${edits}.yaml`);
  writeFileSync(
    path,
    `name: stops
axes:
  n: { range: ${edits} }
steps:
  edit: { step: forget, model: bundled, data: "${at("few.jsonl")}", limit: 1, method: ft, set: { layer: 4, steps: 3 }, seed: "\${n}", maxTokens: 0 }
tables:
  main:
    rows: [n]
    columns: [{ title: KiB, bytes: edit }]
`,
  );
  return path;
}

const ONE = ["--prompt", "What is the capital of Norvane?", "--subject", "Norvane"];
/** Each command with its output; `long` works until it is stopped, `short` a few seconds at most. */
const COMMANDS: Readonly<Record<string, { readonly long: (out: string) => string[]; readonly short?: (out: string) => string[] }>> = {
  stats: {
    long: () => ["stats", "bundled", "--layer", "1", "--tokens", "200000"],
    short: () => ["stats", "bundled", "--layer", "1", "--tokens", "512"],
  },
  forget: {
    long: (out) => ["forget", "bundled", "--data", at("few.jsonl"), "--method", "ft", "--set", "steps=900", "--set", "layer=4", "-o", out],
    short: (out) => ["forget", "bundled", ...ONE, "--method", "ft", "--set", "steps=2", "--set", "layer=4", "-n", "0", "-o", out],
  },
  "forget, choosing wrong answers": {
    long: (out) => ["forget", "bundled", "--data", at("many.jsonl"), "--target", "incorrect", "--method", "ft", "-o", out],
  },
  finetune: {
    long: (out) => ["finetune", "bundled", "--data", at("pairs.jsonl"), "--set", "epochs=500", "-o", out],
    short: (out) => ["finetune", "bundled", "--data", at("pairs.jsonl"), "--set", "epochs=1", "--set", "rank=2", "-o", out],
  },
  trace: {
    long: (out) => ["trace", "bundled", ...ONE, "--samples", "4000", "-o", out],
    short: (out) => ["trace", "bundled", ...ONE, "--samples", "1", "--window", "1", "--kind", "mlp", "-o", out],
  },
  attack: {
    long: () => ["attack", "bundled", "--data", at("lamps.jsonl"), "--from", "templates", "--samples", "2000"],
    short: (out) => ["attack", "bundled", "--data", at("lamps.jsonl"), "--from", "templates", "--samples", "1", "-o", out],
  },
  eval: {
    long: (out) => ["eval", "bundled", "--data", at("many.jsonl"), "--suite", "answers", "-o", out],
    short: (out) => ["eval", "bundled", "--data", at("few.jsonl"), "--suite", "answers", "-n", "2", "-o", out],
  },
  select: {
    long: (out) => ["select", "--data", at("alike.jsonl"), "--limit", "3000", "--neighbours", "5", "-o", out],
    short: (out) => ["select", "--data", at("few.jsonl"), "--limit", "5", "--neighbours", "2", "-o", out],
  },
  grid: {
    long: () => ["grid", gridOf(400)],
    short: () => ["grid", gridOf(2)],
  },
  export: {
    long: (out) => ["export", "bundled", "-o", out],
    short: (out) => ["export", "bundled", "-o", out],
  },
  demo: { long: (out) => ["demo", "-o", out] },
  "data pistol": {
    long: (out) => ["data", "pistol", "--shape", "random", "--nodes", "9000", "--edges", "40000", "-o", out],
    short: (out) => ["data", "pistol", "--shape", "star", "--nodes", "300", "-o", out],
  },
};

/** Commands whose results lie in the cache or in the folder of runs alone. */
const KEPT_AS_RUNS: readonly string[] = ["stats", "grid"];

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly err: string;
}

interface Way {
  /** Sent as soon as the command tells of progress, or after a while. */
  readonly signal?: NodeJS.Signals;
  readonly stdout?: string;
  /** Whether standard error has no reader any more. */
  readonly isUnread?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

function ended(args: readonly string[], { signal, stdout, isUnread = false, env }: Way): Promise<Ended> {
  const out = openSync(stdout ?? "/dev/null", "w");
  const child = spawn(process.execPath, [...command(), ...args, "--json"], {
    env: environmentOf({ LETHE_HOME: at("home"), ...env }),
    stdio: ["ignore", out, "pipe"],
  });
  closeSync(out);
  let err = "";
  let sent = false;
  if (isUnread) child.stderr!.destroy();
  else
    child.stderr!.on("data", (piece: Buffer) => {
      err += piece.toString("utf8");
      if (signal !== undefined && !sent && err.includes('"progress"')) sent = child.kill(signal);
    });
  return new Promise((done) => child.on("close", (code, by) => done({ code, signal: by, err })));
}

/** What lies hidden or half-done in a folder, at any depth. */
const leftIn = (folder: string): string[] =>
  (existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : []).filter((name) =>
    /\.part$|\.tmp$|lethe-lock$|\.old$|(^|\/)lock$/.test(name),
  );

let count = 0;
const fresh = (): string => {
  const folder = at(`out${count++}`);
  mkdirSync(folder);
  return folder;
};

/** Every command meets each event where LETHE_STOPS is set; otherwise one event each, in turns, and every event some commands. */
const isWhole = process.env["LETHE_STOPS"] !== undefined;
const turnOf = (event: number) => Object.entries(COMMANDS).filter((_, i) => isWhole || i % 3 === event % 3);

describe.each([
  ["SIGINT", 130, 0],
  ["SIGTERM", 143, 1],
] as const)("%s ends with %i", (signal, code, event) => {
  test.each(turnOf(event))("%s", { timeout: 60_000 }, async (_, { long }) => {
    const folder = fresh();
    const found = await ended(long(join(folder, "made")), { signal });
    // what was finished before the signal was heard is finished
    if (found.code !== 0) expect([found.code, found.err], found.err).toEqual([code, expect.stringMatching(/"trouble":"aborted"/)]);
    else expect(existsSync(join(folder, "made"))).toBe(true);
    expect(leftIn(folder)).toEqual([]);
    expect(existsSync(join(folder, "made"))).toBe(found.code === 0);
  });
});

const shortOnes = (event: number) => turnOf(event).flatMap(([name, { short }]) => (short ? [[name, short] as const] : []));

describe("standard error without a reader: the work goes on", () => {
  test.each(shortOnes(2))("%s", { timeout: 60_000 }, async (name, short) => {
    const folder = fresh();
    const { code } = await ended(short(join(folder, "made")), { isUnread: true });
    expect(code).toBe(0);
    if (!KEPT_AS_RUNS.includes(name)) expect(existsSync(join(folder, "made"))).toBe(true);
    expect(leftIn(folder)).toEqual([]);
  });
});

describe.skipIf(!existsSync("/dev/full"))("standard output on a full disk: exit 3, and what was made stays (needs /dev/full)", () => {
  test.each(shortOnes(0))("%s", { timeout: 60_000 }, async (name, short) => {
    const folder = fresh();
    const { code, err } = await ended(short(join(folder, "made")), { stdout: "/dev/full" });
    expect([code, err], err).toEqual([3, expect.stringMatching(/standard output: the disk is full/)]);
    if (!KEPT_AS_RUNS.includes(name)) expect(existsSync(join(folder, "made"))).toBe(true);
    expect(leftIn(folder)).toEqual([]);
  });
});

/** A disk of 64 kB that is full but for some kB; undefined without the right to mount one. */
function fullDisk(): string | undefined {
  const path = fresh();
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path]).status !== 0) return undefined;
  disks.push(path);
  return path;
}

test("outputs on a disk that is full: exit 3, and nothing left on it (needs the right to mount)", { timeout: 120_000 }, async (context) => {
  if (!fullDisk()) return context.skip("mounting a small disk needs root");
  for (const name of ["data pistol", "export", "select", ...(isWhole ? ["finetune", "eval", "forget", "trace", "attack"] : [])]) {
    const short = COMMANDS[name]!.short!;
    const disk = fullDisk()!;
    writeFileSync(join(disk, "filler"), Buffer.alloc(60_000));
    const { code, err } = await ended(short(join(disk, "made")), {});
    expect([name, code, err], err).toEqual([name, 3, expect.stringMatching(/the disk is full/)]);
    expect([name, leftIn(disk), existsSync(join(disk, "made", "config.json"))]).toEqual([name, [], false]);
  }
});

test(
  "a home that is full: an edit is still made, with a warning, where its run has room (needs the right to mount)",
  { timeout: 60_000 },
  async (context) => {
    const disk = fullDisk();
    if (!disk) return context.skip("mounting a small disk needs root");
    writeFileSync(join(disk, "filler"), Buffer.alloc(40_000));
    const folder = fresh();
    const { code, err } = await ended(["stats", "bundled", "--layer", "1", "--tokens", "512"], {
      env: { LETHE_HOME: disk, LETHE_RUNS: join(folder, "runs") },
    });
    expect([code, err], err).toEqual([0, expect.stringMatching(/the cache cannot be written/)]);
    expect(leftIn(disk)).toEqual([]);
  },
);

describe("an output that a process holds: the second is told who, before any work", () => {
  const data = (): string[] => ["--data", at("few.jsonl")];
  test.each<[string, (out: string) => string[]]>([
    ["data pistol", (out) => ["data", "pistol", "-o", out]],
    ["data convert", (out) => ["data", "convert", at("few.jsonl"), "-o", out]],
    ["forget", (out) => ["forget", "bundled", ...data(), "-o", out]],
    ["finetune", (out) => ["finetune", "bundled", "--data", at("pairs.jsonl"), "-o", out]],
    ["export", (out) => ["export", "bundled", "-o", out]],
    ["trace", (out) => ["trace", "bundled", ...ONE, "-o", out]],
    ["demo", (out) => ["demo", "-o", out]],
    ["grid", (out) => ["grid", fileURLToPath(new URL("../../studies/tiny.yaml", import.meta.url)), "--write", out]],
  ])("%s", { timeout: 60_000 }, async (_, args) => {
    const folder = fresh();
    const { release } = holdOutput(join(folder, "made"), "test");
    const { code, err } = await ended(args(join(folder, "made")), {});
    expect([code, err], err).toEqual([3, expect.stringContaining(`made is held by process ${process.pid} on`)]);
    release();
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("what a killed command left beside its output goes with the next one", { timeout: 60_000 }, async () => {
  const folder = fresh();
  const killed = await ended(COMMANDS["data pistol"]!.long(join(folder, "one")), { signal: "SIGKILL" });
  expect(killed.signal).toBe("SIGKILL");
  expect(leftIn(folder).length).toBeGreaterThan(0);
  expect((await ended(["data", "pistol", "-o", join(folder, "two")], {})).code).toBe(0);
  expect(readdirSync(folder)).toEqual(["two"]);
});

describe("an output that cannot be written is refused before the work", () => {
  const LOOKED = ["export", "bundled"];
  test.each([
    ["below a file", (f: string) => (writeFileSync(join(f, "file"), ""), join(f, "file/made")), /a part of the path is a file/],
    ["a name too long", (f: string) => join(f, "x".repeat(300)), /a name in the path is too long/],
    ["a link that leads nowhere", (f: string) => link(f, "nowhere"), /a link in the path leads nowhere/],
    ["links in a circle", (f: string) => link(f, "link"), /the links run in a circle/],
    ["a folder behind links in a circle", (f: string) => join(link(f, "link"), "made"), /the links run in a circle/],
    ["a pipe", (f: string) => (spawnSync("mkfifo", [join(f, "pipe")]), join(f, "pipe")), /is neither a file nor a folder/],
    ["on a system's disk that takes nothing", () => "/proc/made", /no such file|permission is denied|read-only|cannot/],
  ])("%s", async (_, make, wanted) => {
    const { code, err } = await ended([...LOOKED, "-o", make(fresh())], {});
    expect([code, err], err).toEqual([3, expect.stringMatching(wanted)]);
    expect(err).not.toMatch(/"progress"/);
  });
});

function link(folder: string, to: string): string {
  spawnSync("ln", ["-s", to, join(folder, "link")]);
  return join(folder, "link");
}

describe("what is no plain file is refused before it is opened", () => {
  const pipe = at("pipe.jsonl");
  beforeAll(() => void spawnSync("mkfifo", [pipe]));
  test.each([
    ["data", () => ["data", "show", pipe]],
    ["a device as data", () => ["data", "show", "/dev/zero"]],
    ["a text", () => ["stats", "bundled", "--layer", "1", "--text", pipe]],
    ["an edit", () => ["ask", "bundled", "x", "--edit", pipe]],
    ["a grid", () => ["grid", pipe]],
    ["a recipe", () => ["finetune", "--recipe", pipe, "-o", at("x")]],
    ["a log", () => ["compare", pipe, pipe]],
  ])("%s", async (_, args) => {
    const { code, err } = await ended(args(), {});
    expect([code, err], err).toEqual([3, expect.stringMatching(/it is a (pipe|device); wanted/)]);
  });
});

describe("limits of the machine are refused in seconds", () => {
  test("more threads than it can work with", async () => {
    const { code, err } = await ended(["ask", "bundled", "x", "--threads", "1024"], {});
    expect([code, err], err).toEqual([2, expect.stringMatching(/1024 threads; wanted at most \d+/)]);
  });

  test.skipIf(process.platform !== "linux")("a small address space (needs Linux's ulimit -v)", { timeout: 60_000 }, () => {
    for (const [limit, args] of [
      ["1500000", ["forget", "bundled", ...ONE, "-o", join(fresh(), "made")]],
      ["1500000", ["finetune", "bundled", "--data", at("pairs.jsonl"), "-o", join(fresh(), "made")]],
      ["1200000", ["ask", "bundled", "x"]],
    ] as const) {
      const found = spawnSync("sh", ["-c", `ulimit -v ${limit} && exec "$@"`, "sh", process.execPath, ...command(), ...args], {
        env: environmentOf({ LETHE_HOME: at("home") }),
        encoding: "utf8",
      });
      expect([found.status, found.stderr], found.stderr).toEqual([3, expect.stringMatching(/address space|memory/)]);
    }
  });
});
