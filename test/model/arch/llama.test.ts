/** The Llama family on the bundled checkpoint. */
import * as vitest from "vitest";
import { llama } from "../../../src/model/arch/llama.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(llama, { model: "bundled" }, vitest);
