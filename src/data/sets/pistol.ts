/** PISTOL's contracts: questions about invented companies, grouped by contract (edge). */
import { z } from "zod";
import { checkRow, defineSet, has, rowsOf, fromQuestions } from "./set.ts";

const text = z.string().min(1);
const rowSchema = z.strictObject({ question: text, answer: text, edge: text });

export const pistol = defineSet({
  name: "pistol",
  doc: "sales and employment contracts in a graph: 20 questions per edge",
  source: "bill-shen-BS/PISTOL data/sample_data_1.json, sample_data_2.json",
  licence: "ODC-By (dataset card xinchiqiu/PISTOL)",
  claims: has("question", "answer", "edge"),
  read(options) {
    const rows = rowsOf(options).map((record) => checkRow(rowSchema, record));
    const parties = partiesByEdge(rows);
    return fromQuestions(rows, options, ({ question, answer, edge }, row) => {
      const both = parties.get(edge) ?? [];
      // the party named first is the subject; the other one identifies the contract
      const named = both.filter((name) => question.includes(name)).toSorted((a, b) => question.indexOf(a) - question.indexOf(b))[0];
      return { id: `pistol/${row}`, prompt: question, answer, named, relation: relationOf(question, both), group: edge };
    });
  },
});

/** The parties of a contract, from its question that names both. */
function partiesByEdge(rows: readonly { readonly question: string; readonly edge: string }[]): Map<string, string[]> {
  const parties = new Map<string, string[]>();
  for (const { question, edge } of rows) {
    const both = /\bbetween (.+?) and (.+?)\?$/.exec(question);
    if (both && !parties.has(edge)) parties.set(edge, [both[1]!, both[2]!]);
  }
  return parties;
}

/** A question without its names and dates; it identifies the kind of fact. */
const relationOf = (question: string, names: readonly string[]): string =>
  names.reduce((text, name) => text.replaceAll(name, "…"), question).replaceAll(/\b\d{2}-\d{2}-\d{4}\b/g, "…");
