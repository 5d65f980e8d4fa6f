/*
 * The layers of the system (DESIGN: imports point downwards only), checked by `npm run layers`.
 *
 * To see a rule at work, import something from a layer above and run it: the rule's name says which layer was
 * broken.
 */

/** From the lowest to the highest; each may import itself and what stands before it. */
const layers = [
  ["memory", "^src/memory/"],
  ["message", "^src/message/"],
  ["machine", "^src/machine/"],
  ["dsm", "^src/dsm/"],
  ["engine", "^src/engine/"],
  ["checkpoint", "^src/checkpoint/"],
  ["kernel", "^src/kernel/"],
  ["services", "^src/services/"],
  ["wasi", "^src/wasi/"],
  ["presets", "^src/presets/"],
  ["system", ["^src/[^/]+$", "^src/system/"]],
  ["cli", "^src/cli/"],
  ["simulation", "^src/simulation/"],
];

/** The errno table is the one file of the kernel that everything may name: numbers without any code. */
const errnoTable = "^src/kernel/errno\\.ts$";

const upwards = layers.slice(0, -1).map(([name, path], index) => ({
  name: `${name}-imports-downwards-only`,
  severity: "error",
  from: { path },
  to: { path: layers.slice(index + 1).flatMap(([, higher]) => higher), pathNot: errnoTable },
}));

module.exports = {
  forbidden: [
    ...upwards,
    {
      name: "no-circular",
      comment:
        "Two files that need each other to run are one thing, or hide a third. Types may refer to each other.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "node-modules-of-the-platform-only-on-the-host",
      comment: "Everything else also runs in a browser and on the simulated machine.",
      severity: "error",
      from: {
        path: "^src/",
        pathNot: [
          "^src/machine/host/",
          "^src/programs/",
          "^src/system/",
          "^src/cli/",
          "^src/simulation/host/",
        ],
      },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "host-machine-only-from-presets-up",
      comment: "Kernel code knows the machine's interfaces; a preset chooses the machine.",
      severity: "error",
      from: {
        path: "^src/",
        pathNot: [
          "^src/machine/host/",
          "^src/presets/",
          "^src/programs/",
          "^src/cli/",
          "^src/system/",
          "^src/[^/]+$",
        ],
      },
      to: { path: "^src/machine/host/" },
    },
    {
      name: "programs-only-from-the-system-and-cli",
      comment: "The catalogue reads packages on the host's disk.",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/programs/", "^src/cli/", "^src/system/", "^src/[^/]+$"] },
      to: { path: "^src/programs/" },
    },
    {
      name: "programs-know-no-system",
      severity: "error",
      from: { path: "^src/programs/" },
      to: { path: "^src/", pathNot: ["^src/programs/", errnoTable] },
    },
    {
      name: "source-does-not-import-tests",
      severity: "error",
      from: { path: "^(src|bench)/" },
      to: { path: "^test/" },
    },
    {
      name: "no-development-package-in-source",
      comment: "What an installed package runs must be among its dependencies.",
      severity: "error",
      from: { path: "^(src|bin)/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "everything-resolves",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // TypeScript 7 offers no parser to other tools. SWC reads the same syntax and reports imports of types too
    // (the option `tsPreCompilationDeps` is for TypeScript's own parser, and would only warn).
    parser: "swc",
    moduleSystems: ["es6"],
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { conditionNames: ["import", "node", "default"], exportsFields: ["exports"] },
  },
};
