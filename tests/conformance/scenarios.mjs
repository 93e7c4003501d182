// What scenarios.js is for, in an ECMAScript module.
import scenarios from './scenarios.js';

const { leaf } = scenarios;

function moduleInner(r) {
  return leaf(r) + 1;
}
export function moduleFunction(r) {
  return moduleInner(r);
}
export default (r) => {
  return leaf(r) + 2;
};
