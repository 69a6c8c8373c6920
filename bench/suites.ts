/** The races by name: what each side does in its turn, and what the project asks of it. */
import type { Ours } from "./ours.ts";
import type { Peer } from "./peer.ts";
import type { Race } from "./race.ts";
import { prompts, romeWork, type Sizes, textRows } from "./work.ts";

/** What a suite is given; `peer` is absent where no Python has torch. */
export interface Stage {
  readonly ours: Ours;
  readonly peer: Peer | undefined;
  readonly sizes: Sizes;
}

/** Every suite starts with a peer and a model of its own, since training changes both. */
export const SUITES: Readonly<Record<string, (stage: Stage) => Race[]>> = { decode, forward, train, rome };

function decode({ ours, peer, sizes }: Stage): Race[] {
  const kinds = [1, 8].flatMap((batch) => [false, true].map((freeze) => [batch, freeze] as const));
  return kinds.map(([batch, freeze]) => {
    const rows = prompts(ours.words, batch);
    return {
      name: `decode, batch ${batch}${freeze ? ", frozen" : ""}`,
      unit: "tok/s",
      tokens: batch * sizes.newTokens,
      wanted: 2,
      ours: () => ours.decode(rows, sizes.newTokens, freeze),
      peer: peer && (() => peer.ask("decode", { prompts: rows, new_tokens: sizes.newTokens })),
      same: (a, b) => {
        const [mine, theirs] = [a["ids"], b["ids"]] as [number[][], number[][]];
        return `${mine.filter((row, i) => String(row) === String(theirs[i])).length}/${batch} rows`;
      },
    };
  });
}

function forward({ ours, peer, sizes }: Stage): Race[] {
  const ids = textRows(ours.words, sizes);
  return [
    {
      name: `forward, ${sizes.rows} x ${sizes.columns}`,
      unit: "ms",
      wanted: 1.2,
      ours: () => ours.forward(ids),
      peer: peer && (() => peer.ask("forward", { ids })),
      same: (a, b) => {
        const [mine, theirs] = [a["argmax"], b["argmax"]] as [number[], number[]];
        return `${mine.filter((id, i) => id === theirs[i]).length}/${ids.length} tokens`;
      },
    },
  ];
}

function train({ ours, peer, sizes }: Stage): Race[] {
  const ids = textRows(ours.words, sizes);
  return [
    {
      name: `training step, ${sizes.rows} x ${sizes.columns}`,
      unit: "ms",
      ours: () => ours.train(ids),
      peer: peer && (() => peer.ask("train", { ids })),
      same: byLoss("loss"),
    },
  ];
}

function rome({ ours, peer, sizes }: Stage): Race[] {
  const work = romeWork(ours.words, sizes);
  const { key_rows: _rows, key_at: _at, ...value } = work;
  const edit = { ...work, evaluations: sizes.evaluations, stop: 0 };
  return [
    {
      name: "ROME step",
      unit: "ms",
      wanted: 2,
      ours: () => ours.romeStep(work),
      peer: peer && (() => peer.ask("rome-step", value)),
      same: byLoss("loss"),
    },
    {
      name: `ROME edit, ${sizes.evaluations} evaluations`,
      unit: "s",
      ours: () => ours.romeEdit(work, sizes.evaluations),
      peer: peer && (() => peer.ask("rome-edit", edit)),
      same: byLoss("norm"),
    },
  ];
}

/** Relative difference of one number of both answers. */
const byLoss =
  (name: string): NonNullable<Race["same"]> =>
  (a, b) => {
    const [mine, theirs] = [a[name], b[name]] as [number, number];
    return `${name} ${(Math.abs(mine - theirs) / Math.abs(theirs)).toExponential(0)}`;
  };
