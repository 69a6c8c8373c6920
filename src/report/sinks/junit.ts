/** JUnit XML, which continuous integration shows: each assertion is a test, or each number if there are none. */
import { inMarkup } from "../../base/visible.ts";
import { type Asserted, type EvalRecord, type JudgedNumber, nameOf } from "../../run/record.ts";
import { findingOf } from "../assertions.ts";
import { defineSink, noteOf, settingsOf, valueLine } from "./sink.ts";

/** How a test ended: a failure is a number on the wrong side, an error a number that is not there. */
interface Case {
  readonly name: string;
  readonly end: "passed" | "failure" | "error" | "skipped";
  readonly text: string;
}

export const junit = defineSink({
  name: "junit",
  title: "JUnit",
  doc: "JUnit XML: a test for each assertion, or for each number if nothing is asserted",
  to: "FILE",
  write: (evaluation) => {
    const { record, asserted, name, ended, seconds } = evaluation;
    const cases = asserted.length > 0 ? asserted.map((one) => caseOf(one)) : [...record.numbers.map(numberCase), ...gapsIn(record)];
    const count = (end: Case["end"]): number => cases.filter((one) => one.end === end).length;
    const counts = `tests="${cases.length}" failures="${count("failure")}" errors="${count("error")}" skipped="${count("skipped")}"`;
    const settings = Object.entries(settingsOf(evaluation)).map(
      ([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)] as const,
    );
    const time = `time="${seconds.toFixed(3)}"`;
    return [
      '<?xml version="1.0" encoding="UTF-8"?>',
      `<testsuites name="lethe eval" ${counts} ${time}>`,
      `  <testsuite name="${attribute(name)}" ${counts} ${time} timestamp="${new Date(ended).toISOString().slice(0, 19)}">`,
      "    <properties>",
      ...settings.map(([key, value]) => `      <property name="${attribute(key)}" value="${attribute(value)}"/>`),
      "    </properties>",
      ...cases.map((one) => testcase(one, record.suite)),
      `    <system-out>${inMarkup(noteOf(evaluation))}</system-out>`,
      "  </testsuite>",
      "</testsuites>",
      "",
    ].join("\n");
  },
});

const caseOf = (one: Asserted): Case => ({
  name: one.assertion,
  end: one.holds ? "passed" : one.found === null ? "error" : "failure",
  text: findingOf(one),
});

const numberCase = (number: JudgedNumber): Case =>
  number.nanRows > 0 || Number.isNaN(number.value)
    ? { name: nameOf(number), end: "error", text: `rows without a number: ${number.nanRows} of ${number.rows}` }
    : { name: nameOf(number), end: "passed", text: valueLine(number) };

/** Numbers that could not be computed, and rows without a value. */
const gapsIn = ({ missing, omitted = {} }: EvalRecord): Case[] => [
  ...missing.map((one): Case => ({ name: nameOf(one), end: "skipped", text: one.reason })),
  ...Object.entries(omitted).map(([group, rows]): Case => ({
    name: `rows of ${group}`,
    end: "error",
    text: `rows without a value: ${rows}`,
  })),
];

function testcase({ name, end, text }: Case, suite: string): string {
  const open = `    <testcase classname="lethe.${attribute(suite)}" name="${attribute(name)}" time="0">`;
  if (end === "passed") return `${open}<system-out>${inMarkup(text)}</system-out></testcase>`;
  const type = end === "skipped" ? "" : ` type="${end}"`;
  return `${open}<${end}${type} message="${attribute(text)}"/></testcase>`;
}

/** A text in an attribute, where a line break would become a space. */
const attribute = (text: string): string => inMarkup(text).replaceAll("\n", "&#10;").replaceAll("\t", "&#9;");
