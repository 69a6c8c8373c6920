/** Damaged templates: each is rendered or refused with a line, soon, and in bounded memory; and so are a model's own prompts made with them. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Rng, rng } from "../../../src/base/rng.ts";
import { defaultContext } from "../../../src/base/context.ts";
import { LetheError } from "../../../src/base/fail.ts";
import { load } from "../../../src/model/load.ts";
import { chatPrompt, turnEnd } from "../../../src/text/chat.ts";
import { renderTemplate } from "../../../src/text/jinja/jinja.ts";
import { JinjaError } from "../../../src/text/jinja/trouble.ts";
import { mutations } from "../../edit/untrusted.ts";

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

/** Hundreds of damaged templates that are tried. */
const PARTS = mutations(2000) / 100;

describe("damaged templates", () => {
  test.each(Array.from({ length: PARTS }, (_, k) => k))(
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

test(
  "prompts of a model with a damaged template, and where its turns end",
  async () => {
    const model = await load("bundled", defaultContext({ threads: 1 }));
    const own = readFileSync(new URL("../../../bundled/model/chat_template.jinja", import.meta.url), "utf8");
    let [made, refused] = [0, 0];
    for (let k = 0; k < mutations(300); k++) {
      const r = rng(`prompt-${k}`);
      const template = mutate(r.below(4) ? own : SOURCES[r.below(SOURCES.length)]!, r);
      const [start, heap] = [process.cpuUsage(), process.memoryUsage().heapUsed];
      try {
        const { text, content } = chatPrompt("Who keeps the tower?", { template, tokenizer: model.tokenizer, system: "Be brief." });
        expect(content[1]).toBeLessThanOrEqual(text.length);
        made++;
      } catch (error) {
        expect(error, JSON.stringify(template)).toBeInstanceOf(LetheError);
        expect((error as LetheError).trouble, JSON.stringify(template)).not.toBe("internal");
        refused++;
      }
      expect(turnEnd(model.tokenizer, template).length, JSON.stringify(template)).toBeGreaterThan(0);
      const { user, system } = process.cpuUsage(start);
      expect((user + system) / 1e6, JSON.stringify(template)).toBeLessThan(4);
      expect(process.memoryUsage().heapUsed - heap, JSON.stringify(template)).toBeLessThan(600e6);
    }
    await model.release();
    expect(made).toBeGreaterThan(10);
    expect(refused).toBeGreaterThan(60);
  },
  mutations(0) > 0 ? 3_600_000 : 120_000,
);
