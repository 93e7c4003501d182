// What parked.js is made of: writes where it is, as node has it, and waits there.
//   esbuild src/parked.ts --minify --sourcemap=inline --format=cjs --outfile=parked.js
import { writeFileSync } from 'fs';

function parkHere(cell: Int32Array): void {
  writeFileSync(process.argv[2], new Error('here').stack ?? '');
  console.log('ready');
  Atomics.wait(cell, 0, 0);
}

class Runner {
  start(cell: Int32Array): void {
    return parkHere(cell);
  }
}

const launch = (cell: Int32Array): void => {
  new Runner().start(cell);
};

launch(new Int32Array(new SharedArrayBuffer(4)));
