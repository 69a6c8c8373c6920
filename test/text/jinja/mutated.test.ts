/** Two thousand damaged templates: each is rendered or refused with a line, soon, and in bounded memory. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Rng, rng } from "../../../src/base/rng.ts";
import { renderTemplate } from "../../../src/text/jinja/jinja.ts";
import { JinjaError } from "../../../src/text/jinja/trouble.ts";

const golden = JSON.parse(readFileSync(new URL("../../../parity/fixtures/jinja.json", import.meta.url), "utf8")) as {
  templates: Record<string, string>;
  conversations: Record<string, unknown>[];
  variables: Record<string, unknown>;
  lines: [template: string, text: string | null][];
};
const SOURCES = [...Object.values(golden.templates), ...golden.lines.map(([template]) => template)];

/** Words that open, close or blow up something where they stand. */
const WORDS = [
  "{{",
  "}}",
  "{%",
  "%}",
  "{#",
  "#}",
  "-%}",
  "{%-",
  "(",
  ")",
  "[",
  "]",
  "{",
  "}",
  "'",
  '"',
  "\\",
  "|",
  "~",
  "**",
  "//",
  ":",
  ",",
  ".",
  "\n",
  "\0",
  "\ud800",
  "😀",
  " if ",
  " else ",
  " in ",
  " is ",
  " not ",
  " and ",
  "{% endfor %}",
  "{% endif %}",
  "{% else %}",
  "{% for i in range(100000) %}",
  "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
  "{% continue %}",
  "{% break %}",
  "{% raw %}",
  "{% endraw %}",
  "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
  "loop",
  "caller()",
  "* 10**9",
  "** 99999",
  "|list",
  "|join",
  "|tojson(indent=999)",
  "|indent(10**8)",
  "|batch(10**9)",
  "|replace('', 'xxxxxxxx')",
  "[::-1]",
  ".format(*range(9))",
  "%999999999d",
  "'{:9999999}'.format(1)",
  "9".repeat(400),
  "1e999",
];

function mutate(source: string, r: Rng): string {
  let text = source;
  for (let k = r.below(4); k >= 0; k--) {
    const at = r.below(text.length + 1);
    const end = Math.min(text.length, at + 1 + r.below(30));
    const choice = r.below(6);
    if (choice === 0) text = text.slice(0, at) + text.slice(end);
    else if (choice === 1) text = text.slice(0, at) + text.slice(at, end).repeat(2 + r.below(40)) + text.slice(end);
    else if (choice === 2) text = text.slice(0, at) + text.slice(at).split("").reverse().join("").slice(0, 40) + text.slice(end);
    else text = text.slice(0, at) + WORDS[r.below(WORDS.length)]! + text.slice(choice === 3 ? end : at);
  }
  return text;
}

describe("two thousand damaged templates", () => {
  test.each(Array.from({ length: 20 }, (_, k) => k))(
    "a hundred of them (%i)",
    (part) => {
      let [rendered, refused] = [0, 0];
      for (let k = 0; k < 100; k++) {
        const r = rng(`jinja-${part}-${k}`);
        const template = mutate(SOURCES[r.below(SOURCES.length)]!, r);
        const variables = { ...golden.variables, ...golden.conversations[r.below(golden.conversations.length)] };
        const [start, heap] = [process.cpuUsage(), process.memoryUsage().heapUsed];
        try {
          expect(renderTemplate(template, variables, (format) => format).length).toBeLessThanOrEqual(8_000_000);
          rendered++;
        } catch (error) {
          expect(error, JSON.stringify(template)).toBeInstanceOf(JinjaError);
          expect((error as JinjaError).line, JSON.stringify(template)).toBeGreaterThan(0);
          refused++;
        }
        const { user, system } = process.cpuUsage(start); // processor time: a busy machine does not change it
        expect((user + system) / 1e6, JSON.stringify(template)).toBeLessThan(2);
        expect(process.memoryUsage().heapUsed - heap, JSON.stringify(template)).toBeLessThan(600e6);
      }
      expect(rendered).toBeGreaterThan(5);
      expect(refused).toBeGreaterThan(20);
    },
    60_000,
  );
});
