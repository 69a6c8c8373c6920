/** Checks this machine: versions, a calculation with a known result, memory, folders, settings. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import * as ort from "onnxruntime-node";
import { floats } from "../base/array.ts";
import { type Context, environment } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { resolveModel } from "../hub/hub.ts";
import { availableMemory, showBytes } from "../model/memory-estimate.ts";
import { program } from "../onnx/program.ts";
import { Sessions } from "../onnx/session.ts";
import { trace } from "../tensor/graph.ts";
import { hubFolder } from "./models.ts";

/** "bad": Lethe cannot work; "odd": it works, but the user should know. */
export interface Finding {
  readonly name: string;
  readonly state: "good" | "odd" | "bad";
  readonly text: string;
  readonly advice?: string;
}

/** Oldest Node that is supported. */
const NODE = [20, 19] as const;
/** With less memory than this, even the bundled model may not fit. */
const LEAST = 1e9;

/** Every check in turn; none throws. */
export async function examine(ctx: Context): Promise<Finding[]> {
  return [
    node(),
    engine(),
    await selfTest("float32", ctx),
    await selfTest("float64", ctx),
    cores(ctx),
    memory(ctx),
    writable("cache folder", ctx.cache, "Set LETHE_HOME to a folder that you may write to."),
    writable("model cache", hubFolder(), "Set HF_HOME to a folder that you may write to."),
    network(),
    await bundled(ctx),
  ];
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isOld = major < NODE[0] || (major === NODE[0] && minor < NODE[1]);
  const text = `${process.version} on ${process.platform} ${process.arch}`;
  return { name: "Node", state: isOld ? "bad" : "good", text, ...(isOld && { advice: `Install Node ${NODE.join(".")} or newer.` }) };
}

function engine(): Finding {
  const version = ort.env.versions.node ?? ort.env.versions.common;
  return { name: "ONNX Runtime", state: "good", text: version };
}

/** Compares a product with a transposed factor, [3, 2]ᵀ · [3, 4], with sums computed here. Graph optimisers often rewrite such products. */
async function selfTest(dtype: "float32" | "float64", ctx: Context): Promise<Finding> {
  const name = `self-test, ${dtype}`;
  const sessions = new Sessions(ctx.threads);
  try {
    const graph = trace((t) => ({
      product: t
        .input("a", dtype, [3, 2])
        .transpose(1, 0)
        .matmul(t.input("b", dtype, [3, "N"])),
    }));
    const a = [1 / 3, -2, 5, 0.1, 7, 1e-7];
    const b = [1, 2, 3, 4, -0.5, 0.25, 1 / 7, 9, 11, -13, 17, 1e5];
    const feeds = new Map([
      ["a", floats(a, [3, 2], dtype)],
      ["b", floats(b, [3, 4], dtype)],
    ]);
    const got = (await program(sessions, graph).run(feeds))["product"]!.data;
    const wanted = Array.from({ length: 8 }, (_, at) =>
      [0, 1, 2].reduce((sum, k) => sum + a[2 * k + (at >> 2)]! * b[4 * k + (at & 3)]!, 0),
    );
    const off = Math.max(...wanted.map((w, i) => Math.abs(Number(got[i]) - w) / Math.max(1, Math.abs(w))));
    const isRight = off < (dtype === "float64" ? 1e-14 : 1e-6);
    return {
      name,
      state: isRight ? "good" : "bad",
      text: `traced, compiled and run; off by ${off.toExponential(1)}`,
      ...(!isRight && { advice: "Install the packages again: npm ci." }),
    };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { name, state: "bad", text, advice: "Install the packages again: npm ci (the README says what onnxruntime-node needs)." };
  } finally {
    await sessions.release();
  }
}

function cores(ctx: Context): Finding {
  const there = availableParallelism();
  const text = `${there} there, ${ctx.threads} used`;
  if (ctx.threads > there)
    return { name: "cores", state: "odd", text, advice: `More threads than cores are slower: LETHE_THREADS=${there}.` };
  return {
    name: "cores",
    state: "good",
    text,
    ...(there > 2 * ctx.threads && { advice: "LETHE_THREADS or --threads uses more; results are the same bytes for the same count." }),
  };
}

function memory(ctx: Context): Finding {
  try {
    const { bytes, limit } = availableMemory({ setting: ctx.memory });
    const text = `${showBytes(bytes)} left by ${limit}, ${showBytes(totalmem())} in the machine`;
    return {
      name: "memory",
      state: bytes < LEAST ? "odd" : "good",
      text,
      ...(bytes < LEAST && { advice: "Close other programs before loading more than a small model." }),
    };
  } catch (error) {
    return { name: "memory", state: "bad", text: (error as Error).message };
  }
}

/** Whether a folder, or the nearest one above it that exists, can be written to. */
function writable(name: string, folder: string, advice: string): Finding {
  let at = resolve(folder);
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  try {
    accessSync(at, constants.W_OK);
    if (!statSync(at).isDirectory()) return { name, state: "bad", text: `${folder} lies in a file`, advice };
    return { name, state: "good", text: at === resolve(folder) ? folder : `${folder} (not there yet)` };
  } catch {
    return { name, state: "bad", text: `${folder} cannot be written to`, advice };
  }
}

function network(): Finding {
  const env = environment();
  const offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].filter((name) => env[name]);
  const set = ["HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE"].filter((name) => env[name]).map((name) => `${name}=${env[name]}`);
  const token = env["HF_TOKEN"] ? ["HF_TOKEN is set"] : [];
  const text = [
    offline.length ? `offline (${offline.join(", ")})` : "models are fetched when they are named by hub id",
    ...set,
    ...token,
  ].join("; ");
  return { name: "network", state: "good", text };
}

async function bundled(ctx: Context): Promise<Finding> {
  try {
    return { name: "bundled model", state: "good", text: await resolveModel("bundled", ctx) };
  } catch (error) {
    if (!(error instanceof LetheError)) throw error;
    return { name: "bundled model", state: "odd", text: error.got, advice: error.hint };
  }
}
