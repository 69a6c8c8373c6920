/** Chat templates: what models in the wild render, where the user's words stand, how a turn ends, and that no template can run away. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { LetheError } from "../../src/base/fail.ts";
import { chatPrompt, type Message, renderChat, turnEnd } from "../../src/text/chat.ts";
import { renderTemplate } from "../../src/text/jinja/jinja.ts";
import { JinjaError } from "../../src/text/jinja/trouble.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";

const golden = JSON.parse(readFileSync(new URL("tokenizers.golden.json", import.meta.url), "utf8")) as {
  tokenizers: Record<string, { json: Record<string, unknown> }>;
};
const SPECIAL = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>"];

/** A small tokenizer that also knows the marks of the templates below. */
function tokenizerOf(kind: string, config: Record<string, unknown>): Tokenizer {
  const json = structuredClone(golden.tokenizers[kind]!.json);
  const added = json["added_tokens"] as Record<string, unknown>[];
  const size = 600;
  SPECIAL.forEach((content, k) =>
    added.push({ id: size + k, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }),
  );
  return createTokenizer(json, config);
}

const CHATML = `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;
const LLAMA2 = `{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}`;
const LLAMA3 = `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`;

const bytes = tokenizerOf("llama3", { bos_token: "<|begin_of_text|>", eos_token: "<|eot_id|>" });
const chatml = tokenizerOf("gpt2", { eos_token: "</s>" });
const pieces = tokenizerOf("llama2", { bos_token: "<s>", eos_token: "</s>" });
const user = (content: string): Message[] => [{ role: "user", content }];

describe("prompts", () => {
  it("ChatML: text, ids, the place of the question, the turn's end", () => {
    const prompt = chatPrompt("Where is Kirkuk?", { template: CHATML, tokenizer: chatml });
    expect(prompt.text).toBe("<|im_start|>user\nWhere is Kirkuk?<|im_end|>\n<|im_start|>assistant\n");
    expect(prompt.text.slice(...prompt.content)).toBe("Where is Kirkuk?");
    expect(prompt.ids).toEqual(chatml.encode(prompt.text, { special: false }).ids);
    expect(prompt.lead).toBe("");
    expect(turnEnd(chatml, CHATML)).toEqual([chatml.idOf("<|im_end|>")]);
  });

  it("Llama 2: one BOS although the tokenizer adds one too, a space before the answer, </s> at its end", () => {
    const prompt = chatPrompt("  Where?  ", { template: LLAMA2, tokenizer: pieces, system: "Be brief." });
    expect(prompt.text).toBe("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n  Where? [/INST]");
    expect(prompt.ids.filter((id) => id === pieces.idOf("<s>")).length).toBe(1);
    expect(prompt.ids[0]).toBe(pieces.idOf("<s>"));
    expect(prompt.text.slice(...prompt.content).trim()).toBe("Where?");
    expect(prompt.lead).toBe(" ");
    expect(turnEnd(pieces, LLAMA2)).toEqual([pieces.idOf("</s>")]);
  });

  it("Llama 3: trimmed questions are found, the header's blank line belongs to the prompt", () => {
    const prompt = chatPrompt(
      [
        { role: "user", content: "A?" },
        { role: "assistant", content: "B." },
        { role: "user", content: " A? " },
      ],
      { template: LLAMA3, tokenizer: bytes },
    );
    expect(prompt.content[0]).toBe(prompt.text.lastIndexOf("A?"));
    expect(prompt.text.slice(...prompt.content)).toBe("A?");
    expect(prompt.text.endsWith("assistant<|end_header_id|>\n\n")).toBe(true);
    expect(prompt.lead).toBe("");
    expect(prompt.ids.filter((id) => id === bytes.bos).length).toBe(1);
    expect(turnEnd(bytes, LLAMA3)).toEqual([bytes.idOf("<|eot_id|>")]);
  });

  it("a system text replaces the one that is there; without a mark at the end of a turn it is eos", () => {
    const messages: Message[] = [
      { role: "system", content: "old" },
      { role: "user", content: "Q" },
    ];
    expect(chatPrompt(messages, { template: CHATML, tokenizer: chatml, system: "new" }).text).toContain("system\nnew<|im_end|>");
    const bare = "{% for m in messages %}{{ m.content + '\\n' }}{% endfor %}";
    expect(turnEnd(chatml, bare)).toEqual([chatml.idOf("</s>")]);
    expect(turnEnd(chatml, "{{ raise_exception('no') }}")).toEqual([chatml.idOf("</s>")]);
  });
});

describe("rendering", () => {
  it("follows the reference in white space, names, filters and the empty tools", () => {
    expect(renderChat("  {%- for m in messages %}\n  {{ m.content | trim }}\n{% endfor %}", user(" a "))).toBe("  a\n");
    expect(renderChat("{{ bos_token }}|{{ eos_token }}|{{ custom }}", [], { bos: "B", eos: "E", custom: 7 })).toBe("B|E|7");
    expect(renderChat("{% if tools is not none %}tools{% else %}none{% endif %}", [])).toBe("none");
    expect(renderChat("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", [])).toBe("3");
    expect(renderChat("{{ messages | tojson(indent=2) }}", user("é"))).toBe('[\n  {\n    "role": "user",\n    "content": "é"\n  }\n]');
  });

  it("knows one date for ever", () => {
    expect(renderChat("{{ strftime_now('%d %b %Y') }}, {{ strftime_now('%A %-d %B') }}", [])).toBe("26 Jul 2024, Friday 26 July");
  });

  it("the template's own complaint comes out in its words", () => {
    expect(() =>
      renderChat(
        LLAMA2,
        [
          { role: "user", content: "a" },
          { role: "user", content: "b" },
        ],
        { bos: "", eos: "" },
      ),
    ).toThrow(/chat template: it refuses this conversation: Conversation roles must alternate/);
    expect(() => renderChat("{{ 'a' | frobnicate }}", [])).toThrow(
      /cannot be rendered: TemplateSyntaxError: No filter named 'frobnicate' \(line 1 of the template\)/,
    );
    expect(() => renderChat("{% for %}", [])).toThrow(LetheError);
    expect(() => renderChat("{{ 'a", [])).toThrow(LetheError);
  });
});

/** Seconds of processor time: a busy machine changes the clock, not this. */
function secondsSince(start: NodeJS.CpuUsage): number {
  const { user: own, system } = process.cpuUsage(start);
  return (own + system) / 1e6;
}

describe("a template that would run away ends", () => {
  const cases: [string, string, RegExp][] = [
    ["a long range", "{% for i in range(1000000000) %}a{% endfor %}", /range\(\) of 1000000000 numbers, more than 100000/],
    ["a range from far below", "{% for i in range(-1000000000, 5) %}a{% endfor %}", /range\(\) of 1000000005 numbers/],
    [
      "loops in loops",
      "{% for i in range(9000) %}{% for j in range(900) %}x{% endfor %}{% endfor %}",
      /does not end within 1000000 evaluations/,
    ],
    [
      "doubled texts",
      "{% set ns=namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
      /a text of \d+ characters/,
    ],
    [
      "doubled lists",
      "{% set ns=namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
      /a list of \d+ items/,
    ],
    [
      "lists of themselves twice",
      "{% set ns=namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      /does not end within|a text of \d+ characters/,
    ],
    ["a wide indent", "{{ 'a\nb' | indent(400000000) }}", /a text of 400000000 characters/],
    ["a wide indent by name", "{{ messages | tojson(indent=500000000) }}", /an indent of 500000000, more than 1000/],
    ["a wide indent unpacked", "{{ 'a\nb' | indent(*[400000000]) }}", /a text of 400000000 characters/],
    ["brackets without end", `{{ ${"(".repeat(60_000)}`, /nests more than 100 levels deep/],
    ["a text times a billion", "{{ 'a' * 10**9 }}", /a text of 1000000000 characters/],
    ["a list times a billion", "{{ [1] * 10**9 }}", /a list of 1000000000 items/],
    ["a number of a billion digits", "{{ 10**(10**9) }}", /a whole number of more than 16384 bits/],
    [
      "a number that squares itself",
      "{% set ns=namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
      /more than 16384 bits/,
    ],
    ["a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /nests more than 1000 levels deep/],
    ["a loop that calls itself", "{% for i in [1] recursive %}{{ loop([i]) }}{% endfor %}", /nests more than 1000 levels deep/],
    [
      "macros that call two each",
      "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
      /does not end within/,
    ],
    [
      "replacements that grow",
      "{% set ns=namespace(s='aa') %}{% for i in range(60) %}{% set ns.s = ns.s|replace('a','aa') %}{% endfor %}",
      /a text of \d+ characters/,
    ],
    [
      "a search for a long part",
      "{% set a = 'a' * 4000000 %}{% set b = 'a' * 40 ~ 'b' %}{% for i in range(99999) %}{{ b in a }}{% endfor %}",
      /more than 200000000 characters in all/,
    ],
    ["a wide format", "{{ '%999999999s' % 'a' }}", /a text of 999999999 characters/],
    ["a wide field", "{{ '{:>999999999}'.format('a') }}", /./],
    ["a text as wide as the world", "{{ 'a'.center(10**9) }}", /a text of 1000000000 characters/],
    ["a batch that is filled", "{{ [1]|batch(10**9, 0)|list }}", /a list of \d+ items/],
    ["slices without end", "{{ [1]|slice(10**9)|list }}", /does not end within|a list of/],
    ["blocks in blocks", `${"{% if 1 %}".repeat(20_000)}`, /nests more than 100 levels deep/],
    ["negations in a row", `{{ ${"not ".repeat(40_000)}1 }}`, /nests more than 100 levels deep/],
    ["a sum of many terms", `{{ 1${" + 1".repeat(40_000)} }}`, /more than 500 operators in a row/],
    [
      "letters in another case, one by one",
      "{% set a = 'aé😀 ' * 1000000 %}{% for i in range(99999) %}{% set b = a.title() %}{% endfor %}",
      /more than 200000000 characters/,
    ],
    [
      "numbers of four thousand digits",
      "{% set n = 3**8000 %}{% for i in range(99999) %}{% set b = n|string %}{% endfor %}",
      /does not end within/,
    ],
    ["escapes", "{% set a = '<' * 1000000 %}{% for i in range(99999) %}{% set b = a|e %}{% endfor %}", /more than 200000000 characters/],
    [
      "addresses",
      "{% set a = 'é' * 1000000 %}{% for i in range(99999) %}{% set b = a|urlencode %}{% endfor %}",
      /more than 200000000 characters/,
    ],
    [
      "lists sorted again and again",
      "{% set a = range(100000)|list %}{% for i in range(99999) %}{% set b = a|sort %}{% endfor %}",
      /does not end within/,
    ],
    ["a template of a megabyte", "a".repeat(1_000_000), /1000000 characters long/],
  ];
  it.each(cases)(
    "%s",
    (_, template, message) => {
      const [start, heap] = [process.cpuUsage(), process.memoryUsage().heapUsed];
      let said = "nothing";
      try {
        renderTemplate(template, { messages: user("x") }, String); // the counts alone, without the time limit of renderChat
      } catch (error) {
        expect(error).toBeInstanceOf(JinjaError);
        said = (error as JinjaError).message;
      }
      expect(said).toMatch(message);
      expect(secondsSince(start)).toBeLessThan(2);
      expect(process.memoryUsage().heapUsed - heap).toBeLessThan(600e6);
    },
    30_000,
  );

  it("is refused in the words of every complaint, with its line", () => {
    const complaint = /^chat template: it does not end within 1000000 evaluations \(line 2 of the template\)\. Use --plain/;
    const template = "\n{% for i in range(9000) %}{% for j in range(900) %}x{% endfor %}{% endfor %}";
    expect(() => renderChat(template, user("x"))).toThrow(complaint);
    expect(() => renderChat("{% include 'x' %}", [])).toThrow(/it uses what is not supported: the tag \{% include %\} \(line 1/);
    expect(() => renderChat("{{ 'a' | pprint }}{{ 'a'.encode() }}", [])).toThrow(/not supported: the filter pprint/);
    expect(() => renderChat("{{ 'a'.encode() }}", [])).toThrow(/not supported: the method encode of a text/);
    expect(() => renderChat("{{ range }}", [])).toThrow(/not supported: printing a function/);
  });

  it("white space without end is read once", () => {
    const start = process.cpuUsage();
    expect(renderChat(`${" ".repeat(150_000)}x`, [])).toHaveLength(150_001);
    expect(renderChat(`${"{{ 1 -}} ".repeat(20_000)}x`, [])).toBe(`${"1".repeat(20_000)}x`);
    expect(secondsSince(start)).toBeLessThan(2);
  });

  it("an ordinary long conversation is far from the limits", () => {
    const messages = Array.from({ length: 1000 }, (_, k): Message => ({
      role: k % 2 ? "assistant" : "user",
      content: "word ".repeat(100),
    }));
    expect(renderChat(CHATML, messages).length).toBeGreaterThan(500_000);
  });
});
