/** Another process of a test: loads an edit file and answers questions with the bundled model, as token ids on standard output. */
import { applyAll, generate, load, loadEdits, promptOf, stopsOf } from "../src/index.ts";

const [path, questions] = process.argv.slice(2) as [string, string];
const model = await load("bundled");
const edited = applyAll(model, loadEdits(path));
const prompts: number[][] = [];
for (const question of JSON.parse(questions) as string[]) prompts.push([...(await promptOf(edited, question)).ids]);
const said = await generate(edited, prompts, { stopIds: stopsOf(edited), maxTokens: 16, freeze: false });
process.stdout.write(JSON.stringify(said.map((g) => g.ids)));
await model.release();
