/** The page of a report in Chromium: on a phone and a desktop, light and dark, without a request, an error, or a barrier. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reportFiles } from "../../src/report/folder.ts";
import type { FigureRecord } from "../../src/run/grid/record.ts";
import { RECORD } from "./records.ts";

const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
const folder = mkdtempSync(join(tmpdir(), "lethe-browser-"));
const file = join(folder, "index.html");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const about = { caption: "A caption.", table: "main" };
const FIGURES: readonly FigureRecord[] = [
  { ...about, name: "bars", title: "Bars", kind: "bars", columns: ["gone", "recall"] },
  { ...about, name: "frontier", title: "A frontier", kind: "frontier", x: "gone", y: "recall" },
  { ...about, name: "radar", title: "A radar", kind: "radar", columns: ["gone", "recall", "s"] },
  {
    ...about,
    name: "lines",
    title: "Lines",
    kind: "lines",
    x: "step",
    y: "loss",
    band: "95 % interval",
    series: [{ label: "A", points: [1, 2, 3].map((x) => ({ x, y: 3 / x, low: 2 / x, high: 4 / x })) }],
    absent: [{ row: "B", reason: "the step keeps no losses" }],
  },
];

// without Chromium nothing can be looked at
describe.skipIf(program === undefined)("the page, which needs Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    const files = await reportFiles([{ ...RECORD, figures: FIGURES }]);
    writeFileSync(file, files.get("index.html")!);
    browser = await chromium.launch({ executablePath: program!, args: ["--no-sandbox"] });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function opened(
    width: number,
    colorScheme: "light" | "dark",
  ): Promise<{ page: Page; heard: string[]; close: () => Promise<void> }> {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
    const page = await context.newPage();
    const heard: string[] = [];
    page.on("console", (message) => heard.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => heard.push(`error: ${error.message}`));
    page.on("request", (request) => heard.push(`request: ${request.url()}`));
    await page.goto(pathToFileURL(file).href, { waitUntil: "load" });
    return { page, heard, close: () => context.close() };
  }

  const VIEWS = [360, 1280].flatMap((width) => (["light", "dark"] as const).map((scheme) => [width, scheme] as const));
  test.each(VIEWS)(
    "%i px wide, %s: one request, no message, no barrier, no sideways scroll",
    { timeout: 120_000 },
    async (width, scheme) => {
      const { page, heard, close } = await opened(width, scheme);
      expect(heard).toEqual([`request: ${pathToFileURL(file).href}`]);
      const [wide, seen] = await page.evaluate<[number, number]>(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
      );
      expect(wide).toBeLessThanOrEqual(seen);
      await page.addScriptTag({ path: AXE });
      const found = await page.evaluate<{ id: string; impact: string; nodes: number }[]>(
        `axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }).then(({ violations }) =>
        violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.length })))`,
      );
      expect(found.filter(({ impact }) => impact === "serious" || impact === "critical")).toEqual([]);
      await close();
    },
  );

  test("figures take the colours of the page", { timeout: 120_000 }, async () => {
    const inks = await Promise.all(
      (["light", "dark"] as const).map(async (scheme) => {
        const { page, close } = await opened(1280, scheme);
        const ink = await page.evaluate<string>("getComputedStyle(document.querySelector('svg text')).fill");
        await close();
        return ink;
      }),
    );
    expect(inks).toEqual(["rgb(27, 30, 34)", "rgb(232, 234, 237)"]);
  });
});
