// Functions that were called with known values, and wait in the innermost.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

enum Color { kRed, kGreen = 5, kBlue };
enum class Flags : unsigned { kNone = 0, kRead = 1, kWrite = 2, kExec = 4 };

struct Point {
  int x;
  double y;
  const char* label;
};
struct Packed {
  unsigned low : 3;
  int high : 5;
  bool set : 1;
  char name[8];
  Point inner;
};

static volatile int sink;

__attribute__((noinline)) void Wait(int descriptor, unsigned long rounds, const char* what) {
  char c;
  for (unsigned long i = 0; i < rounds; ++i) {
    if (read(descriptor, &c, 1) <= 0) break;
    sink = sink + c;
  }
  if (what[0] == 'x') sink = 0;
}

__attribute__((noinline)) int Numbers(int8_t a, uint16_t b, int c, int64_t d, bool e, char f,
                                      float g, double h, Color i, Flags j) {
  Wait(0, 1000, "the innermost");
  return a + b + c + static_cast<int>(d) + e + f + static_cast<int>(g + h) + i +
         static_cast<int>(j) + sink;
}

__attribute__((noinline)) int Things(const Point& point, Packed packed, const std::string& text,
                                     std::string_view view, void* nothing, Point* there) {
  const int n = Numbers(-3, 65535, -70000, 1234567890123, true, 'Z', 1.5f, -0.125, kGreen,
                        static_cast<Flags>(5));
  sink = sink + point.x + packed.high + static_cast<int>(text.size() + view.size());
  return n + (nothing == there);
}

static inline __attribute__((always_inline)) int Inlined(int depth, const std::string& text) {
  static Point origin = {7, 2.5, "origin"};
  Packed packed = {5, -9, true, "seven77", {1, 2, "in"}};
  sink = depth;
  const int n = Things(origin, packed, text, std::string_view("a view of it", 6), nullptr, &origin);
  return n + depth + sink;
}

class Worker {
 public:
  __attribute__((noinline)) int Work(int times) const {
    const std::string text(70, 's');
    const int n = Inlined(times * 2, text);
    return n + number_ + times;
  }

 private:
  int number_ = 42;
};

// Its parameters stay in vector registers.
__attribute__((noinline)) void Spin(double factor, float offset) {
  while (true) {
    __asm__ volatile("" : : "x"(factor), "x"(offset));
    sink = sink + 1;
  }
}

int main(int argc, char** argv) {
  std::puts("ready");
  std::fflush(stdout);
  if (argc > 1) Spin(-2.5, 1.25f);
  const Worker worker;
  return worker.Work(21) + argc + argv[0][0];
}
