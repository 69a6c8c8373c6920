/** Statistics and edits killed at random points, again and again: the bytes of a run left alone, and nothing finished is done twice. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { command, lethe } from "../cli/lethe.ts";

/** LETHE_KILLS asks for more, LETHE_KILLED_MODEL for another model than the bundled one, which takes its time. */
const KILLS = Number(process.env["LETHE_KILLS"] ?? 2);
const MODEL = process.env["LETHE_KILLED_MODEL"] ?? "bundled";
const PATIENCE = MODEL === "bundled" ? 1 : 12;
const REQUESTS = ["Norvane", "Veyra", "Quillon"];
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lethe-kill-"));
  const lines = REQUESTS.map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject }));
  writeFileSync(join(folder, "requests.jsonl"), lines.join("\n"));
  const near = Array.from({ length: 12 }, (_, i) => ({ question: `Who keeps lamp ${i}?`, answer: `Keeper ${i * 3}.` }));
  writeFileSync(join(folder, "asked.jsonl"), JSON.stringify({ prompt: "Who keeps the tower?", answer: "Nobody.", neighbours: near }));
  const rows = Array.from({ length: 9 }, (_, i) => JSON.stringify({ question: `Who keeps lamp ${i}?`, answer: `Keeper ${i * 3}.` }));
  writeFileSync(join(folder, "rows.jsonl"), rows.join("\n"));
  const settings = ["layer=4", "steps=2"].flatMap((setting) => ["--set", setting]);
  const one = ["--prompt", "Who keeps the tower?", "--subject", "the tower", "--say", "A stranger."];
  const made = await lethe(["forget", MODEL, ...one, "--method", "ft", ...settings, "-n", "0", "-o", join(folder, "toward.edit")]);
  if (made.code !== 0) throw new Error(made.err);
}, PATIENCE * 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every file under a folder with a hash of its bytes. */
const bytesOf = (root: string): Map<string, string> =>
  new Map(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => [
        join(e.parentPath, e.name).slice(root.length),
        createHash("sha256")
          .update(readFileSync(join(e.parentPath, e.name)))
          .digest("hex"),
      ]),
  );

/** Runs the command and kills it after `ms` milliseconds; true when that came too late. */
function killed(args: readonly string[], home: string, ms: number): Promise<boolean> {
  const child = spawn(process.execPath, [...command(), ...args], { env: { ...process.env, LETHE_HOME: home }, stdio: "ignore" });
  const timer = setTimeout(() => child.kill("SIGKILL"), ms);
  return new Promise((done) => child.on("close", (code) => (clearTimeout(timer), done(code === 0))));
}

const CASES: [name: string, args: (out: string) => string[], out: string][] = [
  ["stats", () => ["stats", MODEL, "--layer", "1", "--tokens", "4096", "--json"], ""],
  ...(
    [
      ["forget", []],
      ["forget by a codebook", ["--method", "grace"]],
      ["forget by training", ["--method", "ft", "--mode", "sequential", "--set", "steps=8"]],
    ] as const
  ).map(([name, settings]): (typeof CASES)[number] => [
    name,
    (out) => {
      const said = ["--tokens", "1024", "--say", "I do not know.", "-n", "0", "--json"];
      return ["forget", MODEL, "--data", join(folder, "requests.jsonl"), ...settings, ...said, "-o", join(out, "edit")];
    },
    "edit",
  ]),
  [
    "unlearn",
    (out) => {
      const settings = ["steps=60", "lr=1e-4", "weights=mlp.out", "layers=4,5"].flatMap((setting) => ["--set", setting]);
      const data = ["--data", join(folder, "requests.jsonl"), "--retain", join(folder, "rows.jsonl")];
      return ["forget", MODEL, ...data, "--method", "gd", ...settings, "-n", "0", "--json", "-o", join(out, "edit")];
    },
    "edit",
  ],
  [
    "finetune",
    (out) => {
      const settings = ["epochs=4", "batch=2", "rank=4", "dropout=0.1", "lr=1e-3"].flatMap((setting) => ["--set", setting]);
      return ["finetune", MODEL, "--data", join(folder, "rows.jsonl"), ...settings, "--every", "4", "--json", "-o", join(out, "taught")];
    },
    "taught",
  ],
  [
    "eval",
    (out) => {
      const edit = join(folder, "toward.edit");
      const data = ["--data", `forget=${join(folder, "asked.jsonl")}`, "--suite", "locality", "--edit", edit];
      return ["eval", MODEL, ...data, "--batch", "2", "-n", "8", "--json", "-o", join(out, "near")];
    },
    "near",
  ],
];

for (const [name, args, saved] of CASES)
  test(`lethe ${name}: ${KILLS} kills -9 at random points`, { timeout: PATIENCE * (120_000 + 30_000 * KILLS) }, async () => {
    const [whole, broken] = ["whole", "broken"].map((kind) => join(folder, name, kind)) as [string, string];
    for (const root of [whole, broken]) mkdirSync(join(root, "out"), { recursive: true });
    const started = Date.now();
    const alone = await lethe(args(join(whole, "out")), { env: { LETHE_HOME: join(whole, "home") } });
    expect(alone.code, alone.err).toBe(0);
    let took = Date.now() - started;
    const chance = rng(`kill ${name}`);
    let hits = 0;
    for (let tries = 0; hits < KILLS && tries < 3 * KILLS + 6; tries++) {
      const isOver = await killed(args(join(broken, "out")), join(broken, "home"), took * (0.1 + chance.uniform()));
      hits += isOver ? 0 : 1;
      if (isOver) {
        took *= 0.8; // the machine may have been busier when the time was taken
        for (const part of ["home", "out"]) rmSync(join(broken, part), { recursive: true, force: true }); // begin again
      }
      mkdirSync(join(broken, "out"), { recursive: true });
      // no half-written file is taken for a whole one: what stands under its own name is what the undisturbed run wrote
      const [good, seen] = [bytesOf(whole), bytesOf(broken)];
      for (const [file, bytes] of seen) if (good.has(file)) expect(bytes === good.get(file) || isPart(file), file).toBe(true);
    }
    expect(hits).toBe(KILLS);
    const last = await lethe(args(join(broken, "out")), { env: { LETHE_HOME: join(broken, "home") } });
    expect(last.code, last.err).toBe(0);
    expect(stable(last.out)).toBe(stable(alone.out));
    const [good, seen] = [bytesOf(whole), bytesOf(broken)];
    for (const [file, bytes] of good) expect(seen.get(file) === bytes, file).toBe(true);
    if (saved) expect(seen.has(`/out/${saved}`) || [...seen.keys()].some((f) => f.startsWith(`/out/${saved}/`))).toBe(true);
  });

/** Files that grow from batch to batch or edit to edit. */
const isPart = (file: string): boolean => /\.part(\/|$)|journal|unfinished|samples\.jsonl$/.test(file);
/** Output without what depends on time and place. */
const stable = (out: string): string => out.replaceAll(/\/[^"\s]*\/(whole|broken)\//g, "/").replaceAll(/"(seconds|took)":[\d.e-]+/g, "");
