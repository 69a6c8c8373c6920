/** Our side of every race: the same work as bench/peers, through the project's own rooms. */
import type { Took } from "./race.ts";
import type { RomeWork, Words } from "./work.ts";

export interface Ours {
  readonly words: Words;
  /** Greedy tokens for every prompt, exactly `newTokens` each; answers `ids`. */
  decode(prompts: readonly (readonly number[])[], newTokens: number): Promise<Took>;
  /** Logits at every position; answers `argmax` of each row's last position. */
  forward(ids: readonly (readonly number[])[]): Promise<Took>;
  /** One full-parameter AdamW step that stays done; answers `loss`. */
  train(ids: readonly (readonly number[])[]): Promise<Took>;
  /** The second value-optimisation step of an edit; answers `loss`. */
  romeStep(work: RomeWork): Promise<Took>;
  /** A whole edit; answers `norm` of the weight's change. */
  romeEdit(work: RomeWork, evaluations: number): Promise<Took>;
  close(): void;
}

/** Loads the model at `path` on `threads` threads. */
export async function loadOurs(path: string, threads: number): Promise<Ours> {
  throw new Error(`bench: no engine yet for ${path} on ${threads} threads`);
}
