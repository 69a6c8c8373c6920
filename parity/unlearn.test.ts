/** Losses of unlearning on the real model: every value, gradient and first steps of the reference's formulas. */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { asFloats, floats, type NdArray } from "../src/base/array.ts";
import { defaultContext } from "../src/base/context.ts";
import { ceuLoss } from "../src/methods/ceu.ts";
import { dpoLoss } from "../src/methods/dpo.ts";
import { gaLoss } from "../src/methods/ga.ts";
import { gdLoss } from "../src/methods/gd.ts";
import { idkLoss } from "../src/methods/idk.ts";
import { klLoss } from "../src/methods/kl.ts";
import { npoLoss } from "../src/methods/npo.ts";
import { pduLoss } from "../src/methods/pdu.ts";
import { rmuLoss } from "../src/methods/rmu.ts";
import { satimpLoss } from "../src/methods/satimp.ts";
import { simnpoLoss } from "../src/methods/simnpo.ts";
import { undialLoss } from "../src/methods/undial.ts";
import { wgaLoss } from "../src/methods/wga.ts";
import { loadFrom } from "../src/model/load.ts";
import { type Model, type Precision, withWeights } from "../src/model/model.ts";
import { atLayer } from "../src/model/names.ts";
import type { Executor } from "../src/onnx/program.ts";
import type { LabelledRow } from "../src/train/batches.ts";
import { differentiated, type Slope } from "../src/train/gradient.ts";
import { type Recipe, trainOn } from "../src/train/loop.ts";
import { weightsOf } from "../src/train/trainable.ts";
import { type Formula, objectiveOf, type Unit } from "../src/train/parts.ts";
import { absent, all, readJson, readTensors, relative, shared } from "./shared.ts";

interface Batch {
  readonly input_ids: number[][];
  readonly labels: number[][];
  readonly attention_mask: number[][];
}
interface Entry {
  readonly loss: number;
  readonly grad_norm_global: number;
  readonly grad_norm: Readonly<Record<string, number>>;
  readonly components: Readonly<Record<string, number>>;
}
interface Deviation {
  readonly loss_rel: number;
  readonly grad_norm_global_rel: number;
  readonly grad_norm_max_rel: number;
}
interface Golden {
  readonly entries: Readonly<Record<string, Entry>>;
  readonly f32_deviation: Readonly<Record<string, Deviation>>;
  readonly f32_gradient_deviation: Readonly<Record<string, { readonly rel_l2: number }>>;
}
interface Trajectory {
  readonly f64: {
    readonly steps: { readonly loss: number; readonly grad_norm_global?: number }[];
    readonly final: { readonly "layers.15.mlp.down_proj[0,0:8]": number[] };
  };
  readonly f32_deviation: { readonly loss_max_abs?: number };
}

const golden = absent ? undefined! : readJson<Golden>("golden/losses/step0.json");
const grads = absent ? undefined! : readTensors("golden/losses/grads.safetensors");
const control = absent ? new Float64Array() : (asFloats(grads.get("rmu_control")!, "float64").data as Float64Array);

/** The reference pads to this length, and some of its means count the pads. */
const T = 80;
const LIKE = { padTo: T, stillPad: true };
const none: ReadonlySet<string> = new Set();
const only = (...names: readonly string[]): ReadonlySet<string> => new Set(names);
const alone = { gamma: 1, alpha: 0 };
const both = { gamma: 1, alpha: 1 };
const dual = { bound: 0.3, dualStep: 1, dualWarmup: 1, steps: 1 };

/** The formula of each entry; whose name ends in "refscaled" compares with another model. */
const CASES: Readonly<Record<string, Formula>> = {
  ga: gaLoss(),
  ce_retain: gdLoss({ gamma: 0, alpha: 1 }),
  gd: gdLoss(both),
  kl_term_refscaled: klLoss({ gamma: 0, alpha: 1 }, only("all-positions")),
  kl_refscaled: klLoss(both, only("all-positions")),
  idk: idkLoss(),
  dpo_refsame: dpoLoss({ ...both, beta: 0.1 }, only("plain-preference")),
  dpo_refscaled: dpoLoss({ ...both, beta: 0.1 }, only("plain-preference")),
  npo_refsame: npoLoss({ ...alone, beta: 0.1 }),
  npo_refscaled: npoLoss({ ...alone, beta: 0.1 }),
  simnpo: simnpoLoss({ ...alone, beta: 4.5, delta: 0 }),
  rmu_forget: rmuLoss({ ...alone, layer: 7 }, only("answer-words"), control),
  rmu_retain_refscaled: rmuLoss({ gamma: 0, alpha: 1, layer: 7 }, only("answer-words"), control),
  undial_legacy_refsame: undialLoss({ ...alone, beta: 10 }, only("every-position")),
  undial_masked_refsame: undialLoss({ ...alone, beta: 10 }, none),
  undial_masked_refscaled: undialLoss({ ...alone, beta: 10 }, none),
  wga: wgaLoss({ ...alone, beta: 1 }),
  satimp: satimpLoss({ ...alone, saturation: 5, importance: 1 }),
  ceu: ceuLoss({ skip: 1 }),
  pdu_forget: pduLoss({ ...alone, ...dual }),
};

/** The reference's rows: the text, then the end token that the last text position is to predict. */
const rowsOf = (name: string, { input_ids, labels, attention_mask }: Batch): LabelledRow[] =>
  input_ids.map((ids, i) => ({
    id: `${name}/${i}`,
    ids: [...ids.slice(0, attention_mask[i]!.filter(Boolean).length), 2],
    labels: labels[i]!.flatMap((label, at) => (label === -100 ? [] : [at])),
  }));

describe.skipIf(absent)(`losses of unlearning on the real model${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared("models/smollm2-135m-instruct"), defaultContext());
  const scaled = absent ? undefined! : shrunk(model);
  afterAll(() => model?.release());
  afterEach(() => model.sessions.release()); // each graph's arena holds gigabytes
  const units = absent ? [] : unitsOf(readJson<Record<string, Batch>>("golden/losses/batch.json"));
  const ours = absent
    ? new Map<string, string>()
    : new Map(
        Object.entries(model.arch.weights(model.config)).flatMap(([name, stored]) =>
          Array.from({ length: name.includes("{i}") ? model.config.layers : 1 }, (_, i) => [atLayer(stored.name, i), atLayer(name, i)]),
        ),
      );

  const slope = async (name: string, formula: Formula, dtype: Precision, executor: Executor): Promise<Slope> => {
    const { reached, run } = differentiated(model, {
      objective: objectiveOf({ like: LIKE, ...formula }),
      trainable: weightsOf(model, [...model.weights.keys()]),
      dtype,
      executor,
      ...(name.endsWith("refscaled") && { reference: scaled }),
    });
    const weights = new Map(reached.map((w) => [w, asFloats(model.weights.get(w)!, dtype)]));
    return run({ rows: units, step: units }, weights, formula.state?.start);
  };

  const check = (name: string, { outputs, gradients }: Slope, allowed: { loss: number; norm: number; entries: number }): void => {
    const entry = golden.entries[name]!;
    expect(Math.abs(outputs["loss"]! / entry.loss - 1)).toBeLessThan(allowed.loss);
    const norms = new Map([...gradients].map(([w, g]) => [w, Math.hypot(...chunks(g))]));
    expect(Math.abs(Math.hypot(...norms.values()) / entry.grad_norm_global - 1)).toBeLessThan(allowed.norm);
    for (const [theirs, size] of Object.entries(entry.grad_norm)) {
      const own = norms.get(ours.get(theirs)!) ?? 0;
      expect(Math.abs(own - size), theirs).toBeLessThan(allowed.norm * 5 * size + 1e-12);
    }
    for (const [key, tensor] of grads) {
      const [of, weight] = [key.slice(0, key.indexOf("/")), key.slice(key.indexOf("/") + 1)];
      if (of !== name) continue;
      const mine = gradients.get(ours.get(weight.replace(/\[.*/, ""))!)!;
      const theirs = tensor.data as Float32Array;
      expect(relative((mine.data as Float32Array).subarray(0, theirs.length), theirs), key).toBeLessThan(allowed.entries);
    }
  };

  const inF32 = (name: string): { loss: number; norm: number; entries: number } => {
    const off = golden.f32_deviation[name]!;
    return {
      loss: Math.max(3e-5, 10 * off.loss_rel),
      norm: Math.max(2e-4, 10 * Math.max(off.grad_norm_global_rel, off.grad_norm_max_rel)),
      entries: 9e-3,
    };
  };
  const exact = { loss: 1e-9, norm: 1e-9, entries: 1e-6 }; // entries are kept in float32

  for (const [name, formula] of Object.entries(CASES)) {
    it(`${name} in float32, one graph`, { timeout: 600_000 }, async () =>
      check(name, await slope(name, formula, "float32", "graph"), inF32(name)),
    );
    // the others only with --all
    it.runIf(all || name === "ga")(`${name} in float32, block by block`, { timeout: 600_000 }, async () =>
      check(name, await slope(name, formula, "float32", "blocks"), inF32(name)),
    );
    // the others only with --all
    it.runIf(all || name === "dpo_refscaled")(`${name} in float64, one graph`, { timeout: 1_200_000 }, async () =>
      check(name, await slope(name, formula, "float64", "graph"), exact),
    );
  }
  // the others only with --all
  it.runIf(all)("a float64 step, block by block", { timeout: 1_200_000 }, async () =>
    check("gd", await slope("gd", CASES["gd"]!, "float64", "blocks"), exact),
  );

  const MUTANTS: Readonly<Record<string, Formula>> = {
    gd: gdLoss({ gamma: 1, alpha: 1.001 }),
    kl_term_refscaled: klLoss({ gamma: 0, alpha: 1.01 }, only("all-positions")),
    dpo_refscaled: dpoLoss({ ...both, beta: 0.101 }, only("plain-preference")),
    npo_refscaled: npoLoss({ ...alone, beta: 0.102 }),
    simnpo: simnpoLoss({ ...alone, beta: 4.6, delta: 0 }),
    rmu_forget: rmuLoss({ ...alone, layer: 7 }, only("answer-words", "shared-lengths"), control),
    undial_masked_refscaled: undialLoss({ ...alone, beta: 9 }, none),
    wga: wgaLoss({ ...alone, beta: 1.01 }),
    satimp: satimpLoss({ ...alone, saturation: 5.1, importance: 1 }),
    ceu: ceuLoss({ skip: 0 }),
    pdu_forget: pduLoss({ gamma: 1.01, alpha: 0, ...dual }),
    idk: gdLoss({ gamma: 0, alpha: 1 }),
    ga: gdLoss({ gamma: 1.001, alpha: 0 }),
  };
  for (const [name, formula] of Object.entries(MUTANTS))
    // the others only with --all
    it.runIf(all || name === "gd" || name === "ceu")(`goes red when a constant of ${name} is off`, { timeout: 600_000 }, async () => {
      const off = await slope(name, formula, "float32", "graph");
      expect(() => check(name, off, inF32(name))).toThrow(/expected/);
    });

  it("components: other forms of the same losses", { timeout: 600_000 }, async () => {
    const lossOf = async (name: string, formula: Formula): Promise<number> =>
      (await slope(name, formula, "float32", "graph")).outputs["loss"]!;
    const part = (name: string, component: string): number => golden.entries[name]!.components[component]!;
    const legacy = await lossOf("rmu_forget", rmuLoss({ ...alone, layer: 7 }, only("answer-words", "shared-lengths"), control));
    expect(legacy / part("rmu_forget", "legacy_broadcast") - 1).toBeCloseTo(0, 4);
    const held = await lossOf("npo_refscaled", npoLoss({ ...both, beta: 0.1 }));
    expect(held / part("npo_refscaled", "total_with_retain_ce") - 1).toBeCloseTo(0, 4);
  });

  const TRAINED: Readonly<Record<string, Formula>> = {
    ga: gaLoss(),
    gd: gdLoss(both),
    kl: klLoss(both, only("all-positions")),
    idk: idkLoss(),
    dpo: dpoLoss({ ...both, beta: 0.1 }, only("plain-preference")),
    npo: npoLoss({ ...alone, beta: 0.1 }),
  };
  const recipe = (steps: number, dtype: Precision, executor: Executor): Recipe => ({
    steps,
    batch: 4,
    budget: 4096,
    together: 1,
    seed: 0,
    executor,
    dtype,
    optimizer: { name: "adamw", betas: [0.9, 0.999], eps: 1e-8, decay: 0.01 },
    schedule: { lr: 1e-5, warmup: 0, shape: "constant", floor: 0 },
  });
  const near = async (name: string, dtype: Precision, executor: Executor, steps: number, lossOff: number, normOff: number) => {
    const { f64 } = readJson<Record<string, Trajectory>>("golden/losses/trajectory.json")[name]!;
    const events = trainOn(model, units, recipe(steps, dtype, executor), defaultContext(), {
      objective: objectiveOf({ ...TRAINED[name]!, like: LIKE }),
    });
    for (let step = 0; ; step++) {
      const { value, done } = await events.next();
      if (done) {
        const row = (value.weights.get("blocks.15.mlp.out")!.data as Float32Array).slice(0, 8);
        if (steps === 8) expect(relative(row, f64.final["layers.15.mlp.down_proj[0,0:8]"])).toBeLessThan(dtype === "float64" ? 1e-9 : 1e-5);
        return;
      }
      if (value.kind !== "step") continue;
      const wanted = f64.steps[step]!;
      expect(Math.abs(value.loss - wanted.loss)).toBeLessThan(lossOff * Math.max(1, Math.abs(wanted.loss)));
      expect(Math.abs(value.norm / wanted.grad_norm_global! - 1)).toBeLessThan(normOff);
    }
  };
  for (const name of Object.keys(TRAINED)) {
    // the others only with --all
    it.runIf(all || name === "npo")(`${name}: the trajectory in float32`, { timeout: 1_200_000 }, () =>
      near(name, "float32", "graph", all ? 8 : 2, 1e-3, 7e-3),
    );
    // the others only with --all
    it.runIf(all)(`${name}: the trajectory in float64`, { timeout: 3_600_000 }, () => near(name, "float64", "graph", 8, 1e-9, 1e-9));
  }
});

/** Parts of a sum of squares that `Math.hypot` may take at once. */
function chunks({ data }: NdArray): number[] {
  const out: number[] = [];
  for (let i = 0; i < data.length; i += 4096) {
    let sum = 0;
    for (let j = i; j < Math.min(data.length, i + 4096); j++) sum += Number(data[j]) ** 2;
    out.push(Math.sqrt(sum));
  }
  return out;
}

function unitsOf(batch: Readonly<Record<string, Batch>>): Unit[] {
  const rows = {
    forget: rowsOf("forget", batch["forget"]!),
    target: rowsOf("idk", batch["idk"]!),
    retain: rowsOf("retain", batch["retain"]!),
  };
  return rows.forget.map((forget, i) => ({ forget, target: rows.target[i]!, retain: rows.retain[i]! }));
}

/** Every MLP's output matrix by 0.95. */
function shrunk(model: Model): Model {
  const names = [...model.weights.keys()].filter((name) => name.endsWith("mlp.out"));
  return withWeights(
    model,
    new Map(
      names.map((name) => {
        const { data, shape } = asFloats(model.weights.get(name)!, "float64");
        return [
          name,
          floats(
            (data as Float64Array).map((x) => 0.95 * x),
            shape,
            "float64",
          ),
        ];
      }),
    ),
  );
}
