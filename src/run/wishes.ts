/** What may matter to someone who lets Lethe choose the method (`--want`): each wish leaves methods out, or changes their order. */
import type { MeasuredRow } from "./measured.ts";

interface Wish {
  /** One sentence for pages and help. */
  readonly doc: string;
  /** Why a method with this row does not fit; undefined if it fits. */
  readonly refuses?: (row: MeasuredRow) => string | undefined;
  /** Another share of the row that counts like the answers that are gone. */
  readonly counts?: "rephrased";
  /** Of methods with nearly the best score, the fastest is taken. */
  readonly isFastest?: true;
}

/** Refuses by the kind of change. A kind that is not known is refused: what was not measured is no yes. */
const byKind =
  (isWanted: (kind: NonNullable<MeasuredRow["kind"]>) => boolean, why: string): NonNullable<Wish["refuses"]> =>
  ({ kind }) =>
    kind === null ? "what it changes was not measured" : isWanted(kind) ? undefined : why;

/** Every wish by its name. */
export const WISHES = {
  weights: { doc: "the edit changes weights", refuses: byKind((kind) => kind === "delta", "it changes no weight") },
  "no-weights": { doc: "the edit changes no weight", refuses: byKind((kind) => kind !== "delta", "it changes weights") },
  rephrases: { doc: "the answer is gone for the question in other words, too", counts: "rephrased" },
  speed: { doc: "the edit is made fast", isFastest: true },
  lora: {
    doc: "the edit can be exported as a LoRA adapter",
    refuses: (row) =>
      byKind((kind) => kind === "delta", "it changes no weight")(row) ??
      (row.isLowRank === true ? undefined : "its change of weights has no low rank"),
  },
} as const satisfies Readonly<Record<string, Wish>>;

/** The wishes of these names. */
export const wishesOf = (names: readonly string[]): readonly (Wish & { readonly name: string })[] =>
  names.map((name) => ({ name, ...(WISHES as Readonly<Record<string, Wish>>)[name]! }));
