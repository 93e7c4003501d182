// What pictures colour by: the kind of code that a frame is, and the package that it belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/profile.h"

namespace jprof {

// Numbers are part of the pictures: class "k3" of the SVG, kinds of the HTML.
enum class CodeKind : uint8_t {
  kBase,  // "all", the processes, threads
  kUserScript,
  kModuleScript,   // under node_modules/, or kLibraryScript
  kRuntimeScript,  // the runtime's own library: node:fs
  kBuiltin,
  kWasm,
  kAwaiting,
  kNative,
  kGc,  // V8's garbage collector
  kKernel,
  kJit,
  kUnknown,
};
inline constexpr size_t kCodeKinds = 12;

struct Rgb {
  int r, g, b;
};
struct KindStyle {
  absl::string_view legend;
  Rgb from;  // shades lie between these two
  Rgb to;
};
// Indexed by CodeKind.
extern const std::array<KindStyle, kCodeKinds> kKindStyles;

CodeKind KindOf(const Profile& profile, const Function& function);

// One of sixteen: the same name has the same shade in every picture.
int ShadeOf(absl::string_view name);

// A colour of `kind`; that of an inlined function is paler.
Rgb ColourOf(CodeKind kind, bool inlined, int shade);

// The package of each function: "express" and "@scope/name" under node_modules, "node" for the
// runtime's library, the folder of another script, the file of native code. Raw text; "" where
// nothing is known. Of a function that several images have, the first counts.
class Packages {
 public:
  explicit Packages(const Profile& profile);
  std::string Of(const Function& function) const;

 private:
  const Profile& profile_;
  std::vector<ImageId> image_of_;  // by function
};

}  // namespace jprof
