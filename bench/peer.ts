/** A torch process beside ours: found, started, and asked one job at a time. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPTS = fileURLToPath(new URL("./peers/", import.meta.url));

/** What a job answers: the seconds of the work alone, this process's peak memory, and what it computed. */
export interface Answer {
  readonly seconds: number;
  readonly peak_bytes: number;
  readonly [computed: string]: unknown;
}

export interface Peer {
  /** Versions of the libraries and the threads in use. */
  readonly about: Readonly<Record<string, unknown>>;
  /** Runs one job of bench/peers/serve.py; throws when the job failed or the process ended. */
  ask(job: string, members: Readonly<Record<string, unknown>>): Promise<Answer>;
  close(): Promise<void>;
}

/** A Python that imports torch and transformers: `LETHE_PEER_PYTHON`, else `python3`; undefined when there is none. */
export function findPython(): string | undefined {
  const named = process.env["LETHE_PEER_PYTHON"];
  const found = (named ? [named] : ["python3"]).find(
    (python) => spawnSync(python, ["-c", "import torch, transformers"], { stdio: "ignore" }).status === 0,
  );
  if (named && !found) throw new Error(`bench: LETHE_PEER_PYTHON is ${named}, which cannot import torch and transformers`);
  return found;
}

/** A model directory that transformers loads in float32 with our weights: `model` itself, or a copy in the folder `copies` with its GGUF widened. */
export function peerModel(python: string, model: string, copies: string): string {
  if (!existsSync(join(model, "config.json"))) throw new Error(`bench: ${model} has no config.json, which the peer needs`);
  if (!readdirSync(model).some((name) => name.endsWith(".gguf"))) return model;
  const copy = join(copies, `peer-${basename(resolve(model))}`);
  if (existsSync(copy)) return copy;
  const made = spawnSync(python, [join(SCRIPTS, "widen.py"), model, copy], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`bench: widen.py failed (it needs the Python package gguf):\n${made.stderr.slice(-2000)}`);
  return copy;
}

/** Starts a peer that holds `model`, and waits until it has loaded. */
export async function startPeer(python: string, model: string, threads: number): Promise<Peer> {
  const child = spawn(python, [join(SCRIPTS, "serve.py"), model, "--threads", String(threads)]);
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint = (complaint + text).slice(-2000)));
  child.stdin.on("error", () => {}); // a dead peer shows as the end of its answers
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const line = await answers.next();
    if (line.done) throw new Error(`bench: the torch peer ended:\n${complaint}`);
    const answer = JSON.parse(line.value) as Record<string, unknown>;
    if ("error" in answer) throw new Error(`bench: the torch peer failed: ${String(answer["error"])}`);
    return answer;
  };
  const about = await next();
  return {
    about,
    ask: async (job, members) => {
      child.stdin.write(`${JSON.stringify({ job, ...members })}\n`);
      return (await next()) as Answer;
    },
    close: () => ended(child),
  };
}

function ended(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.stdin.end();
  });
}
