// Runs the audits of npm's graphql-http against a server and prints what came of each.

import { auditServer } from "graphql-http";

const { url, apiKey } = JSON.parse(process.argv[2]);
const fetchFn = (address, init = {}) =>
  fetch(address, { ...init, headers: { ...init.headers, authorization: `Bearer ${apiKey}` } });

const results = await auditServer({ url, fetchFn });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
