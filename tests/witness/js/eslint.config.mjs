// The schema's lint: the recommended rules of graphql-eslint and those of Relay, with a reason for each that is eased.

import graphql from "@graphql-eslint/eslint-plugin";

const { rules: recommended } = graphql.configs["flat/schema-recommended"];
const { rules: relay } = graphql.configs["flat/schema-relay"];

export default [
  {
    files: ["**/*.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: process.env.RELANCE_SCHEMA } } },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...recommended,
      ...relay,
      // Everything is described: arguments and values too.
      "@graphql-eslint/require-description": [
        "error",
        { types: true, FieldDefinition: true, InputValueDefinition: true, EnumValueDefinition: true, DirectiveDefinition: true },
      ],
      // Off: nodes have an id by their interface; payloads, refusals, connections, counts and settings are no things that
      // could be asked for again, and an id of theirs would promise it.
      "@graphql-eslint/strict-id-in-types": "off",
      // A connection has `nodes` beside `edges` (as GitHub's and Shopify's have), and short lists (the steps of a sequence)
      // are lists; the errors of a preflight and the entries of the audit trail are no nodes.
      "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }],
      // Lists inside others are read forwards only; the list of recipients goes both ways.
      "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
    },
  },
];
