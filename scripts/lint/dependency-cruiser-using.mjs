/*
 * Loaded before dependency-cruiser (`node --import`): teaches the SWC visitor that it walks sources with about
 * `using` declarations, which it refuses as unknown statements (@swc/core 1.16).
 */
import swc from "@swc/core/Visitor.js";

const { prototype } = swc.Visitor;
const visitStatement = prototype.visitStatement;

prototype.visitStatement = function (statement) {
  if (statement.type !== "UsingDeclaration") return visitStatement.call(this, statement);
  statement.decls = this.visitVariableDeclarators(statement.decls);
  return statement;
};
