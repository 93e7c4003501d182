// Where V8's builtins have a frame of their own: told from their code alone.
import { execFileSync } from 'node:child_process';

const tool = (name, ...args) => execFileSync(name, args, { maxBuffer: 2 ** 30, encoding: 'latin1' }).split('\n');

// Marks each instruction that can be reached from the first one: 1 when a frame was made before it, else 0.
function follow(code) {
  const framed = new Map();
  const index = new Map(code.map(({ address }, i) => [address, i]));
  const open = [[0, 0]];
  while (open.length > 0) {
    let [i, state] = open.pop();
    for (; i < code.length && !framed.has(code[i].address); i++) {
      const { address, op, operands } = code[i];
      framed.set(address, state);
      if (op === 'mov' && operands === '%rsp,%rbp') state = 1;
      if ((op === 'pop' && operands === '%rbp') || op === 'leave') state = 0;
      const target = index.get(parseInt(operands, 16));
      if (op.startsWith('j') && target !== undefined) open.push([target, state]);
      if (/^(jmp|ret|int3|ud2)/.test(op)) break;
    }
  }
  return framed;
}

// A function of an address in node's binary (which is not position-independent): undefined outside the
// builtins; else whether a builtin interrupted there has a frame of its own.
export function builtinFrames(binary) {
  const builtins = tool('nm', '-n', binary).filter((line) => line.includes(' Builtins_'));
  const begin = parseInt(builtins[0], 16);
  const end = parseInt(builtins.at(-1), 16);
  const framed = new Map();
  let code = [];
  const range = [`--start-address=${begin}`, `--stop-address=${end}`];
  for (const line of [...tool('objdump', '-d', '--no-show-raw-insn', ...range, binary), '<Builtins_>:']) {
    if (/<Builtins_.*>:$/.test(line)) {
      for (const [address, state] of follow(code)) framed.set(address, state);
      code = [];
    }
    const [, address, op, operands] = /^\s*([0-9a-f]+):\t(\S+)\s*(.*)$/.exec(line) || [];
    if (op) code.push({ address: parseInt(address, 16), op, operands });
  }
  return (address) => (address >= begin && address < end ? framed.get(address) !== 0 : undefined);
}
