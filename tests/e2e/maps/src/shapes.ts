export interface Shape { area(): number; name: string }

export class Circle implements Shape {
  name = 'circle';
  #radius: number;
  constructor(radius: number) {
    this.#radius = burnConstructor(radius);
  }
  area(): number {
    return burnArea(this.#radius);
  }
}

function burnConstructor(radius: number): number {
  let sum = radius;
  for (let i = 0; i < 20000; i++) sum += Math.sqrt(i * radius);
  return sum;
}

const burnArea = (radius: number): number => {
  let total = 0;
  for (let i = 1; i < 30000; i++) {
    total += Math.sin(radius * i) / i;
  }
  return total;
};
