/** The first line of what a command writes says what was done, to what, and where the result is. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { lethe } from "./lethe.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-first-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const at = (name: string): string => join(home, name);

const FACTS = [
  ["Norvane", "Sellamere"],
  ["Ostrel", "Brackwater"],
] as const;
const rows = FACTS.map(([subject, answer]) => ({ prompt: `What is the capital of ${subject}?`, subject, answer }));
writeFileSync(at("facts.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
writeFileSync(at("pairs.jsonl"), rows.map(({ prompt: question, answer }) => JSON.stringify({ question, answer })).join("\n"));
const DATA = ["--data", at("facts.jsonl")];
const QUICK = ["--method", "ft", "--set", "steps=2", "--set", "layer=4", "-n", "0", "--prove", "none"];

/** In an order in which each finds what those before it made. */
const COMMANDS: readonly (readonly [args: readonly string[], first: string])[] = [
  [["data", "show", at("facts.jsonl")], "facts.jsonl: 2 requests"],
  [["data", "convert", at("facts.jsonl"), "-o", at("same.jsonl")], "same.jsonl: 2 requests, 0 with a guessed subject"],
  [["data", "pistol", "--shape", "star", "--nodes", "5", "-o", at("contracts")], "contracts: 4 contracts between 5 companies and 0 people"],
  [["select", ...DATA, "--limit", "1", "-o", at("one.jsonl")], "one.jsonl: 1 of 2 requests"],
  [["forget", "bundled", ...DATA, ...QUICK, "-o", at("edit")], "edit: 1 edit by ft, "],
  [["edits", "show", at("edit")], "edit: 1 edit"],
  [["edits", "stack", at("edit"), "-o", at("stack")], "stack: 1 edit"],
  [
    ["eval", "bundled", ...DATA, "--suite", "answers", "-n", "4", "-o", at("said")],
    "bundled was asked 2 questions of the suite answers; the answers are in said",
  ],
  [["eval", "--logs", at("said/samples.jsonl")], "samples: 2 rows of a samples log, judged by the suite answers"],
  [["compare", at("said"), at("said")], "A and B compared by the suite answers, on 2 rows in common"],
  [["attack", "bundled", ...DATA, "--from", "templates", "--samples", "1"], "2 requests, attacked by paraphrase: 2 templates"],
  [
    ["stats", "bundled", "--layer", "1", "--tokens", "100"],
    "Second moments of 1 layer of bundled over text that the model generated, kept in ",
  ],
  [["trace", "bundled", ...DATA, "--samples", "1", "-o", at("map")], "2 answers traced at the subject's last token"],
  [["export", "bundled", "-e", at("edit"), "-o", at("model")], "model: bundled with 1 edit file as a checkpoint in float32"],
  [
    ["finetune", "bundled", "--data", at("pairs.jsonl"), "--set", "epochs=1", "--set", "rank=2", "-o", at("taught")],
    "taught: 1 step, loss ",
  ],
];

test.each(COMMANDS.map(([args, first]) => [`${args[0]} ${args[1]!.startsWith("/") ? "" : args[1]}`, args, first] as const))(
  "%s",
  { timeout: 60_000 },
  async (_, args, first) => {
    const { code, out, err } = await lethe(args);
    expect([code, err], err).toEqual([0, expect.any(String)]);
    expect(out.split("\n")[0]!.replaceAll(`${home}/`, "")).toContain(first);
  },
);
