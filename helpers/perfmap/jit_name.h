// How runtimes write functions into perf maps and jitdumps, and how they are shown: by name, with
// file and line where the text has them, without what differs between two compilations of one
// function. A text that follows none of these conventions is a name as it is.
//
//   V8        JS:*hot /srv/app.js:3:1, LazyCompile:~hot /srv/app.js:3    hot, /srv/app.js:3
//   JSC       JSC-FTL: hot#Bq2xZa                                       hot
//   HotSpot   long Hot$Inner.sum(int[], java.lang.Object)               without the type
//             Hot$$Lambda$1/0x00007fb864000c18.run()                    without the address
//   JVMTI     Ljava/lang/String;hashCode()I                             java.lang.String.hashCode
//   .NET      int32 [app] Shop.Cart::Total(int32)[OptimizedTier1]       Shop.Cart::Total(int32)
//   CPython   py::hot:/srv/app.py                                       hot, /srv/app.py
//   BEAM      $lists:map/2                                              lists:map/2
//   PHP       JIT$Cart::total, TRACE-3$Cart::total$12                   Cart::total, a trace of it
//   LuaJIT    TRACE_12::app.lua:34                                      a trace, app.lua:34
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

struct JitName {
  std::string name;
  std::string file;         // "" where the text has none
  uint32_t start_line = 0;  // 0: not known
  // '~' interpreted, '^' baseline, '+' optimised, '*' fully optimised; 0: not told
  char tier = 0;
};

JitName ParseJitName(absl::string_view text);

// Whether it is V8 that wrote it, of a JavaScript function.
bool IsV8FunctionName(absl::string_view text);

}  // namespace jprof
