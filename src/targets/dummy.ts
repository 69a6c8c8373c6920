/** One meaningless word for every question. */
import { defineTarget } from "./target.ts";

export const dummy = defineTarget({
  name: "dummy",
  doc: 'the literal word "dummy" for every question',
  say: () => Promise.resolve("dummy"),
});
