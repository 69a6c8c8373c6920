/** `npm run bench`: races against torch where Python has it, otherwise absolute numbers with a warning. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadOurs } from "./ours.ts";
import { markdown, writeBetween } from "../src/report/page.ts";
import { machineOf } from "./machine.ts";
import { findPython, peerModel, startPeer } from "./peer.ts";
import { merged, QUIET, readMeasured, shown, writeMeasured } from "./measured.ts";
import { race, type Result, table } from "./race.ts";
import { EVERYDAY, SUITES } from "./suites.ts";
import type { Sizes } from "./work.ts";

const HELP = `usage: npm run bench [-- SUITE... [options]]

Suites: ${EVERYDAY.join(", ")} (all of them by default); ${Object.keys(SUITES)
  .filter((name) => !EVERYDAY.includes(name))
  .join(", ")} (by name: they take long);
and readme, which writes what was measured so far, on all kinds of processors, into README.md between its markers.

  --model DIR        model directory (default: ../shared/models/smollm2-135m-instruct, else bundled/model)
  --peer-model DIR   the same weights as transformers loads them (default: DIR, or a copy under runs/ with its GGUF widened)
  --rounds N         timed turns a side (5)
  --threads N        threads a side (2)
  --new-tokens N     decoded tokens a prompt (64)
  --evaluations N    loss evaluations, or iterations, of an edit (25)
  --layer N          edited block, the last of a batch's (12)
  --facts N          facts of a batch (40)
  --tokens N         tokens that second moments are taken over (4096)

       npm run bench -- commands [options]

Seconds of whole commands, as a person waits for them: the first \`forget\` with an empty cache, each method with what the cache then holds, and
\`ask\`. Takes --model, --rounds and --threads. It needs the facts beside the checkout.

       npm run bench -- scale [METHOD] [options]

Time and peak memory of \`lethe forget\` by how many requests of zsRE it is given (METHOD: memit). Goes on where it stopped.

  --counts N,N,...   requests of each run (125,250,500,1000)
  --set KEY=VALUE    a parameter of the method; may be given several times
  --out FILE         what was measured, line by line (runs/scale.jsonl)

It takes --model and --threads too.

       npm run bench -- grid

Seconds to plan a grid of ten thousand steps, and to tell the status of ten thousand finished ones.

Python: LETHE_PEER_PYTHON, else python3; it needs torch, transformers, and gguf for a GGUF model. See bench/README.md.
`;

const ROOT = new URL("../", import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, ROOT));
const KEPT = at("runs/bench.json");
const MEASURED = at("bench/measured.json");
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", default: false },
    model: { type: "string" },
    "peer-model": { type: "string" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    "new-tokens": { type: "string", default: "64" },
    evaluations: { type: "string", default: "25" },
    layer: { type: "string", default: "12" },
    tokens: { type: "string", default: "4096" },
    facts: { type: "string", default: "40" },
    out: { type: "string" },
    set: { type: "string", multiple: true },
    counts: { type: "string", default: "125,250,500,1000" },
  },
});

if (values.help) process.stdout.write(HELP);
else if (positionals[0] === "commands") await timing();
else if (positionals[0] === "scale") await scaling(positionals[1] ?? "memit");
else if (positionals[0] === "grid") await planning();
else await main();

async function timing(): Promise<void> {
  const { commands } = await import("./commands.ts");
  const rows = await commands({ model: values.model ?? defaultModel(), rounds: whole("rounds"), threads: whole("threads") });
  say(`${markdown(rows, 1)}\n\n${machineOf(whole("threads"))}.`);
}

async function scaling(method: string): Promise<void> {
  const { scale } = await import("./scale.ts");
  const counts = values.counts.split(",").map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count > 0)) throw new Error(`bench: --counts ${values.counts} is not counts`);
  const out = values.out ?? at("runs/scale.jsonl");
  const rows = await scale({
    model: values.model ?? defaultModel(),
    method,
    counts,
    set: values.set ?? [],
    out,
    threads: whole("threads"),
  });
  say(`${markdown(rows, 0)}\n\n${machineOf(whole("threads"))}.`);
}

async function planning(): Promise<void> {
  const { gridTimes } = await import("./grid.ts");
  const { steps, plan, status } = await gridTimes(at("runs/bench-grid"));
  say(
    `${steps} steps: planned in ${plan.seconds} s, status of the finished ones in ${status.seconds} s (processor: ${plan.processor} s, ${status.processor} s)\n\n${machineOf(1)}.`,
  );
}

interface Record {
  readonly machine: string;
  readonly model: string;
  readonly peer: unknown;
  readonly sizes: Sizes;
  readonly rounds: number;
  readonly results: readonly Result[];
}

/** Races; several suites have a process each, so that the memory of each is its own. */
async function main(): Promise<void> {
  const wanted = positionals.filter((name) => name !== "readme");
  if (wanted.length === 0 && positionals.length > 0) return writeReadme();
  const names = wanted.length > 0 ? wanted : EVERYDAY;
  const unknown = names.find((name) => !(name in SUITES));
  if (unknown)
    throw new Error(`bench: there is no suite ${JSON.stringify(unknown)}; there are ${Object.keys(SUITES).join(", ")} and readme`);
  mkdirSync(at("runs"), { recursive: true });
  if (names.length === 1 && !positionals.includes("readme")) {
    print(keep(await suite(names[0]!)));
  } else {
    const records = names.map(inProcessOfItsOwn);
    print(keep({ ...records[0]!, results: records.flatMap(({ results }) => results) }));
  }
  if (positionals.includes("readme")) writeReadme();
}

function keep(record: Record): Record {
  writeFileSync(KEPT, `${JSON.stringify(record, null, 1)}\n`);
  const { machine, model, peer, results } = record;
  writeMeasured(MEASURED, merged(readMeasured(MEASURED), { machine, model: basename(model), peer, results }));
  return record;
}

function inProcessOfItsOwn(name: string): Record {
  const options = process.argv.slice(2).filter((arg) => !positionals.includes(arg));
  const { status } = spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), name, ...options], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) throw new Error(`bench: ${name} ended with ${status}`);
  return JSON.parse(readFileSync(KEPT, "utf8")) as Record;
}

async function suite(name: string): Promise<Record> {
  const model = values.model ?? defaultModel();
  const threads = whole("threads");
  const sizes = {
    newTokens: whole("new-tokens"),
    rows: 4,
    columns: 64,
    evaluations: whole("evaluations"),
    layer: whole("layer"),
    facts: whole("facts"),
    tokens: whole("tokens"),
  };
  const python = findPython();
  const peerDir = python && (values["peer-model"] ?? peerModel(python, model, at("runs")));
  const peer = python && peerDir ? await startPeer(python, peerDir, threads) : undefined;
  const ours = await loadOurs(model, threads);
  const results: Result[] = [];
  try {
    for (const spec of await SUITES[name]!({ ours, peer, sizes })) {
      results.push(await race(spec, whole("rounds")));
      process.stderr.write(`${table(results).split("\n").at(-1)!}\n`);
    }
  } finally {
    await ours.close();
    await peer?.close();
  }
  return { machine: machineOf(threads, " a side"), model, peer: peer?.about ?? null, sizes, rounds: whole("rounds"), results };
}

function print({ machine, model, peer, results }: Record): void {
  say(`machine  ${machine}\nmodel    ${model}`);
  if (peer)
    say(
      `peer     ${Object.entries(peer)
        .map((entry) => entry.join(" "))
        .join(", ")}`,
    );
  else
    say("warning  no Python with torch and transformers (set LETHE_PEER_PYTHON): absolute numbers only, which say little across machines");
  say(
    `\n${table(results)}\n\nratio: torch's median seconds / ours; memory: the most that either process held, ours / torch's; rounds: the smallest and largest ratio in one round; busy: share of the cores that others kept busy meanwhile`,
  );
  if (results.some(({ busy }) => busy > QUIET))
    say("warning  the machine was not idle: two threads that share their cores with others wait for each other, torch's most of all");
  say("written  runs/bench.json; what a quiet machine measured beside torch also bench/measured.json");
}

function defaultModel(): string {
  const shared = at("../shared/models/smollm2-135m-instruct");
  return existsSync(shared) ? shared : at("bundled/model");
}

function whole(name: "facts" | "rounds" | "threads" | "new-tokens" | "evaluations" | "layer" | "tokens"): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < (name === "layer" ? 0 : 1)) throw new Error(`bench: --${name} ${values[name]} is not a count`);
  return value;
}

/** Puts the tables of all machines between the two bench markers of README.md. */
function writeReadme(): void {
  writeBetween(at("README.md"), "bench", shown(readMeasured(MEASURED)));
  say("written  README.md");
}
