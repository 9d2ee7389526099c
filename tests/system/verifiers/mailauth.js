// SPDX-License-Identifier: MIT
// Verifies the messages whose paths come on standard input, a line each, with
// mailauth; keys come from the DNS server on the loopback port that is given. Prints
// a JSON object for each signature: file, domain, selector, algorithm, result.
'use strict';
const dns = require('dns');
const fs = require('fs');
const { dkimVerify } = require('mailauth/lib/dkim/verify');

const server = new dns.promises.Resolver();
server.setServers([`127.0.0.1:${process.argv[2]}`]);
const answers = new Map();

function resolve(name, kind) {
  const key = `${kind} ${name}`;
  if (!answers.has(key)) {
    answers.set(key, server.resolve(name, kind));
  }
  return answers.get(key);
}

// A message may end with its header (RFC 5322, 3.5): then its body is empty, which
// mailauth sees only behind an empty line.
function read(file) {
  const data = fs.readFileSync(file);
  return data.includes('\r\n\r\n') ? data : Buffer.concat([data, Buffer.from('\r\n')]);
}

async function main() {
  const files = fs.readFileSync(0, 'utf8').split('\n').filter(Boolean);
  for (const file of files) {
    const found = await dkimVerify(read(file),
      { resolver: resolve, minBitLength: 2048 });
    for (const one of found.results) {
      console.log(JSON.stringify({
        file, domain: one.signingDomain || '', selector: one.selector || '',
        algorithm: one.algo || '', result: one.status.result,
        reason: one.status.comment || '',
      }));
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
