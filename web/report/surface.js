// Drawing: text that fits, colours, and a canvas on which both graphs are drawn.

const ROW = 16;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
// Paper is light. The style fits what is drawn to its width, which no script is told. A page does
// not end within a canvas, so what is drawn is cut into strips.
const PAPER = 1000, MAX_PAPER = 8000, STRIP = 8 * ROW;  // pixels
let onPaper = false;
const isDark = () => dark.matches && !onPaper;
const pixelRatio = () => (onPaper ? 2 : window.devicePixelRatio || 1);
const FONT = "12px Verdana, 'DejaVu Sans', sans-serif";
const pen = create("canvas").getContext("2d");
pen.font = FONT;
const widths = new Map();
const charWidth = (c) => {
  let width = widths.get(c);
  if (width === undefined) widths.set(c, width = pen.measureText(c).width);
  return width;
};
const fit = (name, room) => Trees.fit(name, room, charWidth);
const colours = new Map();
// By what executes when they are first asked for; they stay, whatever is shown then.
let packageColour = null;
function choosePackageColours() {
  const weights = new Map();
  for (let label = 0; label < labelCount; label += 1) {
    const own = packageOf(label);
    if (own !== "") weights.set(own, 0);
  }
  for (let i = 1; i < paths.count; i += 1) {
    const own = packageOf(paths.label[i]);
    if (own !== "") weights.set(own, weights.get(own) + paths.self[i]);
  }
  packageColour = Trees.packageColours(weights);
}

// The same as ColourOf in export/code_kind.cc.
function colourOfKind(kind, shade) {
  const style = styles[kind].colour;
  const mix = [0, 1, 2].map((k) => {
    const part = style[k] + Math.trunc((style[k + 3] - style[k]) * (shade & 15) / 15);
    return shade >= INLINED ? part + Math.trunc((255 - part) * 9 / 20) : part;
  });
  return `rgb(${mix.join(",")})`;
}

function colourOf(label, kind) {
  const key =
    wish.bypackage ? packageOf(label) + "/" + shades[label] % 8 : kind * names.length + label;
  let colour = colours.get(key);
  if (colour !== undefined) return colour;
  if (wish.bypackage) {
    const own = packageOf(label);
    colour = own ? packageColour(own, shades[label] % 8) : "#c9cdd3";
  } else {
    colour = colourOfKind(kind, label < labelCount ? shades[label] : 7);
  }
  if (colours.size > 100000) colours.clear();
  colours.set(key, colour);
  return colour;
}

const colourOfNode = (tree, i) => tree.change && !wish.bypackage
  ? Trees.changeColour(tree.change[i] / tree.most, isDark())
  : colourOf(tree.label[i], tree.kinds[i]);

// A canvas as wide as its box and as high as the window on a taller picture that scrolls.
class Surface {
  constructor(label, { hover, click, menu, key }) {
    this.canvas = create("canvas", { tabIndex: 0, role: "application", "aria-label": label });
    this.spacer = create("div");
    this.box = create("div", { className: "graph" }, this.canvas, this.spacer);
    this.context = this.canvas.getContext("2d");
    this.height = 0;
    this.wanted = false;
    const at = (event) => {
      const bounds = this.canvas.getBoundingClientRect();
      return [event.clientX - bounds.left, event.clientY - bounds.top + this.box.scrollTop];
    };
    this.canvas.addEventListener("mousemove", (event) => hover(...at(event)));
    this.canvas.addEventListener("mouseleave", () => hover(-1, -1));
    this.canvas.addEventListener("click", (event) => click(...at(event)));
    this.canvas.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      menu(...at(event), event.clientX, event.clientY);
    });
    this.canvas.addEventListener("keydown", key);
    this.box.addEventListener("scroll", () => this.ask());
  }

  // Draws before the next frame.
  ask() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      this.draw();
    });
  }

  // [width, height] of the canvas for a picture that is `height` high: on paper all of it.
  size(height) {
    return onPaper ? [PAPER, Math.min(height, MAX_PAPER)]
      : [this.box.clientWidth, this.box.clientHeight];
  }

  // Does what the key does with a function. Whether it does anything.
  acts(event, label) {
    if (label >= labelCount || !ACTIONS.some(([, key]) => key === event.key)) return false;
    act(event.key, label);
    event.stopPropagation();
    return true;
  }

  // Tells what the keys have come to, and scrolls its row into sight.
  arrive(y, text) {
    const { box } = this;
    if (y < box.scrollTop) box.scrollTop = y;
    const bottom = y + ROW;
    if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
    this.canvas.setAttribute("aria-label", text);
    describe(text);
    this.ask();
  }

  // Clears and returns [context, width, top, bottom] of what is in sight.
  begin(height) {
    const [width, sight] = this.size(height);
    const scale = pixelRatio();
    const columns = Math.round(width * scale), lines = Math.round(sight * scale);
    if (this.canvas.width !== columns || this.canvas.height !== lines) {
      this.canvas.width = columns;
      this.canvas.height = lines;
      this.canvas.style.width = width + "px";
      this.canvas.style.height = sight + "px";
    }
    this.height = height;
    this.spacer.style.height = Math.max(0, height - sight) + "px";
    const { context } = this;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, sight);
    context.font = FONT;
    context.textBaseline = "alphabetic";
    const top = onPaper ? 0 : this.box.scrollTop;
    context.translate(0, -top);
    return [context, width, top, top + sight];
  }

  cut() {
    const height = STRIP * pixelRatio();
    for (let top = 0; this.box.clientWidth > 0 && top < this.canvas.height; top += height) {
      const strip = create("canvas", { className: "strip", width: this.canvas.width,
                                       height: Math.min(height, this.canvas.height - top) });
      strip.getContext("2d").drawImage(this.canvas, 0, -top);
      this.box.append(strip);
    }
  }

  mend() {
    for (const strip of this.box.querySelectorAll(".strip")) strip.remove();
  }

  frame(context, x, y, width, label, colour, strong = true) {
    const isHit = hits && hits[label];
    context.globalAlpha = hits && !isHit ? 0.35 : strong ? 1 : 0.5;
    context.fillStyle = isHit ? "#c2188b" : colour;
    context.fillRect(x, y, Math.max(width - (width >= 3 ? 0.6 : 0), 0.5), ROW - 1);
    context.globalAlpha = 1;
    if (width < 27) return;
    const shown = fit(shortOf(label), width - 6);
    if (shown === "") return;
    context.fillStyle = isHit ? "#ffffff" : hits && isDark() ? "#c3c9d0" : "#111111";
    context.fillText(shown, x + 3, y + 11.5);
  }

  outline(context, x, y, width, wide) {
    context.strokeStyle = isDark() ? "#ffffff" : "#111111";
    context.lineWidth = wide ? 2 : 1.2;
    context.strokeRect(x, y, Math.max(width, 1), ROW - 1);
  }
}
