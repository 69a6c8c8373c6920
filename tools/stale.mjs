/** Whether dist/ is older than a source. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Whether there is no dist/, or a file or folder of src/ that changed since it was built. */
export function isStale() {
  const main = at("dist/cli/main.js");
  if (!existsSync(main)) return true;
  const built = statSync(main).mtimeMs;
  return readdirSync(at("src"), { recursive: true, withFileTypes: true }).some(
    (entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs > built,
  );
}
