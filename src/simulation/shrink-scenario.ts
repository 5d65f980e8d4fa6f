/**
 * Makes a failing scenario small: fewer and simpler actions, then a simpler machine, as long as a violation of the
 * same kind is found.
 */
import { violationKind } from "./play.ts";
import { kernelCount, type Scenario } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { type Action, simplerActions } from "./workload/actions.ts";
import { withoutDangling } from "./workload/runner.ts";

/** Plays a scenario, and gives what it violates. */
export type Judge = (scenario: Scenario) => Promise<readonly string[]>;

export interface ShrunkScenario {
  readonly scenario: Scenario;
  /** Scenarios that were played for it. */
  readonly attempts: number;
}

/**
 * @param violation the first violation of `scenario`; the result has one of the same kind.
 * @param attempts_max so many scenarios are played at most. The result depends on nothing else.
 */
export async function shrinkScenario(
  scenario: Scenario,
  violation: string,
  judge: Judge,
  attempts_max: number,
): Promise<ShrunkScenario> {
  const kind = violationKind(violation);
  let attempts = 0;
  const fails = async (candidate: Scenario): Promise<boolean> => {
    attempts++;
    const [first] = await judge(candidate);
    return first !== undefined && violationKind(first) === kind;
  };
  let current = scenario;
  // A simpler machine first: every attempt afterwards is quicker.
  for (let before: Scenario | undefined; before !== current && attempts < attempts_max; ) {
    before = current;
    for (const simpler of simplerMachines(current)) {
      if (attempts >= attempts_max) break;
      if (!(await fails(simpler))) continue;
      current = simpler;
      break;
    }
  }
  const { items } = await shrink(
    current.actions,
    (actions) => fails({ ...current, actions: withoutDangling(actions) }),
    { attempts_max: Math.max(0, attempts_max - attempts), simplify: simplerActions },
  );
  return { scenario: { ...current, actions: withoutDangling(items) }, attempts };
}

/** The same on machines and systems that are simpler in one respect. */
function* simplerMachines(scenario: Scenario): Iterable<Scenario> {
  const { islands, faults, placements } = scenario;
  if (islands.length > 1) yield fitted({ ...scenario, islands: islands.slice(0, -1) });
  for (const [index, cores] of islands.entries()) {
    if (cores.length > 1) yield fitted({ ...scenario, islands: islands.with(index, cores.slice(1)) });
  }
  if (scenario.releaseOnSleep) yield { ...scenario, releaseOnSleep: false };
  if (scenario.coherence !== "two-state") yield { ...scenario, coherence: "two-state" };
  if (faults.includes("delays")) yield { ...scenario, faults: faults.filter((name) => name !== "delays") };
  for (const service of Object.keys(placements)) {
    yield {
      ...scenario,
      placements: Object.fromEntries(Object.entries(placements).filter(([name]) => name !== service)),
    };
  }
}

/** Without what the machine does not have. */
function fitted(scenario: Scenario): Scenario {
  const kernels = kernelCount(scenario.islands, scenario.coresPerKernel);
  const fits = (kernel: number | null): number | null =>
    kernel === null || kernel < kernels ? kernel : null;
  const actions = scenario.actions.flatMap((action): Action[] => {
    switch (action.kind) {
      case "spawn":
        return [{ ...action, kernel: fits(action.kernel) }];
      case "pipeline":
        return [{ ...action, kernels: action.kernels.map(fits) }];
      case "migrate":
      case "stopKernel":
      case "bootKernel":
      case "crashKernel":
        return action.kernel < kernels ? [action] : [];
      default:
        return [action];
    }
  });
  return { ...scenario, actions };
}
