// Compiles the operations of docs/operations with relay-compiler, and prints how many artifacts it wrote.
// Relay wants an operation in a module of its own and its name to end with its kind: both are done here.

import { Kind, parse, print, visit } from "graphql";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const { schema, operations, folder } = JSON.parse(process.argv[2]);
const here = dirname(fileURLToPath(import.meta.url));
const capital = (text) => text[0].toUpperCase() + text.slice(1);

mkdirSync(join(folder, "src", "__generated__"), { recursive: true });
writeFileSync(join(folder, "schema.graphql"), readFileSync(schema));
for (const file of readdirSync(operations)) {
  const document = parse(readFileSync(join(operations, file), "utf8"));
  // In Relay a fragment is named after the module that reads it.
  const spread = visit(document, {
    FragmentSpread: (node) => ({ ...node, name: { ...node.name, value: `${node.name.value}_row` } }),
    FragmentDefinition: (node) => ({ ...node, name: { ...node.name, value: `${node.name.value}_row` } }),
  });
  for (const definition of spread.definitions) {
    const isFragment = definition.kind === Kind.FRAGMENT_DEFINITION;
    const module = isFragment ? definition.name.value.replace(/_row$/, "") : definition.name.value;
    const name = isFragment ? definition.name.value : module + capital(definition.operation);
    const text = print({ ...definition, name: { ...definition.name, value: name } });
    const source = `import { graphql } from "relay-runtime";\nexport default graphql\`\n${text}\n\`;\n`;
    writeFileSync(join(folder, "src", `${module}.ts`), source);
  }
}
const config = { src: "./src", schema: "./schema.graphql", language: "typescript", artifactDirectory: "./src/__generated__" };
writeFileSync(join(folder, "relay.config.json"), JSON.stringify(config));
const compiled = spawnSync(process.execPath, [join(here, "node_modules", "relay-compiler", "cli.js")], {
  cwd: folder,
  encoding: "utf8",
});
if (compiled.status !== 0) {
  console.error(compiled.stdout + compiled.stderr);
  process.exit(1);
}
console.log(JSON.stringify({ artifacts: readdirSync(join(folder, "src", "__generated__")).length }));
