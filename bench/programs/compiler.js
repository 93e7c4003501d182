// TypeScript checks and translates ESLint's sources, again and again.
//   usage: compiler.js SECONDS; starts at the first byte of its input
'use strict';
const fs = require('fs');
const path = require('path');
const ts = require('typescript');

const folder = path.join(path.dirname(require.resolve('eslint/package.json')), 'lib/rules');
const files = fs.readdirSync(folder).filter((name) => name.endsWith('.js')).map((name) => path.join(folder, name));
const options = {
  allowJs: true, checkJs: true, target: ts.ScriptTarget.ES5, module: ts.ModuleKind.CommonJS, noResolve: true,
  outDir: '/nowhere', types: [],
};

function compile(file) {
  const program = ts.createProgram([file], options);
  const errors = ts.getPreEmitDiagnostics(program).length;
  let bytes = 0;
  program.emit(undefined, (name, text) => { bytes += text.length; });
  return errors + bytes;
}

process.stdin.once('data', () => {
  const end = Date.now() + 1000 * Number(process.argv[2]);
  for (let i = 0; Date.now() < end; i++) compile(files[i % files.length]);
  process.exit(0);
});
process.stdout.write('ready\n');
