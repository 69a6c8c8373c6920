/** PISTOL's contracts: questions about invented companies, grouped by contract (edge). */
import { z } from "zod";
import type { ForgetRequest } from "../request.ts";
import { findSubject } from "../subject.ts";
import { checkRow, defineSet, givenFor, has, noStray, readSubjects, rowsOf } from "./set.ts";

const text = z.string().min(1);
const rowSchema = z.strictObject({ question: text, answer: text, edge: text });

export const pistol = defineSet({
  name: "pistol",
  doc: "sales and employment contracts in a graph: 20 questions per edge",
  source: "bill-shen-BS/PISTOL data/sample_data_1.json, sample_data_2.json",
  licence: "ODC-By (dataset card xinchiqiu/PISTOL)",
  claims: has("question", "answer", "edge"),
  read(options) {
    const { subjects } = options;
    const given = subjects === undefined ? undefined : readSubjects(subjects);
    const rows = rowsOf(options).map((record) => ({ ...checkRow(rowSchema, record), place: record.place }));
    const parties = partiesByEdge(rows);
    const guessed: string[] = [];
    const requests = rows.map(({ question, answer, edge }, row): ForgetRequest => {
      const id = `pistol/${row}`;
      const known = givenFor(given, row, question);
      if (!known) guessed.push(id);
      const named = (parties.get(edge) ?? []).filter((name) => question.includes(name));
      // the party named first is the subject; the other one identifies the contract
      const first = named.toSorted((a, b) => question.indexOf(a) - question.indexOf(b))[0];
      return {
        id,
        subject: known?.subject ?? first ?? findSubject(question) ?? "",
        prompt: question,
        answer,
        paraphrases: known?.rephrase === undefined ? [] : [known.rephrase],
        neighbours: [],
        wrong: [],
        relation: relationOf(question, parties.get(edge) ?? []),
        group: edge,
      };
    });
    noStray(given, requests.length);
    return { requests, guessed };
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
