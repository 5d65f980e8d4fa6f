/**
 * Makes an unmodified program into one that a kernel can run: its memory is the kernel's, it can be interrupted
 * in any loop, its system calls can wait, and it asks before it grows. The passes are in `passes/`; this is the
 * list of them.
 */

import { type InterruptibleModule, makeCapturable } from "./capture/capture.ts";
import { UnsupportedModuleError } from "./errors.ts";
import { obstacleSection } from "./passes/abi.ts";
import { BodyRewriter } from "./passes/body.ts";
import { type CallPolicy, callPass, wasiCallPolicy } from "./passes/calls.ts";
import { copyPass } from "./passes/copies.ts";
import { dropsPass } from "./passes/drops.ts";
import { ModuleEditor, type Pass } from "./passes/editor.ts";
import type { FuelPrecision } from "./passes/fuel-plan.ts";
import { growPass } from "./passes/grow.ts";
import { BranchHints } from "./passes/hints.ts";
import { memoryPass } from "./passes/memory.ts";
import { type PollCounts, pollPass } from "./passes/poll.ts";
import { renumberPass } from "./passes/renumber.ts";
import { tidyPass } from "./passes/tidy.ts";
import { decodeModule } from "./wasm/decode.ts";
import { encodeModule } from "./wasm/encode.ts";
import { functionTypeAt, functionTypeIndices, sectionId } from "./wasm/module.ts";
import { ByteWriter } from "./wasm/writer.ts";

/** Changes whenever the same program would be instrumented differently: cached modules are then made anew. */
export const instrumenterVersion = 8;

export interface InstrumentOptions {
  calls?: CallPolicy;
  /** False for a program that is never captured, and runs a little faster. True, the default, needs a valid module. */
  capture?: boolean;
  /**
   * For machines on which instructions are what takes time: the program counts those it executes, this precisely, in
   * the word `fuel` of the control page, and polls test that word (`passes/fuel.ts`). Null, the default: it does not.
   * A context that was captured in a program that counts can be resumed only there, not in one that does not.
   */
  fuel?: FuelPrecision | null;
}

export interface InstrumentDescription {
  /** Functions that the program brought along. */
  readonly functions: number;
  readonly polls: PollCounts;
}

export interface Instrumented {
  readonly bytes: Uint8Array;
  readonly description: InstrumentDescription;
  /** What keeps the program from being captured; null if it can be. */
  readonly obstacle: string | null;
}

/**
 * @param bytes a WebAssembly binary. If it is valid, so is the result.
 * @throws MalformedModuleError when the bytes cannot be decoded.
 * @throws UnsupportedModuleError when the module uses what a process cannot have.
 */
export function instrument(bytes: Uint8Array, options: InstrumentOptions = {}): Instrumented {
  if (options.capture === false) return withoutCapture(bytes, options, "it was loaded without");
  const interruptible = makeInterruptible(bytes, options, null);
  const { description, toCapture } = interruptible;
  if (toCapture === null) throw new Error("a module to be captured has no tag to unwind with");
  try {
    return { bytes: makeCapturable(toCapture), description, obstacle: null };
  } catch (error) {
    if (!(error instanceof UnsupportedModuleError)) throw error;
    return withoutCapture(bytes, options, error.construct);
  }
}

function withoutCapture(bytes: Uint8Array, options: InstrumentOptions, obstacle: string): Instrumented {
  const { description, bytes: instrumented } = makeInterruptible(bytes, options, obstacle);
  return { bytes: instrumented, description, obstacle };
}

/** Everything but capture. @param obstacle to capture, which is noted in the module. */
function makeInterruptible(
  bytes: Uint8Array,
  options: InstrumentOptions,
  obstacle: string | null,
): { bytes: Uint8Array; description: InstrumentDescription; toCapture: InterruptibleModule | null } {
  const module = decodeModule(bytes);
  const originalTypes = functionTypeIndices(module);
  const functions = module.functions.length;
  const editor = new ModuleEditor(module, originalTypes);
  const hints = new BranchHints();
  const poll = pollPass(hints, obstacle === null, options.fuel ?? null);
  // Polls come last: loops that contain what another pass changes are not unrolled.
  const passes: Pass[] = [
    tidyPass,
    memoryPass,
    growPass(),
    copyPass(),
    ...(obstacle === null ? [dropsPass] : []),
    callPass(options.calls ?? wasiCallPolicy, poll.runtime),
    renumberPass,
    poll,
  ];
  for (const pass of passes) pass.declare?.(editor);
  editor.closeImports();
  for (const pass of passes) pass.define?.(editor);
  if (obstacle !== null) {
    const contents = new TextEncoder().encode(obstacle);
    module.custom.push({ name: obstacleSection, contents, after: sectionId.data });
  }
  if (module.memories.length === 0) {
    module.sections = module.sections.filter((id) => id !== sectionId.memory);
  }

  const parameters = (bodyIndex: number): number =>
    functionTypeAt(module, module.functions[bodyIndex])?.params.length ?? 0;
  const rewriter = new BodyRewriter(module, editor, new ByteWriter(0), parameters);
  hints.firstFunctionIndex = editor.firstBodyFunction;
  const encoded = encodeModule(module, {
    renumbering: editor,
    encodeBody: (writer, body, index) => rewriter.rewrite(writer, body, index, editor.planBody(index)),
    beforeCode: () => hints.section(),
  });
  const { unwind } = poll.runtime();
  const toCapture = unwind === null ? null : capturePlan(editor, encoded, unwind, poll.poll());
  return { bytes: encoded, description: { functions, polls: poll.counts }, toCapture };
}

function capturePlan(
  editor: ModuleEditor,
  bytes: Uint8Array,
  unwind: number,
  poll: number,
): InterruptibleModule {
  const addedImports = editor.firstBodyFunction - editor.importedFunctions;
  return {
    bytes,
    unwind,
    poll,
    dropped: editor.dropped,
    restartable: editor.restartable,
    functionNumber: (index) => (index < editor.importedFunctions ? index : index - addedImports),
  };
}
