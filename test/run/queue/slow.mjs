/** Slow: a sentence that holds up the process for eight seconds, as a long step of a model does. */
import { defineTarget } from "lethe";

export const slow = defineTarget({
  name: "slow",
  doc: "a sentence, after eight seconds in which the process does nothing else",
  say: () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8000);
    return Promise.resolve("I do not know.");
  },
});
