/** One meaningless word for every question. */
import { defineTarget } from "./target.ts";

export const dummy = defineTarget({
  name: "dummy",
  doc: 'the literal word "dummy", whatever was asked',
  say: () => Promise.resolve("dummy"),
});
