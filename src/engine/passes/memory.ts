/** The memory pass: process memory becomes a shared memory that the kernel creates and passes in. */
import { UnsupportedModuleError } from "../errors.ts";
import { allMemories, type Limits } from "../wasm/module.ts";
import { engineImport, engineNamespace } from "./abi.ts";
import type { ModuleEditor, Pass } from "./editor.ts";

/** Most pages (of 64 KiB) that one process may have: what a 32-bit address reaches. */
export const memoryPages_max = 65536;

/** The limits of the import: a shared memory must have a maximum. */
function sharedLimits(limits: Limits): Limits {
  if (limits.minimum > memoryPages_max) {
    throw new UnsupportedModuleError("memory", `it starts with ${limits.minimum} pages, above 4 GiB`);
  }
  const maximum = Math.min(limits.maximum ?? memoryPages_max, memoryPages_max);
  return { minimum: limits.minimum, maximum, shared: true, wide: limits.wide };
}

export const memoryPass: Pass = {
  name: "memory",
  declare(editor: ModuleEditor): void {
    const { module } = editor;
    const first = allMemories(module)[0];
    if (first === undefined) return;
    const index = module.imports.findIndex((entry) => entry.description.kind === "memory");
    if (index < 0) {
      editor.importOwnMemory(engineNamespace, engineImport.memory, sharedLimits(first));
      return;
    }
    module.imports[index] = {
      module: engineNamespace,
      name: engineImport.memory,
      description: { kind: "memory", memory: sharedLimits(first) },
    };
  },
};
