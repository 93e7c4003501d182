// Reads what `jprof --format pprof` writes, lines, columns and inlined functions included.
import { gunzipSync } from 'node:zlib';

// Fields of a protobuf message: [number, value], a BigInt or bytes.
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    if ((key & 7) === 0) {
      yield [key >> 3, varint()];
    } else if ((key & 7) === 2) {
      const size = Number(varint());
      yield [key >> 3, bytes.subarray(at, (at += size))];
    } else {
      throw new Error(`pprof: wire type ${key & 7}`);
    }
  }
}

// A message as an object; of a repeated field (a name in `many`) an array.
function message(bytes, names, many = []) {
  const out = Object.fromEntries(Object.values(names).map((name) => [name, many.includes(name) ? [] : 0]));
  for (const [number, value] of fields(bytes)) {
    const name = names[number];
    if (!name) continue;
    const plain = typeof value === 'bigint' ? Number(value) : value;
    if (many.includes(name)) out[name].push(plain);
    else out[name] = plain;
  }
  return out;
}

// Numbers of a repeated field, packed or not.
const unpack = (parts) => parts.flatMap((part) => {
  if (typeof part === 'number') return [part];
  const numbers = [];
  for (let value = 0, factor = 1, i = 0; i < part.length; i++) {
    value += (part[i] & 127) * factor;
    factor *= 128;
    if (part[i] < 128) {
      numbers.push(value);
      value = 0;
      factor = 1;
    }
  }
  return numbers;
});

// [{count, tid, thread, frames}], frames outermost first: {name, file, start, line, column, image, inlined},
// start being the line of the definition; 0 is a number that is not known.
export function parsePprof(gzipped) {
  const profile = message(gunzipSync(gzipped), {
    2: 'samples', 3: 'mappings', 4: 'locations', 5: 'functions', 6: 'strings',
  }, ['samples', 'mappings', 'locations', 'functions', 'strings']);
  const strings = profile.strings.map((bytes) => bytes.toString('utf8'));
  const byId = (list, names, many) =>
    new Map(list.map((bytes) => message(bytes, names, many)).map((one) => [one.id, one]));
  const mappings = byId(profile.mappings, { 1: 'id', 5: 'filename' });
  const functions = byId(profile.functions, { 1: 'id', 2: 'name', 4: 'filename', 5: 'start' });
  const locations = byId(profile.locations, { 1: 'id', 2: 'mapping', 4: 'lines' }, ['lines']);
  for (const location of locations.values()) {
    const mapping = mappings.get(location.mapping);
    const lines = location.lines.map((bytes) => message(bytes, { 1: 'function', 2: 'line', 3: 'column' }));
    location.frames = lines.map(({ function: id, line, column }, i) => {
      const { name, filename, start } = functions.get(id);
      return {
        name: strings[name], file: strings[filename], start, line, column,
        image: mapping ? strings[mapping.filename] : '', inlined: i + 1 < lines.length,
      };
    }).reverse();
  }
  return profile.samples.map((bytes) => {
    const sample = message(bytes, { 1: 'locations', 2: 'values', 3: 'labels' }, ['locations', 'values', 'labels']);
    const out = {
      count: unpack(sample.values)[0], tid: 0, thread: '',
      frames: unpack(sample.locations).reverse().flatMap((id) => locations.get(id).frames),
    };
    for (const label of sample.labels) {
      const { key, str, num } = message(label, { 1: 'key', 2: 'str', 3: 'num' });
      if (strings[key] === 'tid') out.tid = num;
      if (strings[key] === 'thread') out.thread = strings[str];
    }
    return out;
  });
}
