// ESLint looks at the sources of React's renderer and of its own rules, again and again.
//   usage: linter.js SECONDS; starts at the first byte of its input
'use strict';
const fs = require('fs');
const path = require('path');
const { Linter } = require('eslint');

const rules = path.join(path.dirname(require.resolve('eslint/package.json')), 'lib/rules');
const files = fs.readdirSync(rules).filter((name) => name.endsWith('.js')).map((name) => path.join(rules, name));
files.push(path.join(path.dirname(require.resolve('react-dom/package.json')), 'cjs/react-dom-server.node.development.js'));
const texts = files.map((file) => fs.readFileSync(file, 'utf8'));

const linter = new Linter();
const config = { parserOptions: { ecmaVersion: 2022 }, env: { node: true, es2022: true }, rules: {} };
for (const [name, rule] of linter.getRules()) {
  if (rule.meta.docs.recommended || rule.meta.type === 'layout') config.rules[name] = 'error';
}

process.stdin.once('data', () => {
  const end = Date.now() + 1000 * Number(process.argv[2]);
  for (let i = 0; Date.now() < end; i++) linter.verify(texts[i % texts.length], config);
  process.exit(0);
});
process.stdout.write('ready\n');
