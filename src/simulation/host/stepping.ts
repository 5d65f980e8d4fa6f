/** Steps through a scenario on the terminal: the state of the machine before each action, and Enter. */
import { createInterface } from "node:readline/promises";
import { simulationReport } from "../../cli/simulation-report.ts";
import { pageState } from "../../dsm/index.ts";
import type { PlayView } from "../play.ts";

const shownLines = 12;

/** Asks before each action. At the end of the input it goes on without asking. */
export class Stepping {
  private readonly lines = createInterface({ input: process.stdin, output: process.stderr });
  private ended = false;

  constructor() {
    this.lines.once("close", () => {
      this.ended = true;
    });
  }

  async show(view: PlayView): Promise<void> {
    process.stdout.write(`\n${describeView(view)}\n`);
    if (this.ended) return;
    const closed = new Promise<void>((resolve) => this.lines.once("close", resolve));
    await Promise.race([this.lines.question("Enter goes on "), closed]);
  }

  end(): void {
    this.lines.close();
  }
}

function describeView({ step, action, simulation, processes }: PlayView): string {
  const { machine } = simulation;
  const cores = Array.from({ length: machine.coreCount }, (_, core) => {
    const { activity, kind } = machine.core(core);
    const now_ms = (machine.core(core).seen_ns() / 1e6).toFixed(3);
    return `  core ${core} (${kind.name}, island ${machine.islandOfCore[core]}): ${activity}, at ${now_ms} ms`;
  });
  const running = processes.map(
    ({ pid, name, state, kernel }) => `  process ${pid} ${name}: ${state} on kernel ${kernel}`,
  );
  return [
    simulationReport(simulation),
    ...cores,
    ...pageReport(view(simulation)),
    ...running,
    ...machine.trace.lastLines(shownLines).map((line) => `    ${line}`),
    `next, action ${step}: ${action}`,
  ].join("\n");
}

function view({ dsm, machine }: PlayView["simulation"]) {
  return { dsm, islands: machine.islandCount };
}

/** How many pages each domain holds, and how. */
function pageReport({ dsm, islands }: ReturnType<typeof view>): string[] {
  if (dsm === null) return [];
  const { pageCount } = dsm.options.shape;
  return Array.from({ length: islands }, (_, island) => island).flatMap((island) => {
    const domain = dsm.domain(island);
    if (domain === undefined) return [];
    const counts = { exclusive: 0, shared: 0 };
    for (let page = 0; page < pageCount; page++) {
      const state = domain.pages.state(page);
      if (state === pageState.exclusive) counts.exclusive++;
      else if (state !== pageState.invalid) counts.shared++;
    }
    return [`  domain ${island}: ${counts.exclusive} pages of its own, ${counts.shared} to read`];
  });
}
