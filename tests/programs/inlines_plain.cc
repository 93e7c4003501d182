// The part of `inlines` that is not optimized: there, methods of local classes and lambdas are
// described inside the functions that have them, whose code they are not in.
namespace {

template <int kFactor>
int Local(int seed) {
  struct Scale {
    int factor;
    int Apply(int value) const { return value * factor % 1009; }
    int Twice(int value) const { return Apply(Apply(value)); }
  };
  auto add = [seed](int value) { return value + seed; };
  auto fold = [&add](int value) {
    auto inner = [&add](int other) { return add(other) % 509; };
    return inner(inner(value));
  };
  const Scale scale{kFactor};
  return scale.Twice(add(fold(seed)));
}

}  // namespace

int Arrange(int seed) {
  return Local<3>(seed) + Local<5>(seed) + Local<7>(seed) + Local<11>(seed);
}
