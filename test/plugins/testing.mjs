/** The plugins of this folder pass the tests of Lethe's own entries. */
import * as runner from "node:test"; // or "vitest"
import { attackConforms, methodConforms, metricConforms, targetConforms } from "lethe/testing";
import { deflect } from "./deflect.mjs";
import { erase } from "./erase.mjs";
import { firstWord } from "./first-word.mjs";
import { insist } from "./insist.mjs";

const rows = [
  { id: "a", answer: "Canberra", generation: "Canberra." },
  { id: "b", answer: "Rome", generation: "It is Rome." },
];
metricConforms(firstWord, { worked: { rows, value: 0.5 } }, runner);
targetConforms(deflect, {}, runner);
methodConforms(erase, { params: {} }, runner);
attackConforms(insist, {}, runner);
