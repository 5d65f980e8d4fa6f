/**
 * Polls at loop heads are not enough: functions can call each other in circles, and a chain of calls without
 * any loop can be exponentially long. This finds calls that poll first, so that no path through the program runs
 * more than a bounded amount of code without one.
 *
 * Mostly calls poll, not function entries: many functions contain a call that closes a circle on a path that is
 * rarely taken, and in a large function with loops a poll at the entry makes its loops slower, because the
 * compiler then keeps the address of the control page in a register all along.
 */
import type { CallGraph } from "./call-graph.ts";
import type { BodyFacts } from "./loops.ts";

/** Where to poll besides loop heads. */
export interface CallPolls {
  /** Whether the function of a body polls at its entry. */
  atEntry(body: number): boolean;
  /** Where the calls of a body start that poll first; in order. */
  sites(body: number): readonly number[];
}

/**
 * Most bytes of code that a call may run through without a poll, every call site counted, taken or not; about 3
 * bytes make an instruction. Real programs take a small part of their call sites, so this is far from what they
 * do between polls (microseconds); it is what a program made to hold up its core can reach (a tenth of a second).
 */
const unpolledBytes_max = 1e9;

/**
 * An indirect call reaches any function of its signature, as far as we know, but most signatures have functions
 * that lead nowhere (allocators, comparisons). Where at least this share does, those that lead back to the call
 * poll at their entry; otherwise the calls poll.
 */
const leadsNowhere_min = 0.2;
/** Functions of this size with loops, interpreters above all, never poll at their entry (see above). */
const largeFunction_bytes = 4000;

export function findCallPolls(graph: CallGraph, facts: readonly BodyFacts[]): CallPolls {
  const cuts = new Cuts(graph, facts);
  pollAtTargets(graph, facts, cuts);
  const circles = graph.circles(cuts.entries);
  for (let body = 0; body < graph.bodyCount; body++) {
    if (circles[body] === 0) continue;
    cuts.cutEdges(body, (target) => target >= graph.bodyCount && circles[target] === circles[body]);
  }
  // What circles are left consist of direct calls. An edge back to the current path closes one.
  walkCalls(graph, cuts, { circle: (body, edge) => cuts.cutEdge(body, edge), leave: () => {} });
  boundPaths(graph, facts, cuts);
  return cuts;
}

/** Breaks the circles through those signatures whose functions mostly lead nowhere, at the functions. */
function pollAtTargets(graph: CallGraph, facts: readonly BodyFacts[], cuts: Cuts): void {
  const circles = graph.circles(cuts.entries);
  for (let signature = graph.bodyCount; signature < graph.nodeCount; signature++) {
    if (circles[signature] === 0) continue;
    const targets = graph.targets.subarray(graph.firstEdge[signature], graph.firstEdge[signature + 1]);
    const leadingBack = targets.filter((target) => circles[target] === circles[signature]);
    if (leadingBack.length > targets.length * (1 - leadsNowhere_min)) continue;
    const isLarge = (body: number): boolean =>
      facts[body].size_bytes >= largeFunction_bytes && facts[body].loops.length > 0;
    if (!leadingBack.some(isLarge)) for (const body of leadingBack) cuts.pollAtEntry(body);
  }
}

/** The places found so far. */
class Cuts implements CallPolls {
  /** 1 for edges whose calls poll first. */
  readonly edges: Uint8Array;
  /** 1 for functions that poll at their entry: paths that lead to them end there. */
  readonly entries: Uint8Array;
  private readonly graph: CallGraph;
  private readonly facts: readonly BodyFacts[];
  /** Bodies with an edge that is cut. */
  private readonly bodies = new Set<number>();

  constructor(graph: CallGraph, facts: readonly BodyFacts[]) {
    this.graph = graph;
    this.facts = facts;
    this.edges = new Uint8Array(graph.targets.length);
    this.entries = new Uint8Array(graph.nodeCount);
  }

  pollAtEntry(body: number): void {
    this.entries[body] = 1;
  }

  atEntry(body: number): boolean {
    return this.entries[body] === 1;
  }

  cutEdge(body: number, edge: number): void {
    this.edges[edge] = 1;
    this.bodies.add(body);
  }

  cutEdges(body: number, isCut: (target: number) => boolean): void {
    const { firstEdge, targets } = this.graph;
    for (let edge = firstEdge[body]; edge < firstEdge[body + 1]; edge++) {
      if (isCut(targets[edge])) this.cutEdge(body, edge);
    }
  }

  /** Where the calls of the edges start that are cut. */
  sites(body: number): readonly number[] {
    if (!this.bodies.has(body)) return [];
    const { graph } = this;
    const cutTargets = new Set<number>();
    for (let edge = graph.firstEdge[body]; edge < graph.firstEdge[body + 1]; edge++) {
      if (this.edges[edge] === 1) cutTargets.add(graph.targets[edge]);
    }
    const { calls, indirectCalls } = this.facts[body];
    const starts: number[] = [];
    calls.targets.forEach((index, site) => {
      if (cutTargets.has(graph.functionNode(index))) starts.push(calls.starts[site]);
    });
    indirectCalls.targets.forEach((typeIndex, site) => {
      if (cutTargets.has(graph.signatureNode(typeIndex))) starts.push(indirectCalls.starts[site]);
    });
    return starts.sort((left, right) => left - right);
  }
}

/**
 * Goes through the calls that are left, callees first; there are no circles any more. A function whose code and
 * calls add up to too much polls at its entry, and so costs its callers nothing.
 */
function boundPaths(graph: CallGraph, facts: readonly BodyFacts[], cuts: Cuts): void {
  const { bodyCount, firstEdge, targets, multiplicity } = graph;
  const cost_bytes = new Float64Array(graph.nodeCount);
  const leave = (node: number): void => {
    const isBody = node < bodyCount;
    let sum_bytes = isBody ? facts[node].size_bytes : 0;
    let largest_bytes = 0;
    for (let edge = firstEdge[node]; edge < firstEdge[node + 1]; edge++) {
      if (cuts.edges[edge] === 1 || cuts.entries[targets[edge]] === 1) continue;
      const edge_bytes = multiplicity[edge] * cost_bytes[targets[edge]];
      sum_bytes += edge_bytes;
      largest_bytes = Math.max(largest_bytes, edge_bytes);
    }
    if (!isBody) cost_bytes[node] = largest_bytes;
    else if (sum_bytes <= unpolledBytes_max) cost_bytes[node] = sum_bytes;
    else cuts.pollAtEntry(node);
  };
  walkCalls(graph, cuts, { circle: () => {}, leave });
}

interface CallVisitor {
  /** An edge leads back to a node on the current path. */
  circle(node: number, edge: number): void;
  /** All that a node leads to has been left before. */
  leave(node: number): void;
}

const unseen = 0;
const onPath = 1;
const left = 2;

/** Walks all nodes, depth first, along the edges that are not cut. */
function walkCalls(graph: CallGraph, cuts: Cuts, visitor: CallVisitor): void {
  const { nodeCount, firstEdge, targets } = graph;
  const state = new Uint8Array(nodeCount);
  const nextEdge = firstEdge.slice(0, nodeCount);
  const path: number[] = [];
  for (let root = 0; root < nodeCount; root++) {
    if (state[root] !== unseen) continue;
    state[root] = onPath;
    path.push(root);
    while (path.length > 0) {
      const node = path[path.length - 1];
      if (nextEdge[node] < firstEdge[node + 1]) {
        const edge = nextEdge[node]++;
        const target = targets[edge];
        if (cuts.edges[edge] === 1 || cuts.entries[target] === 1) continue;
        if (state[target] === onPath) visitor.circle(node, edge);
        else if (state[target] === unseen) {
          state[target] = onPath;
          path.push(target);
        }
        continue;
      }
      path.pop();
      state[node] = left;
      visitor.leave(node);
    }
  }
}
