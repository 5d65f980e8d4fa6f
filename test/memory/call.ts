/** Calls accessor methods by name, for tests whose structs are random and so have no static types. */
export function call(accessor: object, method: string, ...parameters: readonly unknown[]): unknown {
  const found: unknown = Reflect.get(accessor, method);
  if (typeof found !== "function") throw new TypeError(`accessor has no method ${method}`);
  return Reflect.apply(found, accessor, [...parameters]);
}

/** `size` gives `setSize`. */
export function setterOf(name: string): string {
  return `set${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
