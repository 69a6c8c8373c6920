/** Sessions: a graph made runnable on ONNX Runtime, checked before the native code is entered, and lent to the tasks that run it. */
import * as ort from "onnxruntime-node";
import { freemem } from "node:os";
import { bytesPer, type Dtype, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Env, evaluate, formatShape, isSymbol, type Shape } from "../tensor/dim.ts";
import type { Graph } from "../tensor/graph.ts";
import { emit, type Emitted } from "./emit.ts";
import type { Feeds, Results } from "./feeds.ts";
import { type Foreign, openForeign } from "./foreign.ts";
import { Gate, Pool } from "./pool.ts";

export interface SessionOptions {
  /** Weights to hold (and prepack) inside the session, and a key that names this choice. */
  readonly frozen?: { readonly key: string; readonly weights: ReadonlyMap<string, NdArray> };
  /** Keep the workspace between runs (faster for one hot session, larger at rest). */
  readonly arena?: boolean;
  /** Threads wait by spinning: for the one hot session only. */
  readonly spin?: boolean;
}

/** A graph ready to run. */
export class Session {
  readonly graph: Graph;
  private readonly emitted: Omit<Emitted, "bytes" | "frozen">;
  private native: ort.InferenceSession | undefined;
  private readonly fits = new Set<string>();

  private constructor(graph: Graph, emitted: Emitted, native: ort.InferenceSession) {
    this.graph = graph;
    this.emitted = { inputs: emitted.inputs, dims: emitted.dims, outputs: emitted.outputs };
    this.native = native;
  }

  static async create(graph: Graph, threads: number, options: SessionOptions = {}): Promise<Session> {
    const emitted = emit(graph, options.frozen?.weights);
    const native = await ort.InferenceSession.create(emitted.bytes, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      // the fused kernels that "all" would bring exist in single precision only
      graphOptimizationLevel: graph.nodes.some((n) => n.outputs[0]?.dtype === "float64") ? "basic" : "all",
      enableCpuMemArena: options.arena ?? true,
      enableMemPattern: false, // a plan for each new shape, in memory of its own beside the arena's: it makes no run faster
      logSeverityLevel: 3,
      ...(emitted.frozen.length > 0 && { externalData: [...emitted.frozen] }),
      extra: { session: { intra_op: { allow_spinning: options.spin ? "1" : "0" } } },
    }).catch((e: unknown) => {
      const why = String(e);
      if (/pthread_create|bad_alloc|[Ff]ailed to allocate|Cannot allocate memory/.test(why))
        fail(
          "session",
          `the system gives no memory for ${threads} threads`,
          "more memory",
          "Take fewer --threads, or raise the limits (ulimit -v, ulimit -u).",
          "memory",
        );
      return fail("session", `a program that ONNX Runtime refuses (${why.slice(0, 400)})`, "a valid program", "", "internal");
    });
    return new Session(graph, emitted, native);
  }

  /**
   * Runs once. Symbols are bound by the inputs' shapes unless `env` gives them. Outputs are copies.
   * Fails naming the input or the operation, before anything native, when a feed is missing, a shape does not fit, or a value would not fit into memory.
   */
  async run(feeds: Feeds, env: Env = {}): Promise<Results> {
    const native =
      this.native ?? fail("session", "a session that was released", "one in use", "Run it inside the task that it is lent to.", "internal");
    const bound: Record<string, number> = { ...env };
    const given: Record<string, ort.Tensor> = {};
    for (const { name, dtype, shape } of this.emitted.inputs) {
      const array = feeds.get(name) ?? fail("session", `no value for input "${name}"`, `${dtype} ${formatShape(shape)}`, "", "internal");
      bind(name, dtype, shape, array, bound);
      given[name] = new ort.Tensor(dtype === "bfloat16" ? "uint16" : dtype, array.data as never, array.shape);
    }
    for (const { name, dims } of this.emitted.dims)
      given[name] = new ort.Tensor(
        "int64",
        BigInt64Array.from(dims, (d) => BigInt(evaluate(d, bound))),
        [dims.length],
      );
    this.checkMemory(bound);
    const results = await native
      .run(given)
      .catch((e: unknown) => fail("session", `ONNX Runtime stopped (${String(e).slice(0, 400)})`, "a run to its end", "", "execution"));
    const out: Results = {};
    for (const name of this.emitted.outputs) {
      const t = results[`out:${name}`]!;
      out[name] = { dtype: this.graph.output(name).dtype, shape: t.dims, data: t.data as NdArray["data"] };
    }
    return out;
  }

  /** Frees the native memory; a later run fails. */
  async release(): Promise<void> {
    const native = this.native;
    this.native = undefined;
    await native?.release();
  }

  /** Refuses a run in which one value alone exceeds the free memory. */
  private checkMemory(env: Env): void {
    const key = JSON.stringify(env);
    if (this.fits.has(key)) return;
    const free = freemem();
    for (const node of this.graph.nodes)
      for (const t of node.op === "input" ? [] : node.outputs) {
        const shape = t.shape.map((d) => evaluate(d, env));
        const bytes = shape.reduce((a, b) => a * b, bytesPer(t.dtype));
        if (bytes > free)
          fail(
            "session",
            `operation "${node.op}" would make ${formatShape(shape)} ${t.dtype}, ${(bytes / 2 ** 30).toFixed(1)} GiB, with ${(free / 2 ** 30).toFixed(1)} GiB free`,
            "a value that fits into memory",
            "Use a smaller batch or shorter texts.",
            "memory",
          );
      }
    this.fits.add(key);
  }
}

/** Checks a feed against its declaration and binds the symbols it determines. */
export function bind(name: string, dtype: Dtype, shape: Shape, array: NdArray, env: Record<string, number>): void {
  const wanted = (): string =>
    `${dtype} ${formatShape(shape)}${
      Object.keys(env).length
        ? ` with ${Object.entries(env)
            .map(([k, v]) => `${k}=${v}`)
            .join(", ")}`
        : ""
    }`;
  const misfit = (): never => fail("session", `input "${name}" is ${array.dtype} ${formatShape(array.shape)}`, wanted(), "", "internal");
  if (array.dtype !== dtype || array.shape.length !== shape.length) misfit();
  shape.forEach((d, i) => {
    const size = array.shape[i]!;
    if (isSymbol(d) && env[d] === undefined) env[d] = size;
    else if (!isUnbound(d, env) && evaluate(d, env) !== size) misfit();
  });
}

const isUnbound = (d: Shape[number], env: Env): boolean =>
  typeof d === "string" && d.split(/[+*-]/).some((s) => /^[A-Za-z_]/.test(s) && env[s] === undefined);

/** The sessions of one owner (a model and its edited views). Each is lent to tasks, and is freed only while no task uses it. */
export class Sessions {
  readonly threads: number;
  private readonly own: Pool<Session>;
  private readonly others = new Pool<Foreign>(Infinity);
  private readonly gate: Gate;

  /** Keeps at most `most` sessions, or as many as are in use at once. */
  constructor(threads: number, most = 24, gate = new Gate(refuseReleased)) {
    this.threads = threads;
    this.own = new Pool(most);
    this.gate = gate;
  }

  /** Runs a task with the session of a graph, which is created on first use. Several tasks may use one session at once. */
  use<T>(graph: Graph, options: SessionOptions, task: (session: Session) => Promise<T>): Promise<T> {
    const key = `${graph.hash}/${options.frozen?.key ?? ""}/${options.arena ?? true}/${options.spin ?? false}`;
    return this.gate.enter(() => this.own.use(key, () => Session.create(graph, this.threads, options), task));
  }

  /** Runs a task with a model made elsewhere, from the bytes of its file; it is opened on first use and kept until a release. */
  useForeign<T>(key: string, { bytes, path }: ForeignFile, task: (foreign: Foreign) => Promise<T>): Promise<T> {
    return this.gate.enter(() => this.others.use(key, () => openForeign(bytes, path, this.threads), task));
  }

  /** Runs a task with sessions of its own, which are freed when it is done; the sessions kept here stay. */
  async apart<T>(task: (sessions: Sessions) => Promise<T>): Promise<T> {
    const sessions = new Sessions(this.threads, undefined, this.gate);
    try {
      return await task(sessions);
    } finally {
      await sessions.release();
    }
  }

  /** Frees idle sessions at once and the others when their last task is done, and waits until all are freed. Later tasks get new ones. */
  async release(): Promise<void> {
    await Promise.all([this.own.release(), this.others.release()]);
  }

  /** Refuses every later task, waits for those under way, and frees everything. */
  async close(): Promise<void> {
    await this.gate.close();
    await this.release();
  }
}

/** The file of a model made elsewhere. */
export interface ForeignFile {
  readonly bytes: Uint8Array;
  readonly path: string;
}

const refuseReleased = (): never =>
  fail("session", "a model that was released", "a model in use", "Load it again, and release it after the last run.");
