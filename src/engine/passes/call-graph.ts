/**
 * Who may call whom without passing a polled loop head. There is a node for every function with a body, and one
 * for every signature, which stands for the indirect calls that may reach any function of that signature whose
 * reference is taken anywhere. Calls inside loops are no edges: a polled loop head comes before them.
 */
import { InstructionCursor } from "../wasm/cursor.ts";
import { type ByteRange, functionTypeAt, type Module } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import type { BodyFacts } from "./loops.ts";

export class CallGraph {
  private readonly importedFunctions: number;
  /** Nodes below are bodies, nodes from here on signatures. */
  readonly bodyCount: number;
  readonly nodeCount: number;
  /** Edges of node `n`: `targets[firstEdge[n]]` to `targets[firstEdge[n + 1] - 1]`. */
  readonly firstEdge: Uint32Array;
  readonly targets: Uint32Array;
  /** How many call sites each edge stands for. */
  readonly multiplicity: Uint32Array;
  private readonly signatures: SignatureNodes;

  /**
   * @param importedFunctions how many functions of the original module are imports.
   * @param typeIndices type index of each body's function.
   */
  constructor(
    module: Module,
    facts: readonly BodyFacts[],
    importedFunctions: number,
    typeIndices: readonly number[],
  ) {
    this.importedFunctions = importedFunctions;
    this.bodyCount = facts.length;
    const signatures = new SignatureNodes(module, facts.length);
    const edges = new EdgeList(this.bodyCount + module.types.length);
    for (const { calls, indirectCalls } of facts) {
      for (const callee of calls.targets)
        if (callee >= importedFunctions) edges.add(callee - importedFunctions);
      for (const typeIndex of indirectCalls.targets) edges.add(signatures.node(typeIndex));
      edges.endNode();
    }
    const reached: number[][] = [];
    for (const index of referencedFunctions(module, facts)) {
      const body = index - importedFunctions;
      if (body < 0 || body >= this.bodyCount) continue;
      const signature = signatures.node(typeIndices[body]) - this.bodyCount;
      reached[signature] ??= [];
      reached[signature].push(body);
    }
    for (let signature = 0; signature < signatures.count; signature++) {
      for (const body of reached[signature] ?? []) edges.add(body);
      edges.endNode();
    }
    this.signatures = signatures;
    this.nodeCount = this.bodyCount + signatures.count;
    this.firstEdge = Uint32Array.from(edges.firstEdge);
    this.targets = Uint32Array.from(edges.targets);
    this.multiplicity = Uint32Array.from(edges.multiplicity);
  }

  /** The node of a function, given by its original index; -1 for an import, which polls by calling the kernel. */
  functionNode(index: number): number {
    return index < this.importedFunctions ? -1 : index - this.importedFunctions;
  }

  /** The node of the indirect calls of a type. */
  signatureNode(typeIndex: number): number {
    return this.signatures.node(typeIndex);
  }

  /**
   * Finds the circles (Tarjan's strongly connected components).
   * @param removed nodes to leave out: 1 for each.
   * @returns for each node the number of the component of circles that it lies on, 0 for none.
   */
  circles(removed: Uint8Array): Uint32Array {
    const { nodeCount, firstEdge, targets } = this;
    const components = new Components(nodeCount);
    const nextEdge = firstEdge.slice(0, nodeCount);
    const path: number[] = [];
    for (let root = 0; root < nodeCount; root++) {
      if (components.order[root] !== 0 || removed[root] === 1) continue;
      components.discover(root);
      path.push(root);
      while (path.length > 0) {
        const node = path[path.length - 1];
        if (nextEdge[node] < firstEdge[node + 1]) {
          const target = targets[nextEdge[node]++];
          if (removed[target] === 1) continue;
          if (components.order[target] === 0) {
            components.discover(target);
            path.push(target);
          } else components.sawAgain(node, target);
          continue;
        }
        path.pop();
        components.leave(node, path.length > 0 ? path[path.length - 1] : -1);
      }
    }
    return components.circle;
  }
}

/** Collects the edges of one node after another; several calls of the same target become one edge. */
class EdgeList {
  readonly firstEdge: number[] = [0];
  readonly targets: number[] = [];
  readonly multiplicity: number[] = [];
  /** The edge that last led to each node; it belongs to the current node if it is not before its first edge. */
  private readonly lastEdge: Int32Array;

  constructor(nodeCount_max: number) {
    this.lastEdge = new Int32Array(nodeCount_max).fill(-1);
  }

  add(target: number): void {
    const known = this.lastEdge[target];
    if (known >= this.firstEdge[this.firstEdge.length - 1]) {
      this.multiplicity[known]++;
      return;
    }
    this.lastEdge[target] = this.targets.length;
    this.targets.push(target);
    this.multiplicity.push(1);
  }

  endNode(): void {
    this.firstEdge.push(this.targets.length);
  }
}

/** The bookkeeping of Tarjan's algorithm. */
class Components {
  /** Order of discovery from 1; 0 for nodes not seen. */
  readonly order: Uint32Array;
  readonly circle: Uint32Array;
  private readonly lowest: Uint32Array;
  private readonly isOpen: Uint8Array;
  private readonly selfLoop: Uint8Array;
  private readonly open: number[] = [];
  private discovered = 0;
  private circleCount = 0;

  constructor(nodeCount: number) {
    this.order = new Uint32Array(nodeCount);
    this.circle = new Uint32Array(nodeCount);
    this.lowest = new Uint32Array(nodeCount);
    this.isOpen = new Uint8Array(nodeCount);
    this.selfLoop = new Uint8Array(nodeCount);
  }

  discover(node: number): void {
    this.order[node] = this.lowest[node] = ++this.discovered;
    this.isOpen[node] = 1;
    this.open.push(node);
  }

  /** An edge to a node that is known already. */
  sawAgain(node: number, target: number): void {
    if (this.isOpen[target] === 0) return;
    this.lowest[node] = Math.min(this.lowest[node], this.order[target]);
    if (node === target) this.selfLoop[node] = 1;
  }

  /** All edges of a node are done; if it was the first of its component, the component is complete. */
  leave(node: number, parent: number): void {
    if (parent >= 0) this.lowest[parent] = Math.min(this.lowest[parent], this.lowest[node]);
    if (this.lowest[node] !== this.order[node]) return;
    const { open } = this;
    const isCircle = open[open.length - 1] !== node || this.selfLoop[node] === 1;
    const number = isCircle ? ++this.circleCount : 0;
    let member: number;
    do {
      member = open.pop() ?? node;
      this.isOpen[member] = 0;
      this.circle[member] = number;
    } while (member !== node);
  }
}

/** Numbers signatures as nodes behind those of the bodies. */
class SignatureNodes {
  private readonly module: Module;
  private readonly first: number;
  private readonly nodes = new Map<string, number>();

  constructor(module: Module, first: number) {
    this.module = module;
    this.first = first;
  }

  get count(): number {
    return this.nodes.size;
  }

  node(typeIndex: number): number {
    const key = signatureKey(this.module, typeIndex);
    let node = this.nodes.get(key);
    if (node === undefined) {
      node = this.first + this.nodes.size;
      this.nodes.set(key, node);
    }
    return node;
  }
}

/** Signatures that a call through a table cannot tell apart, subtypes included, have the same key. */
function signatureKey(module: Module, typeIndex: number): string {
  const type = functionTypeAt(module, typeIndex);
  if (type === null) return "";
  // All references count as one: a subtype's function may be called through its supertype.
  const name = (value: number): string => (value <= 0x7f && value >= 0x7b ? String(value) : "r");
  return `${type.params.map(name).join(",")}>${type.results.map(name).join(",")}`;
}

/** Original indices of the functions that something other than a direct call may reach. */
export function referencedFunctions(module: Module, facts: readonly BodyFacts[]): Set<number> {
  const functions = new Set<number>();
  for (const { references } of facts) for (const index of references) functions.add(index);
  const cursor = new InstructionCursor(module.bytes);
  const expression = (range: ByteRange | null): void => {
    if (range === null) return;
    cursor.moveTo(range.start, range.end);
    while (cursor.next()) if (cursor.opcode === op.refFunc) functions.add(cursor.readIndex());
  };
  for (const segment of module.elements) {
    if (segment.functions !== null) for (const index of segment.functions) functions.add(index);
    for (const range of segment.expressions) expression(range);
  }
  for (const { initial } of module.globals) if (!(initial instanceof Uint8Array)) expression(initial);
  for (const table of module.tables) expression(table.initial);
  return functions;
}
