// What bundle.js is made of, to burn CPU in functions of every form:
//   esbuild src/main.ts --bundle --minify --sourcemap --platform=node --target=node12 --outfile=bundle.js
import { Circle, type Shape } from './shapes';
import { WorkQueue } from './queue';

const handlers = {
  sumAreas(shapes: Shape[]): number {
    return shapes.map((shape) => shape.area()).reduce((left, right) => left + right, 0);
  },
};

async function mainLoop(): Promise<void> {
  let total = 0;
  for (;;) {
    const queue = new WorkQueue<number>();
    for (let i = 0; i < 10; i++) {
      queue.push(() => handlers.sumAreas([new Circle(i), new Circle(i + 1)]));
    }
    for (const value of await queue.drainEverything()) total += value;
    if (Number.isNaN(total)) throw new Error('never');
  }
}

console.log('ready');
void mainLoop();
