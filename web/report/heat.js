// The heat map: a column is a second, or several; bottom to top its parts.

const ROWS = 25, CELL = 4, MAX_WIDE = 160;
const heat = {
  canvas: create("canvas", {
    tabIndex: 0, role: "application",
    "aria-label": "heat map: a column is a second or several, bottom to top. " +
      "Arrow keys walk, with Shift they select.",
  }),
  anchor: -1, cursor: -1, dragging: false,
};

function layoutHeat() {
  byId("heat").hidden = !hasTime();
  const width = onPaper ? PAPER : Math.max(200, byId("heat").clientWidth - 20);
  heat.key = heatKey();
  const all = Math.max(1, Math.ceil(duration / 1e6));
  heat.per = Math.ceil(all / width) * 1e6;  // us in a column
  heat.columns = Math.ceil(duration / heat.per);
  heat.step = heat.per / ROWS;
  heat.wide = Math.max(1, Math.min(MAX_WIDE, Math.floor(width / heat.columns)));
  const counts = new Float64Array(heat.columns * ROWS);
  const flag = inThread();
  for (let i = 0; i < samples.count; i += 1) {
    if ((flag && !flag[samples.thread[i]]) || !isShownSide(i)) continue;
    const k = Math.floor(samples.time[i] / heat.step);
    counts[Math.min(counts.length - 1, k)] += samples.weight[i];
  }
  heat.counts = counts;
  heat.most = counts.reduce((a, b) => Math.max(a, b), 1);
  const scale = pixelRatio();
  heat.canvas.width = heat.columns * heat.wide * scale;
  heat.canvas.height = (ROWS * CELL + 14) * scale;
  heat.canvas.style.width = heat.columns * heat.wide + "px";
  heat.canvas.style.height = ROWS * CELL + 14 + "px";
  drawHeat();
}

const heatKey = () => wish.thread + "/" + wish.side;

function drawHeat() {
  const context = heat.canvas.getContext("2d");
  const scale = pixelRatio();
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, heat.columns * heat.wide, ROWS * CELL + 14);
  const night = isDark();
  const gap = heat.wide > 4 ? 1 : 0;
  const [from, to] = rangeNow();
  const cornerOf = (k) => [Math.floor(k / ROWS) * heat.wide, (ROWS - 1 - k % ROWS) * CELL];
  for (let k = 0; k < heat.counts.length; k += 1) {
    const part = Math.sqrt(heat.counts[k] / heat.most);
    const inside = wish.to === 0 || ((k + 1) * heat.step > from && k * heat.step < to);
    const light = night ? 18 + 50 * part : 96 - 50 * part;
    context.fillStyle = heat.counts[k] === 0 ? (night ? "#1c2026" : "#f3f5f8")
      : inside ? `hsl(${28 - 28 * part},${night ? 75 : 85}%,${light}%)` : `hsl(215,8%,${light}%)`;
    context.fillRect(...cornerOf(k), heat.wide - gap, CELL - gap);
  }
  const outline = (k) => {
    context.strokeStyle = night ? "#ffffff" : "#111111";
    const [x, y] = cornerOf(k);
    context.strokeRect(x + 0.5, y + 0.5, heat.wide - 1, CELL - 1);
  };
  if (heat.cursor >= 0) outline(heat.cursor);
  context.fillStyle = night ? "#a5adb6" : "#57606a";
  context.font = "10px Verdana, 'DejaVu Sans', sans-serif";
  const step = niceStep(Math.max(1, 60 / heat.wide)) * heat.per;
  for (let t = 0; t < duration; t += step) {
    const x = Math.round(t / heat.per) * heat.wide;
    context.fillText(Math.round(t / 1e6) + " s", x, ROWS * CELL + 11);
  }
}

const cellAt = (event) => {
  const bounds = heat.canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - bounds.left) / heat.wide);
  const row = ROWS - 1 - Math.floor((event.clientY - bounds.top) / CELL);
  const clamp = (n, most) => Math.max(0, Math.min(most, n));
  return clamp(column, heat.columns - 1) * ROWS + clamp(row, ROWS - 1);
};

function select(a, b, remember) {
  const from = Math.floor(Math.min(a, b) * heat.step);
  const to = Math.ceil((Math.max(a, b) + 1) * heat.step);
  if (remember) trail.push(heat.before);
  wish = { ...wish, from, to: Math.min(to, Math.ceil(duration)), zoom: 0 };
  show();
}

let asked = false;
function wireHeat() {
  const tellCell = (k) => {
    const { step, counts } = heat;
    const range = `${seconds(k * step, step)} to ${seconds((k + 1) * step, step)}`;
    describe(`${range}: ${Trees.grouped(counts[k])} ${unit}`);
  };
  heat.canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    heat.canvas.setPointerCapture(event.pointerId);
    heat.dragging = true;
    heat.before = wish;
    heat.anchor = heat.cursor = cellAt(event);
  });
  heat.canvas.addEventListener("pointermove", (event) => {
    heat.cursor = cellAt(event);
    tellCell(heat.cursor);
    if (!heat.dragging || asked) {
      drawHeat();
      return;
    }
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      if (heat.dragging) select(heat.anchor, heat.cursor, false);
    });
  });
  heat.canvas.addEventListener("pointerup", (event) => {
    if (!heat.dragging) return;
    heat.dragging = false;
    select(heat.anchor, cellAt(event), true);
  });
  heat.canvas.addEventListener("pointerleave", () => {
    if (heat.dragging) return;
    heat.cursor = -1;
    describe(null);
    drawHeat();
  });
  heat.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowDown: -1, ArrowRight: ROWS, ArrowLeft: -ROWS }[event.key];
    if (!step) return;
    event.preventDefault();
    if (heat.anchor < 0) heat.anchor = Math.max(0, heat.cursor);
    heat.cursor = Math.max(0, Math.min(heat.counts.length - 1, Math.max(0, heat.cursor) + step));
    tellCell(heat.cursor);
    if (event.shiftKey) {
      heat.before = wish;
      select(heat.anchor, heat.cursor, true);
    } else {
      heat.anchor = heat.cursor;
      drawHeat();
    }
  });
}
