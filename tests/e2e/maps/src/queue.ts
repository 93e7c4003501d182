type Job<T> = () => T;

export class WorkQueue<T> {
  private jobs: Job<T>[] = [];

  push(job: Job<T>): void {
    this.jobs.push(job);
  }

  async drainEverything(): Promise<T[]> {
    const results: T[] = [];
    while (this.jobs.length > 0) {
      const nextJob = this.jobs.shift()!;
      results.push(runOneJob(nextJob));
      await Promise.resolve();
    }
    return results;
  }
}

export function runOneJob<T>(job: Job<T>): T {
  const before = spinBefore(5000);
  const result = job();
  if (before < 0) throw new Error('never');
  return result;
}

const spinBefore = function (rounds: number): number {
  let x = 0;
  for (let i = 0; i < rounds; i++) {
    x += Math.cos(i);
  }
  return x * x;
};
