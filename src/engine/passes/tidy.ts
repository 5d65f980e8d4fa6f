/**
 * The tidy pass: refuses modules that use names of ours, with which they could get hold of what only the kernel
 * may have, the island's memory first of all; drops custom sections that describe the original bytes (debug
 * information, names, hints); and exports the start function under a name of ours, so that the engine can run it
 * where it may block.
 */
import { UnsupportedModuleError } from "../errors.ts";
import { type Module, sectionId } from "../wasm/module.ts";
import { engineNamespace, startExport } from "./abi.ts";
import type { ModuleEditor, Pass } from "./editor.ts";

const describesOriginal =
  /^(\.debug_|name$|producers$|target_features$|linking$|reloc\.|metadata\.code\.|sourceMappingURL$|external_debug_info$|build_id$)/;

export const tidyPass: Pass = {
  name: "tidy",
  declare(editor: ModuleEditor): void {
    const { module } = editor;
    refuseReservedNames(module);
    for (const section of module.custom) {
      if (section.name.startsWith("dylink")) {
        throw new UnsupportedModuleError("dynamic linking", "it is a shared library, not a program");
      }
    }
    module.custom = module.custom.filter((section) => !describesOriginal.test(section.name));
    if (module.start !== null) {
      module.exports.push({ name: startExport, kind: "function", index: module.start });
      module.start = null;
      module.sections = module.sections.filter((id) => id !== sectionId.start);
    }
  },
};

function refuseReservedNames(module: Module): void {
  for (const entry of module.imports) {
    if (entry.module === engineNamespace) {
      throw new UnsupportedModuleError(
        `import ${entry.module}.${entry.name}`,
        "imports of this module are the system's own",
      );
    }
  }
  for (const entry of module.exports) {
    if (entry.name.startsWith(`${engineNamespace}.`)) {
      throw new UnsupportedModuleError(`export ${entry.name}`, "such names are the system's own");
    }
  }
}
