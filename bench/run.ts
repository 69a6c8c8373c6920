/** `npm run bench`: races against torch where Python has it, otherwise absolute numbers with a warning. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadOurs } from "./ours.ts";
import { findPython, peerModel, startPeer } from "./peer.ts";
import { cells, race, type Result, table } from "./race.ts";
import { SUITES } from "./suites.ts";

const HELP = `usage: npm run bench [-- SUITE... [options]]

Suites: ${Object.keys(SUITES).join(", ")} (all of them by default), readme, which writes the table into README.md between its markers,
and facts: forty known facts, one edit each (--facts N, --out FILE; goes on where it stopped).

  --model DIR        model directory (default: ../shared/models/smollm2-135m-instruct, else bundled/model)
  --peer-model DIR   the same weights as transformers loads them (default: DIR, or a copy under runs/ with its GGUF widened)
  --rounds N         timed turns a side (5)
  --threads N        threads a side (2)
  --new-tokens N     decoded tokens a prompt (64)
  --evaluations N    loss evaluations of a ROME edit (25)
  --layer N          edited block (12)

Python: LETHE_PEER_PYTHON, else python3; it needs torch, transformers, and gguf for a GGUF model. See bench/README.md.
`;

const ROOT = new URL("../", import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, ROOT));
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
    facts: { type: "string", default: "40" },
    out: { type: "string" },
  },
});

if (values.help) process.stdout.write(HELP);
else if (positionals.includes("facts")) {
  const { facts } = await import("./facts.ts");
  mkdirSync(at("runs"), { recursive: true });
  process.stdout.write(`${await facts({ count: whole("facts"), out: values.out ?? at("runs/facts.jsonl") })}\n`);
} else await main();

async function main(): Promise<void> {
  const wanted = positionals.filter((name) => name !== "readme");
  const names = wanted.length > 0 ? wanted : Object.keys(SUITES);
  const unknown = names.find((name) => !(name in SUITES));
  if (unknown)
    throw new Error(`bench: there is no suite ${JSON.stringify(unknown)}; there are ${Object.keys(SUITES).join(", ")} and readme`);

  const shared = at("../shared/models/smollm2-135m-instruct");
  const model = values.model ?? (existsSync(shared) ? shared : at("bundled/model"));
  const threads = whole("threads");
  const sizes = { newTokens: whole("new-tokens"), rows: 4, columns: 64, evaluations: whole("evaluations"), layer: whole("layer") };
  mkdirSync(at("runs"), { recursive: true });
  const python = findPython();
  const peerDir = python && (values["peer-model"] ?? peerModel(python, model, at("runs")));
  const machine = `${cpus().length} cores of ${cpus()[0]?.model ?? "unknown make"}, ${threads} threads a side, Node ${process.versions.node}`;
  say(`machine  ${machine}\nmodel    ${model}`);
  if (!python)
    say("warning  no Python with torch and transformers (set LETHE_PEER_PYTHON): absolute numbers only, which say little across machines");

  const results: Result[] = [];
  let about: Readonly<Record<string, unknown>> | undefined;
  for (const name of names) {
    const peer = python && peerDir ? await startPeer(python, peerDir, threads) : undefined;
    const ours = await loadOurs(model, threads);
    try {
      if (peer && !about) say(`peer     torch ${String(peer.about["torch"])}, transformers ${String(peer.about["transformers"])}`);
      about = peer?.about;
      for (const spec of SUITES[name]!({ ours, peer, sizes })) {
        const result = await race(spec, whole("rounds"));
        results.push(result);
        process.stderr.write(`${table([result]).split("\n")[1]}\n`);
      }
    } finally {
      await ours.close();
      await peer?.close();
    }
  }
  say(
    `\n${table(results)}\n\nratio: torch's median seconds / ours; rounds: its smallest and largest in one round; busy: share of the cores that others kept busy meanwhile`,
  );
  if (results.some(({ busy }) => busy > 0.1))
    say("warning  the machine was not idle: two threads that share their cores with others wait for each other, torch's most of all");
  const record = { machine, model, peer: about ?? null, sizes, rounds: whole("rounds"), results };
  writeFileSync(at("runs/bench.json"), `${JSON.stringify(record, null, 1)}\n`);
  say("written  runs/bench.json");
  if (positionals.includes("readme")) writeReadme(results, machine);
}

function whole(name: "facts" | "rounds" | "threads" | "new-tokens" | "evaluations" | "layer"): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < (name === "layer" ? 0 : 1)) throw new Error(`bench: --${name} ${values[name]} is not a count`);
  return value;
}

/** Puts the table between the two bench markers of README.md. */
function writeReadme(results: readonly Result[], machine: string): void {
  const [open, close] = ["<!-- bench -->", "<!-- /bench -->"];
  const text = readFileSync(at("README.md"), "utf8");
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`bench: README.md lacks the markers ${open} and ${close}`);
  const shown = cells(results).map((row) => row.slice(0, 5));
  shown.splice(
    1,
    0,
    shown[0]!.map((_, i) => (i < 2 ? "---" : "---:")),
  );
  const body = shown.map((row) => `| ${row.join(" | ")} |`).join("\n");
  writeFileSync(at("README.md"), `${text.slice(0, from + open.length)}\n${body}\n\n${machine}.\n${text.slice(to)}`);
  say("written  README.md");
}
