// Where a thread spends its time, from samples: the parts of an explanation that are about programs
// that run.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "profiler/why/facts.h"

namespace jprof {

// A function in a share of samples.
struct HotPlace {
  std::string text;  // "bucketize heatmap.js:214:7"
  FrameKind kind = FrameKind::kUnknown;
  size_t samples = 0;
};

struct BusyFacts {
  Tid tid = 0;     // the thread; 0: no samples
  size_t all = 0;  // samples of the process
  size_t of_thread = 0;
  size_t gc = 0;      // of the process, within a garbage collector
  size_t regexp = 0;  // of the thread, within a regular expression's matcher
  size_t kernel = 0;  // of the thread, in kernel mode
  // The innermost function, of the program's own language if there is one, that nearly all samples
  // of the thread have in common; empty text: none but the ground of the stack.
  HotPlace common;
  // Functions at the top of the stacks, most frequent first, some.
  std::vector<HotPlace> hottest;
};

// `tid`: of which thread; 0: the one with the most samples.
BusyFacts LookAtSamples(const Facts& facts, Tid tid = 0);

// Whether a frame belongs to a garbage collector, or to the matching of a regular expression.
bool IsCollector(const FrameFacts& frame);
bool IsRegExp(const FrameFacts& frame);

// "bucketize heatmap.js:214:7".
std::string PlaceOf(const FrameFacts& frame);
// The innermost frame that tells something to people: of the program's own language, else of its
// own file, else of a library that is not the C library; "" for none.
std::string TellingPlace(const std::vector<FrameFacts>& frames);

}  // namespace jprof
